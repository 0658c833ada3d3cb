"""ext2, ext3 and ext4 as the planner sees them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

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
from engine.filesystems.ext4 import solve
from engine.filesystems.ext4.format import BLOCK_SIZE, FORMATS, INODE_SIZE, ExtFormat
from engine.filesystems.ext4.geometry import MAX_BLOCKS, Geometry, GeometryError, geometry
from engine.filesystems.ext4.measure import Need, measure
from engine.filesystems.ext4.mke2fs import mke2fs_argv

REFERENCE_RESERVED_PERCENT = 5
"""What mke2fs keeps for the superuser unless told; make-disk-image does not tell it."""


@dataclass(frozen=True, slots=True)
class ExtLayout:
    """What the commands and the writer of an ext file system need to know."""

    geometry: Geometry
    need: Need
    reserved_percent: int


class ExtDriver:
    """One format of the family."""

    def __init__(self, ext: ExtFormat) -> None:
        self.ext = ext

    def granularity(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        """See `Driver.least`; solved for exactly."""
        need = self.need(request)
        try:
            solved = solve.solve(
                need,
                additional_bytes=request.free,
                additional_inodes=request.inodes,
                grown=request.grown,
                ext=self.ext,
            )
        except GeometryError as error:
            raise DoesNotFit(str(error)) from error
        return Sized(solved.size_bytes, self._planned(request, need, solved.geometry))

    def smallest(self, request: Request) -> int:
        percent = REFERENCE_RESERVED_PERCENT if request.tool_defaults else None
        try:
            return _smallest(self.need(request), self.ext, percent, request.grown)
        except GeometryError as error:
            raise DoesNotFit(str(error)) from error

    def need(self, request: Request) -> Need:
        """Returns what the contents take; cached with the manifest."""
        return measure(request.manifest, self.ext)

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        need = self.need(request)
        return self._planned(request, need, self._geometry(request, need, size))

    def _planned(self, request: Request, need: Need, layout: Geometry) -> FilesystemPlan:
        short = solve.fits(need, layout)
        unit = BLOCK_SIZE if short is not None and short.resource == "blocks" else 1
        taken = solve.taken_blocks(need, layout)
        free = max(0, layout.free_blocks - taken) * layout.block_size
        return FilesystemPlan(
            type=self.ext.name,
            label=request.label,
            uuid=request.uuid,
            size=layout.blocks * layout.block_size,
            block_size=layout.block_size,
            blocks=layout.blocks,
            inodes=layout.inodes,
            manifest=request.manifest,
            data_bytes=need.data_bytes,
            free_bytes=free,
            free_inodes=max(0, layout.free_inodes - need.inodes),
            written_bytes=_written(layout, need),
            structure_bytes=_written(layout, need) - need.data_bytes,
            parts=_parts(layout, need, free),
            layout=ExtLayout(
                layout, need, REFERENCE_RESERVED_PERCENT if request.tool_defaults else 0
            ),
            shortage=None if short is None else Shortage(
                "bytes" if short.resource == "blocks" else "inodes",
                short.needed * unit,
                short.available * unit,
            ),
            refused=tuple(Refused(one.entry, one.reason) for one in need.unwritable),
        )  # fmt: skip

    def _geometry(self, request: Request, need: Need, size: int) -> Geometry:
        try:
            if request.tool_defaults:
                return geometry(size, ext=self.ext, reserved_percent=REFERENCE_RESERVED_PERCENT)
            return solve.fixed(
                need, size, additional_inodes=request.inodes, grown=request.grown, ext=self.ext
            )
        except GeometryError as error:
            most = MAX_BLOCKS * BLOCK_SIZE
            raise DoesNotFit(str(error), most if size > most else None) from error

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        layout: ExtLayout = planned.layout
        return (
            mke2fs_argv(
                image,
                layout.geometry,
                offset=offset,
                uuid=planned.uuid,
                label=planned.label,
                reserved_percent=layout.reserved_percent,
            ),
        )

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        target = f"{image}?offset={offset}" if offset else image
        return (("e2fsck", "-f", "-n", target),)


@lru_cache(maxsize=16)
def _smallest(need: Need, ext: ExtFormat, percent: int | None, grown: int) -> int:
    """Searches once for contents that do not change, as the wizard plans again at every key."""
    return solve.smallest(need, grown=grown, ext=ext, reserved_percent=percent).size_bytes


def _written(layout: Geometry, need: Need) -> int:
    """Returns the bytes that are written; empty inode tables and the journal stay holes."""
    empty_tables = layout.groups * layout.inode_table_blocks
    blocks = layout.overhead_blocks - empty_tables + solve.taken_blocks(need, layout)
    return blocks * layout.block_size + need.inodes * INODE_SIZE


def _parts(layout: Geometry, need: Need, free: int) -> tuple[tuple[Part, int], ...]:
    block = layout.block_size
    tables = layout.groups * layout.inode_table_blocks
    journal = layout.journal_blocks + layout.journal_map_blocks
    # What mke2fs takes beyond its overhead and journal: root directory, lost+found, resize inode.
    first_files = layout.blocks - layout.free_blocks - layout.overhead_blocks - journal
    broken = solve.taken_blocks(need, layout) - need.blocks
    maps = need.extent_blocks + broken + need.xattr_blocks
    reserved = min(layout.reserved_blocks * block, free)
    return (
        ("inode-tables", tables * block),
        ("journal", journal * block),
        ("metadata", (layout.overhead_blocks - tables + 1 + maps + need.symlink_blocks) * block),
        ("directories", (first_files - 1 + need.directory_blocks) * block),
        ("contents", need.data_bytes),
        ("rounding", need.data_blocks * block - need.data_bytes),
        ("reserved", reserved),
        ("free", free - reserved),
    )


DRIVERS = {name: ExtDriver(ext) for name, ext in FORMATS.items()}
