"""Sizes and places right by construction (`compat = "none"`).

Everything is aligned to 1 MiB and numbered in disk order. A volume has the size it was given, or
what its contents need, or its share of what is left up to the last whole MiB before the table's
copy. Types are those of the Discoverable Partitions Specification, so that a root is found without
being named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.disk import placement
from engine.disk.allocation import share_out
from engine.disk.placement import Place
from engine.disk.volume import Scheme, Volume
from engine.filesystems.driver import DoesNotFit, FilesystemPlan
from engine.plan.model import TableEntry
from engine.plan.wanted import Wanted
from engine.units import MIB, ceil_to, sized


class PlacementError(Exception):
    """The volumes do not fit on the disk.

    Attributes:
        needed: Bytes of the smallest disk that would take them, with 1 MiB for each volume that
            takes a share of what is left.
    """

    def __init__(self, message: str, needed: int) -> None:
        super().__init__(message)
        self.needed = needed


class Unsolvable(Exception):
    """No size of a volume is large enough for its contents.

    Attributes:
        volume: Which.
    """

    def __init__(self, volume: Volume, why: DoesNotFit) -> None:
        super().__init__(str(why))
        self.volume = volume


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes by volume; None for one that takes a share of what is left.

    Attributes:
        filesystems: Those that were solved for together with their size.
    """

    bytes: Mapping[str, int | None]
    filesystems: Mapping[str, FilesystemPlan]


def sizes(volumes: Sequence[Wanted]) -> Sizes:
    """Returns what is known of the sizes before the disk's is.

    Raises:
        Unsolvable: Contents are too large for any file system.
    """
    found: dict[str, int | None] = {}
    solved: dict[str, FilesystemPlan] = {}
    for one in volumes:
        volume = one.volume
        if not volume.partitioned:
            continue
        try:
            found[volume.id] = one.bytes
            least = one.sized
        except DoesNotFit as error:
            raise Unsolvable(volume, error) from error
        if least is not None and least.bytes >= volume.least:
            solved[volume.id] = least.filesystem
    return Sizes(found, solved)


def rounded(scheme: Scheme, volumes: Sequence[Wanted], known: Sizes, multiple: int) -> Sizes:
    """Returns sizes whose disk is a multiple of so many bytes; what grows grows by itself.

    Where nothing does, the root takes what rounding adds, or the last file system that has the
    size of its contents. It keeps at least the space and the inodes that were asked for. What is
    hashed stays as it is, and so does its tree.

    Raises:
        Unsolvable: The file system cannot be that large.
    """
    extra = -disk_bytes(scheme, volumes, known) % multiple
    sealed = {
        name for one in volumes if one.is_layer for name in (one.volume.id, one.volume.verity)
    }
    found = [one for one in volumes if one.volume.id in known.filesystems.keys() - sealed]
    if not extra or not found or None in known.bytes.values():
        return known
    one = next((one for one in found if one.volume.role == "root"), found[-1])
    name, filesystem = one.volume.id, one.filesystem
    assert filesystem is not None
    request = replace(filesystem.request, inodes=known.filesystems[name].free_inodes)
    while True:
        size = (known.bytes[name] or 0) + extra
        try:
            made = filesystem.driver.fit(request, size)
        except DoesNotFit as error:
            raise Unsolvable(one.volume, error) from error
        if made.shortage is None and made.free_bytes >= min(
            request.free, known.filesystems[name].free_bytes
        ):
            solved = {**known.filesystems, name: made}
            return Sizes({**known.bytes, name: size}, solved)
        extra += multiple  # a longer journal took what rounding added


def disk_bytes(scheme: Scheme, volumes: Sequence[Wanted], known: Sizes) -> int:
    """Returns the size of a disk that the volumes fill, those that grow at their least."""
    if scheme == "none":
        return sum(size or MIB for size in known.bytes.values())
    ordered = [known.bytes[name] or least for name, least in _least(volumes, known).items()]
    raw = _taken(volumes)
    first = placement.behind(scheme, ordered, raw)
    end = max([placement.span(scheme, ordered, first), *(ceil_to(end, MIB) for _, end in raw)])
    return end + placement.tail(scheme)


