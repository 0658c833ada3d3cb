"""A plan as text: the map to scale, the table, where the bytes go."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from engine.boot.firmware import FirmwareKind
from engine.disk.subvolumes import told
from engine.disk.view import Region, regions
from engine.filesystems.driver import FilesystemPlan
from engine.manifest.oci import describe
from engine.plan.as_json import container_images, shown_path
from engine.plan.booting import unbootable
from engine.plan.model import Plan
from engine.plan.regions import view
from engine.plan.tables import apportion, columns, narrowed, wrapped
from engine.problem import quote
from engine.spec.loaders import LOADERS, Loader
from engine.units import counted, format_exact, human, in_bytes, sized

_MAP_WIDTH = 72
_BAR_WIDTH = 24


def to_text(plan: Plan, width: int = _MAP_WIDTH, *, within: bool = False) -> str:
    """Returns the plan for a terminal or a file; no problems.

    Args:
        plan: What to tell.
        width: Columns for the map.
        within: Nothing but paths and command lines may take more columns than that: tables go
            on below themselves, and sentences are wrapped.
    """
    room = width if within else None
    blocks = [
        _heading(plan, room),
        disk_map(plan, width),
        _partition_table(plan, room),
        _subvolumes(plan),
        _menu(plan, room),
        _breakdown(plan, room),
        _figures(plan),
        _own_commands(plan),
        _containers(plan),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _containers(plan: Plan) -> list[str]:
    """Returns what the container images among the contents say about themselves."""
    return [
        f"{where}: {line}" if index == 0 else line
        for where, image in container_images(plan)
        for index, line in enumerate(describe.lines(image))
    ]


def _own_commands(plan: Plan) -> list[str]:
    """Returns the user's own commands, word for word: none runs that was not shown."""
    settings = plan.settings
    texts = {"hook": settings.hooks.after_build, "sign": shlex.join(settings.output.sign)}
    own = [(step.title, texts[step.id]) for step in plan.steps if step.id in texts]
    return [f"{title}: {quote(text, len(text))}" for title, text in own]


def _heading(plan: Plan, room: int | None) -> list[str]:
    disk = plan.disk
    identity = disk.guid or disk.signature
    described = {"gpt": "GPT", "mbr": "MBR", "none": "no partition table"}[disk.table]
    described += " (its protective MBR active)" if disk.pmbr_boot else ""
    lines = [
        f"{plan.name}: {human(disk.bytes)} ({in_bytes(disk.bytes)}, {format_exact(disk.bytes)}), "
        f"{described}, sectors of {disk.sector_size} bytes"
    ]
    if identity is not None:
        lines.append(f"disk {identity}")
    lines.append(f"writes {', '.join((*plan.writes, *written_by_commands(plan)))}")
    return [part for line in lines for part in wrapped(line, room)]


def written_by_commands(plan: Plan) -> Iterator[str]:
    """Yields what the user's own commands may add to the files of `plan.writes`, in words."""
    if plan.settings.output.sign:
        yield f"what {quote(plan.settings.output.sign[0])} writes beside SHA256SUMS"
    if plan.settings.hooks.after_build:
        yield "what the hook adds to $OUT"


def disk_map(plan: Plan, width: int) -> list[str]:
    """Returns the disk drawn to scale in three lines: border, what is where, border."""
    shown = regions(view(plan))
    if not shown or width < 2 * len(shown) + 1:
        return []
    cells = apportion([region.bytes for region in shown], width - len(shown) - 1)
    border = "+" + "+".join("-" * count for count in cells) + "+"
    inside = "|".join(
        _region_text(region, count) for region, count in zip(shown, cells, strict=True)
    )
    return [border, f"|{inside}|", border]


def _region_text(region: Region, width: int) -> str:
    """Returns the longest name of a region that fits, in the middle of its cells."""
    name = region.id if region.number == 0 else f"{region.number} {region.id}"
    texts = (f"{name} {human(region.bytes)}", name, str(region.number or ""), "")
    text = next(text for text in texts if len(text) <= width)
    return text.center(width, "." if region.role == "gap" else " ")


