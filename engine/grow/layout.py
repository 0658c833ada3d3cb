"""Which volume of an image grows, by how much, and what stands in the way: arithmetic only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.disk.gpt_move import read_gpt
from engine.disk.roles import role_of
from engine.image.table import Partition
from engine.inspect.image import Image, Part
from engine.problem import Problem, Refused, printable
from engine.units import MIB, ceil_to, human, in_bytes

_EXT = frozenset({"ext2", "ext3", "ext4"})
_MANIFEST = "manifest.json"
_MOST_MANIFEST = 16 << 20
_MBR_MOST = 0xFFFF_FFFF
"""Sectors that an entry of an MBR can count."""
_EXTENDED = frozenset({"0x05", "0x0f", "0x85"})
_WHY_NOT = {
    "vfat": "is FAT, which is left alone: the size of its clusters and tables is fixed when it is "
    "made, and nothing changes it in place",
    "swap": "is swap space, which says how large it is",
    "squashfs": "is squashfs, which nothing can be added to",
    "erofs": "is EROFS, which nothing can be added to",
    "verity": "is a hash tree, whose size is that of what it covers",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a larger image will be. Bytes throughout.

    Attributes:
        size: Of the disk.
        part: The volume that grows.
        start: Where it begins; it stays there.
        end: Where it ends now, exclusive.
        by: How much longer it gets; what is behind it moves by as much.
        behind: Partitions that move.
        filesystem: Whether there is an ext file system in it, which grows along.
    """

    size: int
    part: Part
    start: int
    end: int
    by: int
    behind: tuple[Partition, ...]
    filesystem: bool


def growth(image: Image, to: int, volume: str | None) -> Growth:
    """Returns how an image becomes `to` bytes large.

    Args:
        image: The image.
        to: Bytes; rounded up to whole MiB.
        volume: Its id, role, name, label or number; the last on the disk if None.

    Raises:
        Refused: It cannot; the problem says why.
    """
    size = ceil_to(to, MIB)
    if size <= image.disk.size:
        raise _refused(
            "grow-not-larger",
            f"{image.path.name} has {in_bytes(image.disk.size)} ({human(image.disk.size)}), and "
            f"{size:,} ({human(size)}) are not more",
            "give a larger size, or +SIZE for that much more",
        )
    part = _chosen(image, volume)
    sector = image.table.sector_size
    if part.partition is None:
        start, end = 0, part.window.size
    else:
        start = part.partition.start * sector
        end = part.partition.end * sector
    trailer = MIB if image.table.kind == "gpt" else 0
    behind = tuple(p for p in _real(image) if p.start * sector >= end) if part.partition else ()
    last = max((p.end * sector for p in behind), default=end)
    by = (size - trailer - last) // MIB * MIB
    if by <= 0:
        raise _refused(
            "grow-no-room",
            f"of {human(size)} nothing is left for {part.name}: what is there, and its alignment, "
            f"need {human(last + trailer + MIB)}",
            "give a larger size",
        )
    found = Growth(
        size=size, part=part, start=start, end=end, by=by, behind=behind,
        filesystem=part.content is not None and part.content.type in _EXT,
    )  # fmt: skip
    problems = [*_objections(image, found)]
    if problems:
        raise Refused(problems)
    return found


def _real(image: Image) -> list[Partition]:
    return [p for p in image.table.partitions if p.type.lower() not in _EXTENDED]


def _parts(image: Image) -> list[Part]:
    kept = {p.number for p in _real(image)}
    return [p for p in image.parts if p.partition is None or p.partition.number in kept]


def _chosen(image: Image, volume: str | None) -> Part:
    parts = _parts(image)
    if not parts:
        raise _refused("grow-nothing", f"{image.path.name} has no partition", "")
    if volume is None:
        return max(parts, key=lambda part: part.window.start)
    ids = _ids(image.path)
    ways: tuple[Callable[[Part], object], ...] = (
        lambda part: part.partition and ids.get(part.partition.number) == volume,
        lambda part: part.partition and part.partition.name == volume,
        lambda part: part.content is not None and part.content.label == volume,
        lambda part: part.partition and role_of(part.partition.type) == volume,
        lambda part: part.partition and str(part.partition.number) == volume,
        lambda part: part.partition is None and volume == "root",
    )
    for way in ways:
        fitting = [part for part in parts if way(part)]
        if len(fitting) == 1:
            return fitting[0]
    names = "; ".join(_named(part, ids) for part in parts)
    few = "more than one" if any(way(part) for way in ways for part in parts) else "no"
    raise _refused(
        "grow-no-such-volume", f'{few} volume is "{printable(volume)}"', f"there are: {names}"
    )


