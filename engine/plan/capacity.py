"""Whether everything fits where it is to go: problems with the numbers, and the edit that helps."""

from __future__ import annotations

from collections.abc import Iterator

from engine.disk.gpt import BACKUP_SECTORS, FIRST_USABLE
from engine.disk.parted_units import PartedError
from engine.filesystems import table
from engine.filesystems.driver import DoesNotFit, FilesystemPlan, Shortage
from engine.plan import aligned
from engine.plan.design import Design, placer, smallest
from engine.plan.model import Plan, VolumePlan
from engine.plan.wanted import Wanted
from engine.problem import Fix, Problem, Scalar
from engine.spec.filesystems import FILESYSTEMS, RAW
from engine.spec.formats import FORMATS
from engine.units import MIB, TIB, ceil_to, format_exact, in_bytes, sized

_LARGEST_DISK = 16 * TIB
_HEADROOM = 16 * MIB
_TIGHT = MIB


def larger_disk(design: Design, disk: int) -> int | None:
    """Returns the bytes of the smallest disk above one that is too small, as the format has them.

    None where no size of the disk helps (the ESP's size does not work, or nothing is large
    enough).
    """
    least = _least_disk(design, disk)
    return None if least is None else ceil_to(least, _multiple(design))


def _multiple(design: Design) -> int:
    """Returns what the size of the disk is a multiple of in its format."""
    return FORMATS[design.settings.output.format].size.multiple