def _taken(volumes: Sequence[Wanted]) -> list[tuple[int, int]]:
    """Returns the ranges of bytes outside of all partitions that volumes take."""
    raw = [_outside(one, 1) for one in volumes if not one.volume.partitioned]
    return [(one.start, one.start + one.sectors) for one in raw]


def _least(volumes: Sequence[Wanted], known: Sizes) -> dict[str, int]:
    """Returns the least size of every partition in disk order."""
    return {
        one.volume.id: known.bytes[one.volume.id] or ceil_to(max(one.volume.least, MIB), MIB)
        for one in volumes
        if one.volume.id in known.bytes
    }


def place(
    scheme: Scheme, sector_size: int, disk: int, volumes: Sequence[Wanted], known: Sizes
) -> tuple[Place, ...]:
    """Returns the places on a disk of so many bytes, in disk order.

    Raises:
        PlacementError: The disk is too small.
    """
    if scheme == "none":
        return tuple(Place(name, 0, 0, disk // sector_size) for name in known.bytes)
    least = _least(volumes, known)
    growing = [one.volume for one in volumes if known.bytes.get(one.volume.id, 0) is None]
    without = [known.bytes[name] or 0 for name in least]
    end = placement.end(scheme, disk, sector_size)
    floors = [least[volume.id] for volume in growing]
    first = placement.behind(scheme, list(least.values()), _taken(volumes))
    available = end - placement.span(scheme, without, first)
    if available < sum(floors):
        needed = disk_bytes(scheme, volumes, known)
        raise PlacementError(_too_small(scheme, disk, least, growing, first), needed)
    shares = share_out(available, [volume.grow for volume in growing], floors)
    final = least | {volume.id: size for volume, size in zip(growing, shares, strict=True)}
    outside = tuple(_outside(one, sector_size) for one in volumes if not one.volume.partitioned)
    return (*placement.place(scheme, sector_size, list(final.items()), first), *outside)


def _outside(one: Wanted, sector_size: int) -> Place:
    """Returns the place of a volume outside of all partitions: the sectors of its bytes."""
    assert one.volume.offset is not None
    length = 0 if one.filesystem is None else one.filesystem.request.manifest.counts.data_bytes
    length = length or one.volume.size or 0
    sectors = max(1, -(-length // sector_size))
    return Place(one.volume.id, 0, one.volume.offset // sector_size, sectors)


def _too_small(
    scheme: Scheme, disk: int, least: Mapping[str, int], growing: Sequence[Volume], first: int
) -> str:
    """Says what does not fit: the one that would have had the rest, or all together."""
    names = list(least)
    if len(growing) == 1 and growing[0].id == names[-1]:
        begin = placement.begin(scheme, [least[name] for name in names[:-1]], first)
        return (
            f"a disk of {sized(disk)} is too small: what comes before the {growing[0].id} "
            f"partition takes {sized(begin)}"
        )
    taken = placement.span(scheme, list(least.values()), first) + placement.tail(scheme)
    return f"the partitions take {sized(taken)} at least, and the disk has {sized(disk)}"


def entry(scheme: Scheme, volume: Volume, architecture: str) -> TableEntry:
    """Returns what the table says of a volume, for a root of that architecture."""
    if scheme == "none":
        return TableEntry()
    type_ = volume.type or volume.purpose.type(scheme, architecture)
    if scheme == "gpt":
        return TableEntry(type_, volume.guid or None, volume.name, volume.flags)
    bootable = "boot" in volume.flags and volume.role != "esp"
    active = bootable or "legacy-boot" in volume.attributes
    return TableEntry(type_, flags=("boot",) if active else ())
