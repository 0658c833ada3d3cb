"""Swap space as the planner sees it: a page of header, the rest free."""

from __future__ import annotations

from dataclasses import dataclass

from engine.filesystems.driver import (
    Commands,
    DoesNotFit,
    FilesystemPlan,
    Refused,
    Request,
    Sized,
)
from engine.filesystems.plain import plain
from engine.units import MIB, ceil_to, in_bytes

PAGE_SIZE = 4096
"""Bytes of a page of the machine that will use it; the kernel takes no other (mm/swapfile.c)."""

_LEAST_PAGES = 10
"""What mkswap asks for (util-linux, disk-utils/mkswap.c)."""

_MOST_PAGES = 1 << 32
"""Pages are counted in 32 bits."""


@dataclass(frozen=True, slots=True)
class SwapLayout:
    """What the writer of a swap space needs to know.

    Attributes:
        pages: The one of the header included.
    """

    pages: int


class SwapDriver:
    """Linux' swap space, version 1."""

    def granularity(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        size = ceil_to(max(request.free + PAGE_SIZE, _LEAST_PAGES * PAGE_SIZE), MIB)
        return Sized(size, self.fit(request, size))

    def smallest(self, request: Request) -> int:
        return MIB

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        pages = size // PAGE_SIZE
        if pages < _LEAST_PAGES:
            least = _LEAST_PAGES * PAGE_SIZE
            raise DoesNotFit(f"{in_bytes(size)} are too few for swap, which has at least {least:,}")
        if pages > _MOST_PAGES:
            most = _MOST_PAGES * PAGE_SIZE
            raise DoesNotFit(f"{in_bytes(size)} are more than swap can count", most)
        return plain(
            request,
            "swap",
            block_size=PAGE_SIZE,
            blocks=pages,
            own=(("metadata", PAGE_SIZE),),
            written=PAGE_SIZE,
            layout=SwapLayout(pages),
            refused=tuple(
                Refused(entry, "swap space holds no files")
                for entry in request.manifest
                if entry.path
            ),
        )

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        return ()

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.check`; nothing checks a swap space but a reader of its header."""
        return ()


DRIVERS = {"swap": SwapDriver()}
