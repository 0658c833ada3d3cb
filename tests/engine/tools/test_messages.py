"""Messages through a pipe come out whole, in whatever pieces they arrive."""

from __future__ import annotations

import io
import os
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from engine.tools.messages import complete, framed, receive, send

texts = st.lists(st.binary(max_size=300), max_size=8)


@given(texts, st.integers(1, 40))
def test_pieces_of_any_size_make_the_messages_again(sent: list[bytes], size: int) -> None:
    stream = b"".join(map(framed, sent))
    received, found = bytearray(), list[bytes]()
    for at in range(0, len(stream), size):
        received += stream[at : at + size]
        found += complete(received)

    assert found == sent
    assert received == b""


@given(texts, st.integers(1, 4))
def test_a_stream_that_is_cut_ends_behind_the_last_whole_message(
    sent: list[bytes], cut: int
) -> None:
    stream = io.BytesIO(b"".join(map(framed, [*sent, b"last"]))[:-cut])

    assert list(iter(lambda: receive(stream), None)) == sent


def test_a_message_longer_than_the_pipe_is_sent() -> None:
    reader, writer = os.pipe()
    data = os.urandom(1 << 20)
    sender = Thread(target=send, args=(writer, data))
    sender.start()

    with os.fdopen(reader, "rb") as stream:
        assert receive(stream) == data
    sender.join()
    os.close(writer)
