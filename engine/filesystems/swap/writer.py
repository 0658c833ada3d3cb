"""Writes the header of a swap space: 33 bytes that are not zero, and no file to fill it with.

Source: `union swap_header` in include/linux/swap.h of the Linux kernel.
"""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Callable
from pathlib import Path

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.populate import Cancelled, DataObserver, Progress
from engine.filesystems.swap.driver import PAGE_SIZE, SwapLayout
from engine.image.whole import write_whole

_INFO_AT = 1024
"""The first sectors are left for boot blocks."""
_INFO = struct.Struct("<III16s16s")
_VERSION = 1
_MAGIC = b"SWAPSPACE2"


def make(
    image: Path,
    offset: int,
    planned: FilesystemPlan,
    *,
    epoch: int,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """See `engine.filesystems.driver.Writer.make`; swap space knows no time.

    Raises:
        ValueError: The label or the UUID cannot be one; nothing is written.
    """
    header = _header(planned)
    if cancelled():
        raise Cancelled
    descriptor = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        write_whole(descriptor, header, offset)
    finally:
        os.close(descriptor)


def populate(
    image: Path,
    offset: int,
    planned: FilesystemPlan,
    *,
    epoch: int,
    progress: Progress = lambda done, total: None,
    observer: DataObserver | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """See `engine.filesystems.driver.Writer.populate`; there is nothing to do."""
    progress(0, 0)


def _header(planned: FilesystemPlan) -> bytes:
    layout: SwapLayout = planned.layout
    label = planned.label.encode()
    if len(label) > 16 or b"\0" in label:
        raise ValueError(f"{planned.label!r} is not a label of at most 16 bytes")
    page = bytearray(PAGE_SIZE)
    last_page, bad_pages = layout.pages - 1, 0
    _INFO.pack_into(
        page, _INFO_AT, _VERSION, last_page, bad_pages, uuid.UUID(planned.uuid).bytes, label
    )
    page[-len(_MAGIC) :] = _MAGIC
    return bytes(page)
