"""Reads the header of a swap space of any page size and either byte order.

Source: `union swap_header` in include/linux/swap.h of the Linux kernel.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping

from engine.image.reading import BadFilesystem, Window

_MAGICS = (b"SWAPSPACE2", b"SWAP-SPACE")
_PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)
_HEADER_AT = 1024
_VERSION_AT, _LAST_AT, _BAD_AT, _UUID_AT, _LABEL_AT = 1024, 1028, 1032, 1036, 1052
_OLD_VERSION = b"SWAP-SPACE"


class SwapSpace:
    """A swap space in a window of a disk."""

    type = "swap"
    clean = True

    def __init__(self, window: Window, page_size: int) -> None:
        page = window.read(0, page_size)
        if page[-10:] == _OLD_VERSION:
            raise BadFilesystem("swap space of version 0, which no kernel takes any more")
        (little,) = struct.unpack_from("<I", page, _VERSION_AT)
        (big,) = struct.unpack_from(">I", page, _VERSION_AT)
        if 1 not in {little, big}:
            raise BadFilesystem(f"swap space of version {little}; 1 is the only one there is")
        order = "<" if little == 1 else ">"
        last: int
        last, self.bad_pages = struct.unpack_from(f"{order}II", page, _LAST_AT)
        self.block_size: int = page_size
        self.pages = last + 1
        self.size = self.pages * page_size
        self.room = min(self.size, window.size)
        self.byte_order = "little" if order == "<" else "big"
        self.label = page[_LABEL_AT : _LABEL_AT + 16].partition(b"\0")[0].decode("utf-8", "replace")
        self.uuid = str(uuid.UUID(bytes=page[_UUID_AT : _UUID_AT + 16]))

    @property
    def free(self) -> int:
        """Bytes in pages that can be used."""
        return int(max(0, self.pages - 1 - self.bad_pages) * self.block_size)

    def figures(self) -> Mapping[str, int]:
        return {"blocks": self.pages}

    def header(self) -> Mapping[str, object]:
        return {
            "page size": self.block_size, "byte order": self.byte_order, "pages": self.pages,
            "bad pages": self.bad_pages, "uuid": self.uuid, "label": self.label,
        }  # fmt: skip

    def structures(self) -> Iterator[tuple[int, int, str]]:
        yield 0, _HEADER_AT, "room for a boot block in front of the swap header"
        yield _HEADER_AT, self.block_size - _HEADER_AT, "swap header"

    def unused(self) -> Iterator[tuple[int, int]]:
        """See `Described.unused`; what was swapped out means nothing to the next boot."""
        yield self.block_size, max(0, self.room - self.block_size)


def probe(window: Window) -> SwapSpace | None:
    """Returns the swap space in a window, or None if there is none.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    for size in _PAGE_SIZES:
        if size <= window.size and window.read(size - 10, 10) in _MAGICS:
            return SwapSpace(window, size)
    return None
