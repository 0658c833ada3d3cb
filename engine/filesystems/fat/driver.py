"""FAT as the planner sees it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.filesystems.driver import (
    Commands,
    DoesNotFit,
    Drop,
    FilesystemPlan,
    Refused,
    Request,
    Shortage,
    Sized,
)
from engine.filesystems.fat.geometry import (
    MIN_CLUSTERS_32,
    FatGeometry,
    FatSizeError,
    geometry,
    smallest,
)
from engine.filesystems.fat.measure import FatNeed, measure
from engine.units import GIB, KIB, MIB, ceil_to, in_bytes

_LARGEST = 4 * GIB
_DROPPED = "owners, extended attributes or hard links"


@dataclass(frozen=True, slots=True)
class FatLayout:
    """What the commands and the writer of a FAT file system need to know."""

    geometry: FatGeometry
    need: FatNeed


class FatDriver:
    """FAT32; under make-disk-image's rules whatever mkfs.fat would choose."""

    def granularity(self, sector_size: int) -> int:
        """See `Driver.granularity`: whole KiB and sectors."""
        return max(sector_size, KIB)

    def least(self, request: Request) -> Sized:
        size = self._search(request, request.free)
        return Sized(size, self.fit(request, size))

    def smallest(self, request: Request) -> int:
        return self._search(request, 0)

    def _search(self, request: Request, free: int) -> int:
        """Returns the smallest real FAT32 with so many bytes free, in whole MiB."""
        need = measure(request.manifest)
        sector = request.sector_size
        low = smallest(sector_size=sector) // MIB
        high = max(_LARGEST, ceil_to(2 * (need.data_bytes + free), MIB)) // MIB
        while low < high:
            middle = (low + high) // 2
            if _free(geometry(middle * MIB, sector_size=sector), need) >= free:
                high = middle
            else:
                low = middle + 1
        if _free(geometry(low * MIB, sector_size=sector), need) < free:
            raise DoesNotFit(f"no FAT file system holds {in_bytes(need.data_bytes + free)}")
        return low * MIB

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        need = measure(request.manifest)
        try:
            layout = geometry(
                size, sector_size=request.sector_size, bits=None if request.tool_defaults else 32
            )
        except FatSizeError as error:
            raise DoesNotFit(str(error)) from error
        clusters = need.clusters(layout)
        directories = need.directory_bytes(layout)
        free = max(0, layout.clusters - clusters) * layout.cluster_size
        return FilesystemPlan(
            type="vfat",
            label=request.label,
            uuid=request.uuid,
            size=layout.size,
            block_size=layout.cluster_size,
            blocks=layout.clusters,
            inodes=0,
            manifest=request.manifest,
            data_bytes=need.data_bytes,
            free_bytes=free,
            free_inodes=0,
            written_bytes=layout.size - free,
            parts=(
                ("metadata", layout.overhead + directories),
                ("contents", need.data_bytes),
                ("rounding", clusters * layout.cluster_size - directories - need.data_bytes),
                ("free", free),
            ),
            layout=FatLayout(layout, need),
            shortage=_shortage(need, layout),
            refused=tuple(Refused(one.entry, one.reason) for one in need.unholdable),
            drops=(Drop(_DROPPED, need.stripped),) if need.stripped else (),
            notes=_clamped(need.clamped),
        )  # fmt: skip

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        return ()

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        return (("fsck.fat", "-n", copy),)


def _shortage(need: FatNeed, layout: FatGeometry) -> Shortage | None:
    if layout.bits == 32 and layout.clusters < MIN_CLUSTERS_32:  # firmware counts clusters
        why = (
            f"with sectors of {layout.sector_size} bytes has {layout.clusters} clusters; FAT32 "
            f"begins at {MIN_CLUSTERS_32}, and firmware takes anything less for FAT16"
        )
        return Shortage("clusters", MIN_CLUSTERS_32, layout.clusters, why)
    if not need.fits_root(layout):
        why = (
            f"take {need.root_slots} directory entries, and the FAT of its size has "
            f"{layout.root_entries} for them"
        )
        return Shortage("names", need.root_slots, layout.root_entries, why)
    if need.fits(layout):
        return None
    return Shortage("bytes", need.clusters(layout) * layout.cluster_size, layout.data_bytes)


def _clamped(entries: int) -> tuple[str, ...]:
    if not entries:
        return ()
    return (f"{entries} entries have times that FAT cannot hold: it knows 1980 to 2107",)


def _free(layout: FatGeometry, need: FatNeed) -> int:
    return (layout.clusters - need.clusters(layout)) * layout.cluster_size


DRIVERS = {"vfat": FatDriver()}
