"""EROFS as the planner sees it: read-only, so exactly as large as its contents."""

from __future__ import annotations

from engine.filesystems.driver import (
    Commands,
    DoesNotFit,
    FilesystemPlan,
    Part,
    Refused,
    Request,
    Shortage,
    Sized,
)
from engine.filesystems.erofs.format import BLOCK_SIZE, FIRST_INODE_AT, INODE_SIZE, MAX_BLOCKS
from engine.filesystems.erofs.layout import Layout, layout
from engine.units import MIB, ceil_to, in_bytes


class ErofsDriver:
    """EROFS without compression."""

    def granularity(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        """See `Driver.least`; nothing can be added later, so that no space is left free."""
        size = self.smallest(request)
        return Sized(size, self.fit(request, size))

    def smallest(self, request: Request) -> int:
        return ceil_to(_checked(layout(request.manifest)).size, MIB)

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        """See `Driver.fit`; what the place has beyond the contents stays unused."""
        made = _checked(layout(request.manifest))
        return FilesystemPlan(
            type="erofs",
            label=request.label,
            uuid=request.uuid,
            size=made.size,
            block_size=BLOCK_SIZE,
            blocks=made.blocks,
            inodes=len(made.inodes),
            manifest=request.manifest,
            data_bytes=made.data_bytes,
            free_bytes=0,
            free_inodes=0,
            written_bytes=made.size,
            structure_bytes=made.size - made.data_bytes,
            parts=_parts(made),
            layout=made,
            shortage=None if made.size <= size else Shortage("bytes", made.size, size),
            refused=tuple(Refused(entry, reason) for entry, reason in made.refused),
        )

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        return ()

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.check`: our own reader goes through every entry and every byte."""
        return ()


def _checked(made: Layout) -> Layout:
    if made.blocks > MAX_BLOCKS:
        most = MAX_BLOCKS * BLOCK_SIZE
        raise DoesNotFit(
            f"the contents take {in_bytes(made.size)} of an EROFS, {most:,} at most", most
        )
    return made


def _parts(made: Layout) -> tuple[tuple[Part, int], ...]:
    inodes = len(made.inodes) * INODE_SIZE
    extra = sum(inode.head - INODE_SIZE for inode in made.inodes)
    symlinks = sum(inode.size for inode in made.inodes if inode.entry.is_symlink)
    directories = sum(inode.size for inode in made.inodes if inode.entry.is_directory)
    metadata = FIRST_INODE_AT + extra + symlinks
    return (
        ("inode-tables", inodes),
        ("metadata", metadata),
        ("directories", directories),
        ("contents", made.data_bytes),
        ("rounding", made.size - inodes - metadata - directories - made.data_bytes),
    )


DRIVERS = {"erofs": ErofsDriver()}