def _least_disk(design: Design, disk: int) -> int | None:
    """Returns the bytes of the smallest disk above one that is too small, before its format."""
    try:
        if design.settings.rules.placer == "parted":
            root = smallest(design.of("root"))
            return _larger_reference(design, max(root // MIB, disk // MIB + 1))
        return _disk_of(design, _least_sizes(design))
    except DoesNotFit:
        return None


def _least_sizes(design: Design) -> dict[str, int]:
    """Returns the smallest bytes of each volume, by id; raises DoesNotFit where there are none."""
    return {
        one.volume.id: smallest(one) if one.volume.size is None else one.volume.size
        for one in design.wanted
        if one.volume.partitioned
    }


def _disk_of(design: Design, sizes: dict[str, int]) -> int:
    """Returns the bytes of a disk with volumes of these sizes."""
    known = aligned.Sizes(sizes, {})
    return aligned.disk_bytes(design.settings.scheme, design.wanted, known)


def _larger_reference(design: Design, low: int) -> int | None:
    """Searches upwards from so many MiB; parted's rounding has no simple inverse.

    From 512 MiB on, mke2fs makes room for fewer inodes by default, so that a disk that works may
    lie below one that does not.
    """
    high = low
    while not _holds(design, high * MIB):
        low, high = high + 1, high * 2
        if high * MIB > _LARGEST_DISK:
            return None
    while low < high:
        middle = (low + high) // 2
        if _holds(design, middle * MIB):
            high = middle
        else:
            low = middle + 1
    return low * MIB


def _holds(design: Design, disk: int) -> bool:
    """Whether a disk of so many bytes holds the root's contents."""
    by = placer(design)
    try:
        places = {place.id: place for place in by.places(disk)}
        planned = by.fit(design.of("root"), places["root"].sectors * design.sector_size)
    except (PartedError, DoesNotFit):
        return False
    return planned.shortage is None


def grow_disk(design: Design, disk: int) -> tuple[str, str, Fix | None]:
    """Returns the key path, the hint and the fix that make the disk large enough."""
    settings = design.settings
    wanted = larger_disk(design, disk)
    if wanted is not None and wanted <= disk:
        wanted = None
    if settings.size.disk is None:
        path = "size.additional"
        if wanted is None or settings.rules.placer != "parted":
            return path, "leave something out of the contents", None
        more = settings.size.additional + wanted - disk
        text = f"{ceil_to(more, MIB) // MIB}M"
        return path, f"ask for {text} of additional space", _fix(f"Add space: {text}", path, text)
    if wanted is None:
        return "size.disk", "leave something out of the contents", None
    text = format_exact(_roomy_disk(design, disk, wanted))
    hint = f"the smallest disk that works is {format_exact(wanted)}"
    esp = _smaller_esp(design, disk)
    if esp is not None:
        hint += f'; with size.boot = "{format_exact(esp)}" this one is enough'
    return "size.disk", hint, _fix(f"Grow the disk to {text}", "size.disk", text)


def _with_headroom(size: int) -> int:
    """Returns a size at which something can still be written: 5 % more, 16 MiB at least."""
    return ceil_to(size + max(_HEADROOM, size // 20), MIB)


def _roomy_disk(design: Design, disk: int, least: int) -> int:
    """Returns the bytes of a disk to propose; the least that works where more would not do."""
    exact = _least_disk(design, disk) or least
    roomy = ceil_to(_with_headroom(exact), _multiple(design))
    by = placer(design)
    try:
        places = {place.id: place for place in by.places(roomy)}
        planned = [
            by.fit(one, places[one.volume.id].sectors * design.sector_size)
            for one in design.wanted
            if one.filesystem is not None
        ]
    except (aligned.PlacementError, PartedError, DoesNotFit):
        return least
    return least if any(one.shortage is not None for one in planned) else roomy


def _smaller_esp(design: Design, disk: int) -> int | None:
    """Returns the bytes of a smaller ESP with which a disk of that size holds everything."""
    esp = design.settings.of_role("esp")
    if esp is None or esp.path or esp.size is None or design.settings.rules.boot_is_end:
        return None
    try:
        one = design.of(esp.id)
        needed = smallest(one)
        size = needed if needed <= _bare(design, one) else _with_headroom(needed)
        enough = _with_headroom(_disk_of(design, _least_sizes(design) | {esp.id: size})) <= disk
    except DoesNotFit:
        return None
    return size if enough and size < esp.size else None


def _bare(design: Design, one: Wanted) -> int:
    """Returns the bytes of the smallest volume of its format, whatever goes in."""
    known = one.filesystem is not None
    return table.least(one.volume.format, design.sector_size) if known else MIB


def _fix(label: str, path: str, value: Scalar) -> Fix:
    return Fix(label, ((path, value),))


def _takes_the_rest(one: Wanted) -> bool:
    """Whether the size of a volume follows from the disk's, or the disk's from it."""
    return one.volume.size is None and not one.volume.path


def _size_key(one: Wanted) -> str:
    """Returns the key path of a volume's own size."""
    return f"{one.volume.path}.size" if one.volume.path else "size.boot"


def unmakeable(design: Design, one: Wanted, disk: int, place: int, why: DoesNotFit) -> Problem:
    """The volume's place, of so many bytes, is too small for any file system, or too large."""
    volume = one.volume
    if not _takes_the_rest(one):
        return _resize(design, one, f"the {volume.purpose.title} cannot be made: {why}")
    if why.most is not None:
        return _too_large(design, one, disk, place, why.most)
    path, hint, fix = grow_disk(design, disk)
    return Problem(
        "root-too-small",
        "error",
        path,
        f"the {volume.id} has a place of {sized(place)} on a disk of {sized(disk)}, where no "
        f"{volume.format} can be made: {why}",
        hint,
        fix,
    )


def _too_large(design: Design, one: Wanted, disk: int, place: int, most: int) -> Problem:
    """The place goes beyond what a file system can count; a smaller disk solves it."""
    settings = design.settings
    excess = ceil_to(place - most, MIB)
    if settings.size.disk is not None:
        path, text = "size.disk", format_exact(disk - excess)
        hint, label = f"a disk of {text} works", f"Shrink the disk to {text}"
    else:
        path, text = "size.additional", f"{(settings.size.additional - excess) // MIB}M"
        hint, label = f"{text} of additional space work", f"Ask for less space: {text}"
    solvable = settings.size.disk is not None or settings.size.additional >= excess
    return Problem(
        "root-too-large",
        "error",
        path,
        f"the {one.volume.id} has a place of {sized(place)} on a disk of {sized(disk)}, and an "
        f"{one.volume.format} reaches only {sized(most)}",
        hint if solvable else "leave something out of the contents",
        _fix(label, path, text) if solvable else None,
    )


def full(design: Design, disk: int, planned: VolumePlan) -> Iterator[Problem]:
    """Yields why the contents of a volume do not fit, or why it is too small by itself."""
    filesystem = planned.filesystem
    if filesystem is None or filesystem.shortage is None:
        return
    one, short = design.of(planned.id), filesystem.shortage
    if short.resource == "clusters":
        yield _too_few_clusters(design, one, filesystem.size, short)
    elif _takes_the_rest(one):
        yield _rest_full(design, disk, one, filesystem)
    else:
        yield _resize(design, one, _lack(one.volume.purpose.title, short))


def _lack(title: str, short: Shortage) -> str:
    if short.resource == "names":
        return f"the names in the {title}'s root directory {short.why}"
    return (
        f"the {title}'s contents take {sized(short.needed)}, and it has {sized(short.available)} "
        "for them"
    )


def _rest_full(design: Design, disk: int, one: Wanted, planned: FilesystemPlan) -> Problem:
    path, hint, fix = grow_disk(design, disk)
    short = planned.shortage
    assert short is not None
    title = one.volume.purpose.title
    if short.resource == "bytes":
        return Problem(
            "contents-too-large", "error", path,
            f"the contents take {sized(short.needed)} of the {title}, which has "
            f"{sized(short.available)} for them: {sized(short.needed - short.available)} too "
            "little",
            hint, fix,
        )  # fmt: skip
    return Problem(
        "too-few-inodes", "error", path,
        f"the contents take {short.needed} inodes, and the {title} has {short.available} for them",
        hint, fix,
    )  # fmt: skip


def _resize(design: Design, one: Wanted, message: str) -> Problem:
    """A volume of its own fixed size is too small; its key says how large it must be."""
    code = "esp-too-small" if one.volume.role == "esp" else "volume-too-small"
    title = one.volume.purpose.title
    try:
        wanted = smallest(one)
    except DoesNotFit:
        return Problem(
            code, "error", _size_key(one), message, f"leave something out of the {title}'s contents"
        )
    exact = one.volume.format == RAW or one.is_layer  # nothing is ever added to these
    text = format_exact(wanted if exact else _with_headroom(wanted))
    return Problem(
        code, "error", _size_key(one), message,
        f"the smallest {title} that works is {format_exact(wanted)}",
        _grow_volume(design, one, text),
    )  # fmt: skip


def _grow_volume(design: Design, one: Wanted, text: str) -> Fix | None:
    """Returns the edit to a volume's size; for make-disk-image the key says where the ESP ends."""
    if design.settings.rules.boot_is_end:
        return None
    return _fix(f"Grow the {one.volume.purpose.title} to {text}", _size_key(one), text)


def _too_few_clusters(design: Design, one: Wanted, size: int, short: Shortage) -> Problem:
    title = one.volume.purpose.title
    text = format_exact(smallest(one))
    code = "esp-too-few-clusters" if one.volume.role == "esp" else "volume-too-few-clusters"
    return Problem(
        code, "error", _size_key(one),
        f"the {title} of {sized(size)} {short.why}",
        f"the smallest {title} that works is {text}",
        _grow_volume(design, one, text),
    )  # fmt: skip


def tight(design: Design, planned: VolumePlan) -> Iterator[Problem]:
    """Yields what a file system that fits lacks all the same: room to write to, a journal.

    Free space that was asked for as such is as asked for.
    """
    filesystem = planned.filesystem
    if filesystem is None or filesystem.shortage:
        return
        return
    one = design.of(planned.id)
    if filesystem.most_bytes > planned.bytes:
        yield _uncertain(one, planned, filesystem)
    row = FILESYSTEMS[filesystem.type]
    if not (row.root and row.writable):
        return
    fixed = design.settings.size.disk is not None or one.volume.size is not None
    free = filesystem.free_bytes
    free_key = f"{one.volume.path}.free" if one.volume.path else "size.additional"
    path = "size.disk" if _takes_the_rest(one) else _size_key(one)
    if fixed and (free < _TIGHT or free * 100 < filesystem.size):
        yield Problem(
            "volume-nearly-full", "warning", path,
            f"the {planned.title} has {sized(free)} of {sized(filesystem.size)} free once "
            "everything is in",
            "a running system writes to it: give it more",
        )  # fmt: skip
    if row.journal and not dict(filesystem.parts).get("journal"):
        yield Problem(
            "no-journal", "warning", path if fixed else free_key,
            f"the {planned.title} of {sized(filesystem.size)} is too small for a journal; "
            f"{row.unjournaled}",
            "a journal takes a file system of 8 MiB or more",
        )  # fmt: skip


def _uncertain(one: Wanted, planned: VolumePlan, filesystem: FilesystemPlan) -> Problem:
    """A place that holds the contents only if compression makes them small enough."""
    return Problem(
        "size-uncertain", "warning",
        "size.disk" if _takes_the_rest(one) else _size_key(one),
        f"the {planned.title} has {sized(planned.bytes)}, and its contents take up to "
        f"{sized(filesystem.most_bytes)} before they are compressed",
        "the build ends with the size that works if they turn out to be larger; "
        f"{format_exact(ceil_to(filesystem.most_bytes, MIB))} are certain to be enough",
    )  # fmt: skip


def unaligned(design: Design) -> Iterator[Problem]:
    """Yields volumes whose size is not a whole number of what their format counts in."""
    for one in design.wanted:
        offset = one.volume.offset
        if offset is not None and offset % design.sector_size:
            yield Problem(
                "offset-unaligned", "error", f"{one.volume.path}.offset",
                f"is {offset}, not a whole number of sectors of {design.sector_size} bytes",
                f"{ceil_to(offset, design.sector_size)} is the next",
                _fix("Take the next", f"{one.volume.path}.offset",
                     ceil_to(offset, design.sector_size)),
            )  # fmt: skip
        size = one.volume.size
        inside = one.filesystem
        granularity = (
            design.sector_size if inside is None else inside.driver.granularity(design.sector_size)
        )
        if size is None or size % granularity == 0:
            continue
        text = format_exact(max(_bare(design, one), ceil_to(size, MIB)))
        title = one.volume.purpose.title
        yield Problem(
            "esp-unaligned" if one.volume.role == "esp" else "volume-unaligned",
            "error",
            _size_key(one),
            f"the {title} has {in_bytes(size)}, which is not a multiple of {granularity:,}",
            f"{text} is the next size that works",
            Fix(f"Make the {title} {text}", ((_size_key(one), text),)),
        )


def overlaps(plan: Plan) -> Iterator[Problem]:
    """Yields raw volumes that meet the table, another volume or the end of the disk."""
    sector = plan.disk.sector_size
    front = FIRST_USABLE[sector] * sector if plan.disk.table == "gpt" else sector
    back = BACKUP_SECTORS[sector] * sector if plan.disk.table == "gpt" else 0
    taken = [(0, front, "the partition table")]
    taken.append((plan.disk.bytes - back, plan.disk.bytes + back, "the end of the disk"))
    taken += [
        (one.start * sector, one.start * sector + one.bytes, f"the volume {one.id}")
        for one in plan.volumes
    ]
    for raw in plan.volumes:
        if raw.number or plan.disk.table == "none":
            continue
        first, last = raw.start * sector, raw.start * sector + raw.bytes
        for start, end, what in taken:
            if what != f"the volume {raw.id}" and first < end and start < last:
                yield Problem(
                    "raw-overlap", "error", f"{raw.path}.offset",
                    f"{raw.id} takes bytes {first} to {last - 1}, and {what} takes {start} to "
                    f"{end - 1}",
                    "move it, or make it smaller",
                )  # fmt: skip
