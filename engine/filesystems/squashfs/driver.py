"""squashfs as the planner sees it: how large it becomes shows only once tar2sqfs has made it.

So the plan has a bound: all that is stored as if nothing could be compressed. Data never grows,
since a block that compression does not make smaller is stored as it is. Sizes of the structures:
Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h of the Linux kernel.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from engine.filesystems.driver import (
    Commands,
    DoesNotFit,
    FilesystemPlan,
    Refused,
    Request,
    Sized,
)
from engine.filesystems.paxstream import records_bytes
from engine.filesystems.squashfs.kept import drops, kept
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.units import MIB, ceil_to, in_bytes

BLOCK_SIZE = 128 << 10
"""Bytes of data that are compressed together: what tar2sqfs takes by default."""

PADDING = 4096
"""What tar2sqfs fills the file up to."""

OPTIONS = {"zstd": "level=3", "gzip": "level=9", "xz": "level=6"}
"""By compression, the first being the default: zstd's third level makes smaller files than gzip's
ninth in a quarter of its time."""

JOBS = "4"
"""Blocks compressed at once; their number does not change the result."""

_METADATA = 8192
"""Bytes of inodes, directories and tables that are stored together, behind two of length."""
_SUPERBLOCK, _COMPRESSOR_OPTIONS = 96, 16
_INODE = {
    stat.S_IFREG: 56, stat.S_IFDIR: 40, stat.S_IFLNK: 28, stat.S_IFCHR: 28, stat.S_IFBLK: 28,
    stat.S_IFIFO: 24,
}  # fmt: skip
"""Bytes of the long form of each inode, without what varies."""
_SIZE_WORD = 4
_DIRECTORY_HEAD, _DIRECTORY_ENTRY, _DIRECTORY_INDEX = 12, 8, 12
_FRAGMENT, _ID, _LOCATION, _XATTR_ID, _XATTR = 16, 4, 8, 16, 8
_MOST_OWNERS = 1 << 16
_MAX_RECORDS = 1 << 16
"""Bytes of a pax header that tar2sqfs takes (squashfs-tools-ng, include/tar/tar.h)."""
_MAX_NAME, _MAX_TARGET = 255, 4095
_MAX_MAJOR, _MAX_MINOR = (1 << 12) - 1, (1 << 20) - 1


class SquashfsDriver:
    """squashfs, by tar2sqfs of squashfs-tools-ng."""

    def granularity(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        """See `Driver.least`; nothing can be added later, so that no space is left free."""
        size = self.smallest(request)
        return Sized(size, self.fit(request, size))

    def smallest(self, request: Request) -> int:
        """See `Driver.smallest`: the least that is certain to hold the contents."""
        return ceil_to(bound(request.manifest), MIB)

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        """See `Driver.fit`; a place below the bound may still be large enough."""
        if size < PADDING:
            raise DoesNotFit(f"{in_bytes(size)} are too few for a squashfs, which has {PADDING:,}")
        manifest = request.manifest
        most = bound(manifest)
        taken = min(most, size // PADDING * PADDING)
        data = manifest.counts.data_bytes
        default = next(iter(OPTIONS))  # one that is not known is a problem of the spec's
        compression = request.compression if request.compression in OPTIONS else default
        return FilesystemPlan(
            type="squashfs",
            label="",
            uuid="",
            size=taken,
            block_size=BLOCK_SIZE,
            blocks=-(-taken // BLOCK_SIZE),
            inodes=sum(1 for entry in manifest if entry.link_to is None) or 1,
            manifest=manifest,
            data_bytes=data,
            free_bytes=0,
            free_inodes=0,
            written_bytes=taken,
            structure_bytes=data,
            parts=(("packed", taken),),
            layout=compression,
            refused=tuple(_refused(manifest)),
            drops=drops(manifest),
            most_bytes=most,
        )

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.make`: tar2sqfs reads a pax archive and makes a file of its own."""
        compression: str = planned.layout
        options = ("--compressor", compression, "--comp-extra", OPTIONS[compression])
        return (("tar2sqfs", "--quiet", "--no-skip", *options, "--num-jobs", JOBS, copy),)

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.check`: our own reader goes through every entry and every byte."""
        return ()


def bound(manifest: Manifest) -> int:
    """Returns the bytes that a squashfs of a manifest takes at most."""
    data = fragments = inodes = xattrs = attributed = 0
    owners: set[int] = {0}
    directories = 2 * _DIRECTORY_HEAD
    for entry in manifest:
        if entry.path:
            # Each name may begin a run of names, and each run may have an index.
            name = len(entry.name)
            directories += _DIRECTORY_HEAD + _DIRECTORY_ENTRY + name + _DIRECTORY_INDEX + name
        if entry.link_to is not None:
            continue
        owners |= {entry.uid, entry.gid}
        inodes += _INODE.get(stat.S_IFMT(entry.mode), 0) + len(entry.target)
        if entry.is_regular:
            data += _touched(entry)
            fragments += bool(entry.size % BLOCK_SIZE)
            inodes += (entry.size // BLOCK_SIZE + 1) * _SIZE_WORD
        attributes = kept(entry).xattrs
        attributed += bool(attributes)
        xattrs += sum(_XATTR + len(name) + len(value) for name, value in attributes)
    tables = (
        fragments * _FRAGMENT, len(owners) * _ID, attributed * _XATTR_ID,
    )  # fmt: skip
    located = sum(_packed(table) + (table // _METADATA + 1) * _LOCATION for table in tables)
    structures = _packed(inodes + _INODE[stat.S_IFDIR]) + _packed(directories) + _packed(xattrs)
    head = _SUPERBLOCK + _COMPRESSOR_OPTIONS
    return ceil_to(head + data + structures + located + _XATTR_ID, PADDING)


def _packed(length: int) -> int:
    """Returns the bytes that metadata takes at most, in its blocks."""
    return length + 2 * (length // _METADATA + 1)


def _touched(entry: Entry) -> int:
    """Returns the bytes of a file's blocks that are not all hole."""
    if entry.extents is None:
        return entry.size
    found = 0
    runs = _joined((at // BLOCK_SIZE, -(-(at + length) // BLOCK_SIZE))
                   for at, length in entry.extents if length)  # fmt: skip
    for first, end in runs:
        found += min(end * BLOCK_SIZE, entry.size) - first * BLOCK_SIZE
    return found


def _joined(runs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yields rising runs (first, end) with those joined that share a block."""
    end = 0
    for first, after in runs:
        if after > end:
            yield max(first, end), after
            end = after


def _refused(manifest: Manifest) -> Iterator[Refused]:
    owners: set[int] = {0}
    for entry in manifest:
        reason = _reason(entry)
        if reason:
            yield Refused(entry, reason)
        owners |= {entry.uid, entry.gid}
        if len(owners) > _MOST_OWNERS:
            yield Refused(entry, f"the contents have more than {_MOST_OWNERS} different owners")
            return


def _reason(entry: Entry) -> str:
    """Returns why an entry cannot be held, or ""."""
    if stat.S_ISSOCK(entry.mode):
        return "a socket, which the archive that tar2sqfs reads does not know"
    if len(entry.name) > _MAX_NAME:
        return f"a name of {in_bytes(len(entry.name))}, {_MAX_NAME:,} at most"
    if len(entry.target) > _MAX_TARGET:
        return f"a link target of {in_bytes(len(entry.target))}, {_MAX_TARGET:,} at most"
    if sum(len(name) + len(value) for name, value in entry.xattrs) > _MAX_RECORDS // 2:
        size = records_bytes(entry, kept)
        if size > _MAX_RECORDS:
            return f"attributes of {in_bytes(size)}, {_MAX_RECORDS:,} at most for tar2sqfs"
    major, minor = os.major(entry.rdev), os.minor(entry.rdev)
    if major > _MAX_MAJOR or minor > _MAX_MINOR:
        return f"the device {major}:{minor}, {_MAX_MAJOR}:{_MAX_MINOR} at most"
    return ""


DRIVERS = {"squashfs": SquashfsDriver()}
