"""Messages between the processes of a build through a pipe: how many bytes, then these."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

_LENGTH = struct.Struct("<I")


def framed(data: bytes) -> bytes:
    """Returns what is sent for some data."""
    return _LENGTH.pack(len(data)) + data


def send(descriptor: int, data: bytes) -> None:
    """Sends all of a message, however long the pipe takes.

    Raises:
        OSError: The pipe is closed at its other end.
    """
    rest = memoryview(framed(data))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(stream: BinaryIO) -> bytes | None:
    """Waits for the next message; returns its data, or None at the end."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    return data if len(data) == length else None


def complete(received: bytearray) -> Iterator[bytes]:
    """Yields the data of messages that have been received whole, and removes them."""
    while len(received) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
        if len(received) < end:
            return
        data = bytes(received[_LENGTH.size : end])
        del received[:end]
        yield data
