"""The bytes of a file, from its start: no file system at all."""

from __future__ import annotations

from engine.filesystems.driver import Commands, FilesystemPlan, Request, Shortage, Sized
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.spec.filesystems import RAW
from engine.units import MIB, ceil_to


def payload(manifest: Manifest) -> Entry | None:
    """Returns the file whose bytes a volume holds, or None where its source was not found."""
    return next((entry for entry in manifest if entry.is_regular), None)


class RawDriver:
    """A file's bytes; what the volume has beyond them stays a hole."""

    def granularity(self, sector_size: int) -> int:
        return sector_size

    def least(self, request: Request) -> Sized:
        size = max(MIB, ceil_to(_length(request) + request.free, MIB))
        return Sized(size, self.fit(request, size))

    def smallest(self, request: Request) -> int:
        return max(MIB, ceil_to(_length(request), MIB))

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        length = _length(request)
        free = max(0, size - length)
        return FilesystemPlan(
            type=RAW,
            label="",
            uuid="",
            size=size,
            block_size=0,
            blocks=0,
            inodes=0,
            manifest=request.manifest,
            data_bytes=length,
            free_bytes=free,
            free_inodes=0,
            written_bytes=length,
            parts=(("contents", length), ("free", free)),
            shortage=None if length <= size else Shortage("bytes", length, size),
        )

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.make`; there is nothing to make."""
        return ()

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """See `Driver.check`; the bytes are read back in process."""
        return ()


def _length(request: Request) -> int:
    entry = payload(request.manifest)
    return 0 if entry is None else entry.size


DRIVERS = {RAW: RawDriver()}