def _named(part: Part, ids: dict[int, str]) -> str:
    if part.partition is None:
        return part.name
    number = part.partition.number
    known = ids.get(number) or part.partition.name or role_of(part.partition.type)
    return f"{number} ({printable(known)})"


def _ids(path: Path) -> dict[int, str]:
    """Returns volume ids by partition, where the manifest beside an image has them."""
    record = path.parent / _MANIFEST
    try:
        if record.stat().st_size > _MOST_MANIFEST:
            return {}
        plan = json.loads(record.read_bytes())["plan"]
        if path.name not in plan["outputs"]:
            return {}
        return {int(one["number"]): str(one["id"]) for one in plan["partitions"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _objections(image: Image, found: Growth) -> Iterator[Problem]:
    part, table = found.part, image.table
    # One that was only made longer is put right on the way.
    damages = [finding for finding in table.findings if "not in the last sector" not in finding]
    if damages:
        for damage in damages:
            yield _problem("grow-damaged", f"{image.path.name}: {damage}", "repair it first")
        return
    if part.trouble:
        yield _problem("grow-unreadable", f"{part.name} cannot be read: {part.trouble}", "")
    content = part.content
    if image.around is not None:
        yield _problem("grow-format", f"{image.path.name} is {image.around.what} as well", "")
    if part.partition is None and content is None:
        what = "neither partitions nor a file system that is known"
        if part.foreign is not None:
            what = f"no partitions but {part.foreign.what}"
        yield _problem(
            "grow-format", f"{image.path.name} has {what}", "grow what is in it with its own tools",
        )  # fmt: skip
    if content is not None and not found.filesystem:
        why = _WHY_NOT.get(content.type, f"is {content.type}, which is grown only while mounted")
        yield _problem(
            "grow-format", f"{part.name} {why}",
            "name another volume with --volume, or rebuild the image with the size you want",
        )  # fmt: skip
    if content is not None and found.filesystem and content.size > part.window.size:
        message = f"the file system in {part.name} says it is larger than its partition"
        yield _problem("grow-damaged", message, "repair it first")
    role = role_of(part.partition.type) if part.partition is not None else ""
    trees = {role_of(p.type) for p in table.partitions}
    if role and f"{role}-verity" in trees:
        yield _problem(
            "grow-verity", f"{part.name} has a hash tree beside it, which would not fit any more",
            "rebuild the image",
        )  # fmt: skip
    yield from _moving(image, found)
    if any(_outside(image, found)):
        yield _problem(
            "grow-outside", f"behind {part.name} there are bytes outside of all partitions",
            "they have a place of their own; rebuild the image",
        )  # fmt: skip
    if table.kind == "mbr":
        last = max(p.end for p in _real(image)) + found.by // table.sector_size
        if last > _MBR_MOST:
            yield _problem(
                "grow-mbr", f"an MBR ends at {human(_MBR_MOST * table.sector_size)}", "take a GPT"
            )


def _moving(image: Image, found: Growth) -> Iterator[Problem]:
    """Yields what of the disk behind a volume cannot move."""
    if not found.behind:
        return
    names = ", ".join(str(p.number) for p in found.behind)
    if image.table.kind == "mbr":
        yield _problem(
            "grow-behind", f"partitions lie behind {found.part.name}: {names}",
            "in an MBR only the last one grows",
        )  # fmt: skip
        return
    for partition in found.behind:
        if role_of(partition.type) == "bios-boot":
            yield _problem(
                "grow-behind",
                f"partition {partition.number}, behind {found.part.name}, holds GRUB's core, which "
                "the boot sector finds by its place",
                "rebuild the image",
            )


def _outside(image: Image, found: Growth) -> Iterator[bool]:
    """Yields whether what is behind the volume and in no partition holds anything."""
    if found.part.partition is None:
        return
    sector = image.table.sector_size
    taken = [(p.start * sector, p.end * sector) for p in found.behind]
    if image.table.kind == "gpt":
        gpt = read_gpt(image.disk.read(0, min(MIB, image.disk.size)), sector)
        taken.append(((gpt.backup + 1 - gpt.trailer) * sector, (gpt.backup + 1) * sector))
    at = found.end
    for start, end in [*sorted(taken), (image.disk.size, image.disk.size)]:
        for offset in range(at, start, MIB):
            yield any(image.disk.read(offset, min(MIB, start - offset)))
        at = max(at, end)


def _refused(code: str, message: str, hint: str) -> Refused:
    return Refused([_problem(code, message, hint)])


def _problem(code: str, message: str, hint: str) -> Problem:
    return Problem(code, "error", "", message, hint)