def _partition_table(plan: Plan, room: int | None) -> list[str]:
    if plan.filesystem is not None:
        return columns([("Type", "Size", "Label", "UUID"), _described(plan.filesystem)])
    if not plan.partitions:
        return []
    rows: list[tuple[str, ...]] = [
        ("No", "Role", "Start", "Sectors", "Size", "Name", "Contents", "Type", "GUID")
    ]
    rows += [
        (
            str(partition.number),
            partition.role,
            str(partition.start),
            str(partition.sectors),
            human(partition.bytes),
            partition.name or "-",
            partition.filesystem.type if partition.filesystem else "-",
            partition.type,
            partition.guid or ("of the root hash" if plan.disk.table == "gpt" else "-"),
        )
        for partition in plan.partitions
    ]
    return [line for part in narrowed(rows, room) for line in columns(part)]


def _subvolumes(plan: Plan) -> list[str]:
    """Returns a line for each volume that has subvolumes."""
    return [
        f"Subvolumes of {one.id}: {told(one.subvolumes, one.default_subvolume)}"
        for one in plan.settings.volumes
        if one.subvolumes
    ]


def _described(filesystem: FilesystemPlan) -> tuple[str, ...]:
    return filesystem.type, human(filesystem.size), filesystem.label, filesystem.uuid


def _breakdown(plan: Plan, room: int | None) -> list[str]:
    rows = [(share.label, human(share.bytes), f"{share.bytes:,}") for share in plan.breakdown]
    rows.append(("Total", human(plan.disk.bytes), f"{plan.disk.bytes:,}"))
    lines = columns(rows, right={1, 2})
    width = _BAR_WIDTH if room is None else min(_BAR_WIDTH, room - len(lines[0]) - 2)
    largest = max((share.bytes for share in plan.breakdown), default=0)
    for index, share in enumerate(plan.breakdown):
        lines[index] += f"  {'#' * max(1, share.bytes * width // largest)}" if width > 0 else ""
    if plan.has_root:
        root = plan.root
        free = f"Free in the root: {sized(root.free_bytes)}, {counted(root.free_inodes, 'inode')}"
        lines += wrapped(free, room)
    return lines


def _menu(plan: Plan, room: int | None) -> list[str]:
    """Returns what the loader offers, a line for the kernel and one for its command line."""
    boot = plan.boot
    if not boot.firmware:
        note = unbootable(plan)
        return wrapped(f"{note} (boot.loader)", room) if note else []
    chosen = LOADERS[boot.loader]
    booted = "; ".join(_started(firmware, chosen) for firmware in boot.firmware)
    lines = wrapped(booted, room)
    if boot.code is not None:
        lines.append(
            f"core.img: {boot.code.sectors} of {boot.code.room} sectors from {boot.code.lba}"
        )
    for number, entry in enumerate(boot.menu, start=1):
        files = " ".join((entry.kernel_path, *entry.initrd_paths))
        lines.append(f"  {number}. {entry.heading}")
        lines.append(f"     {shown_path(files)}")
        lines.append(f"     {entry.options}")
    return lines


def _started(firmware: FirmwareKind, loader: Loader) -> str:
    """Returns what a firmware boots: GRUB wherever the chosen loader is not for it."""
    able = loader if firmware in loader.firmware else LOADERS["grub"]
    return f"{firmware.upper()} boots {able.title}"


def _figures(plan: Plan) -> list[str]:
    figures = plan.reference
    if figures is None:
        return []
    # As make-disk-image prints them, to be compared with its log.
    return [
        "Automatic disk size...",
        f"  Closure space use: {figures.diskUsage} bytes",
        f"  fudge: {figures.fudge} bytes",
        f"  Filesystem size needed: {figures.requiredFilesystemSpace} bytes",
        f"  Additional space: {figures.additionalSpace} bytes",
        f"  Disk image size: {figures.diskSize} bytes",
    ]
