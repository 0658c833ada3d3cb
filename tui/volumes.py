"""The volumes of a design in words: rows of their table, and what can be added to it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from engine.disk import verity
from engine.disk.roles import ROLES
from engine.disk.volume import Volume
from engine.filesystems.table import DRIVERS
from engine.plan.model import Plan, VolumePlan
from engine.problem import Problem
from engine.spec.filesystems import FILESYSTEMS, RAW
from engine.spec.model import VolumeEntry
from engine.spec.settings import Settings
from engine.units import format_exact, human, sized
from tui.preview import Preview
from tui.text import counted, visible

_MADE = tuple(key for key in DRIVERS if not FILESYSTEMS[key].layer)
FORMATS: tuple[tuple[str, str], ...] = tuple(
    (key, "nothing" if key == RAW else FILESYSTEMS[key].title if key in FILESYSTEMS else key)
    for key in _MADE
)
"""Formats that a volume can have, with their titles."""


def holds_files(format_: str) -> bool:
    """Whether files go into a volume of a format."""
    known = FILESYSTEMS.get(format_)
    return known is not None and known.files


OFFERED = tuple(key for key, role in ROLES.items() if role.format in _MADE)
"""Roles that a volume can be given."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Something to add.

    Attributes:
        entry: What the spec then says, all of it valid; a raw one still needs its source.
        seals: Id of the root that becomes read-only along with it, or "".
    """

    key: str
    title: str
    summary: str
    entry: VolumeEntry
    seals: str = ""


SEALING = (
    "The root becomes a file system that is only read, as large as its contents, and gets a hash "
    "tree (dm-verity): what is changed later cannot be read.\n\n"
    "The contents must have a kernel and a systemd initrd with systemd-veritysetup (dracut makes "
    'one: --add "systemd-veritysetup dm"). What the system writes needs a place of its own: a '
    "volume for /var, or a tmpfs. Take a unified kernel image or systemd-boot on page 3: the "
    "command line gets the root hash.\n\n"
    "EROFS is written at once and read fastest; squashfs is compressed, and smaller."
)
"""What a read-only root is, and what it needs."""


def kinds(settings: Settings, plan: Plan | None) -> tuple[Kind, ...]:
    """Returns what can be added to a disk, the most wanted first."""
    return tuple(
        kind for kind in _kinds(settings, plan) if ROLES[kind.entry.role or "data"].format in _MADE
    )


def _kinds(settings: Settings, plan: Plan | None) -> Iterator[Kind]:
    taken = {volume.id for volume in settings.volumes}
    roles = {volume.role for volume in settings.volumes}
    # Of a disk of fixed size there is something left to share.
    fixed = settings.size.disk is not None
    rest: dict[str, int | str] = {"grow": 1} if fixed else {"free": "256MiB"}

    def entry(name: str, role: str, **keys: str | int) -> VolumeEntry:
        name = free_id(name, taken)
        kept = None if name == role or (role == "data" and name not in ROLES) else role
        return VolumeEntry(id=name, role=kept, **keys)  # type: ignore[arg-type]

    yield Kind("home", "Home", "The users' files, mounted at /home", entry("home", "home", **rest))
    yield Kind("swap", "Swap", "Swap space", entry("swap", "swap", size="1GiB"))
    yield Kind("data", "Data", "A file system for anything", entry("data", "data", **rest))
    if "root" in roles:
        yield Kind(
            "second-root", "Second root",
            "As large as the first and empty: the B of an A/B pair, for the next version",
            entry("root-b", "root", size=_size_of_root(plan)),
        )  # fmt: skip
    else:
        yield Kind("root", "Root", "The system itself, mounted at /",
                   entry("root", "root", free="512MiB"))  # fmt: skip
    root = settings.of_role("root")
    gpt = settings.scheme == "gpt"
    if root is not None and gpt and not verity.tree_of(settings.volumes, root.id):
        yield Kind(
            "read-only-root", "Read-only root",
            "The root with a hash tree, in one step: nobody can change it unnoticed",
            entry("root-verity", "root-verity", verity=root.id), seals=root.id,
        )  # fmt: skip
    bare = _without_tree(settings)
    if bare:
        yield Kind(
            "root-verity", "Hash tree",
            "The root is read through dm-verity: nobody can change it unnoticed",
            entry("root-verity", "root-verity", verity=bare),
        )  # fmt: skip
    yield Kind(
        "raw", "Raw blob", "Bytes of a file outside of all partitions: a board's boot loader",
        entry("blob", "raw", offset="8KiB"),
    )  # fmt: skip
    yield Kind("empty", "Empty", "A partition with nothing in it",
               entry("empty", "data", format=RAW, size="64MiB"))  # fmt: skip
    if "esp" not in roles:
        yield Kind("esp", "ESP", "EFI system partition: holds what UEFI boots",
                   entry("esp", "esp"))  # fmt: skip
    if "bios-boot" not in roles and settings.scheme == "gpt":
        yield Kind("bios-boot", "BIOS boot", "Room for GRUB's core, for machines with a BIOS",
                   entry("bios-boot", "bios-boot"))  # fmt: skip
    if not roles & {"boot", "xbootldr"}:
        yield Kind("boot", "Boot", "A file system of its own for /boot",
                   entry("boot", "boot", size="512MiB"))  # fmt: skip
    if "var" not in roles:
        yield Kind("var", "Var", "What the system writes, mounted at /var",
                   entry("var", "var", **rest))  # fmt: skip


def _without_tree(settings: Settings) -> str:
    """Returns the id of the root that a hash tree can be added for, or ""."""
    root = settings.of_role("root")
    if root is None or root.grow or settings.scheme != "gpt":
        return ""
    return "" if verity.tree_of(settings.volumes, root.id) else root.id


def _size_of_root(plan: Plan | None) -> str:
    root = None if plan is None else plan.of_role("root")
    return "1GiB" if root is None else format_exact(root.bytes)


def free_id(wanted: str, taken: Collection[str]) -> str:
    """Returns an id that no volume has: the one wanted, or with a number."""
    number, name = 2, wanted
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """A volume as its table shows it, in full."""

    id: str
    role: str
    format: str
    mount: str
    rule: str
    size: str
    files: str


def rows(preview: Preview) -> tuple[VolumeRow, ...]:
    """Returns the rows of a design, in disk order."""
    if preview.settings is None:
        return ()
    plan = None if preview.plan is None or preview.stale else preview.plan
    planned = {} if plan is None else {one.id: one for one in plan.volumes}
    return tuple(_row(volume, planned.get(volume.id)) for volume in preview.settings.volumes)


def _row(volume: Volume, planned: VolumePlan | None) -> VolumeRow:
    return VolumeRow(
        id=visible(volume.id),
        role=volume.role,
        format="-" if volume.format == RAW else volume.format,
        mount=visible(", ".join(one.mount for one in volume.mounts) or "-"),
        rule=rule(volume),
        size="-" if planned is None else human(planned.bytes),
        files="-"
        if planned is None or not holds_files(volume.format)
        else f"{files_in(planned):,}",
    )


def rule(volume: Volume) -> str:
    """Returns in words what the size of a volume follows from."""
    if volume.offset is not None:
        return f"its file at {format_exact(volume.offset)}"
    if volume.size is not None:
        return format_exact(volume.size)
    if volume.rest and volume.grow:
        return "all the rest"
    if volume.grow:
        return f"share {volume.grow}"
    if volume.format in {verity.TREE, verity.SIGNATURE}:
        return f"for {volume.verity}"
    within = "its file" if volume.source else "contents"
    return f"{within} + {format_exact(volume.free)}" if volume.free else within


def files_in(planned: VolumePlan) -> int:
    """Returns how many files the contents give to a volume."""
    return 0 if planned.filesystem is None else planned.filesystem.manifest.counts.files


def _purpose(volume: Volume) -> str:
    """Returns what a volume is for, or "" where that says nothing of it."""
    if volume.role == "data":
        return ""
    if volume.role == "root" and not volume.mount:
        return "Another root file system, mounted nowhere"
    return ROLES[volume.role].purpose


def problem_of(preview: Preview, volume: Volume) -> Problem | None:
    """Returns the worst problem of a volume."""
    for problem in preview.problems:
        if volume.path and (
            problem.path == volume.path or problem.path.startswith(f"{volume.path}.")
        ):
            return problem
    return None


def sentence(preview: Preview, name: str) -> str:
    """Returns a volume in words: what is wrong with it, or its exact figures."""
    volumes = () if preview.settings is None else preview.settings.volumes
    volume = next((one for one in volumes if one.id == name), None)
    if volume is None:
        return ""
    problem = problem_of(preview, volume)
    if problem is not None:
        return f"{problem.severity.title()}: {visible(problem.message)}"
    parts = list(filter(None, [_purpose(volume)]))
    plan = preview.plan
    planned = None if plan is None or preview.stale else _find(plan, name)
    if planned is not None:
        parts.append(gives(planned))
        if holds_files(volume.format):
            parts.append(f"{counted(files_in(planned), 'file')} from the contents")
    return "; ".join(parts)


def gives(planned: VolumePlan) -> str:
    """Returns what the size of a volume comes to."""
    text = sized(planned.bytes)
    inside = planned.filesystem
    if inside is None or not holds_files(inside.type):
        return text
    return f"{text}, {human(inside.free_bytes)} free"


def outcome(plan: Plan | None, name: str) -> str:
    """Returns what a plan makes of one volume, for the form that asks for it."""
    planned = None if plan is None else _find(plan, name)
    if plan is None or planned is None:
        return ""
    return f"gives {gives(planned)}; the disk has {human(plan.disk.bytes)}"


def _find(plan: Plan, name: str) -> VolumePlan | None:
    return next((one for one in plan.volumes if one.id == name), None)
