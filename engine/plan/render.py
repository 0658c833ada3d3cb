"""A plan as JSON and as text: the map to scale, the table, where the bytes go."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Any

from engine.boot.firmware import FirmwareKind
from engine.disk.subvolumes import told
from engine.disk.verity import TREE
from engine.disk.view import Region, regions
from engine.disk.volume import Volume
from engine.filesystems.driver import FilesystemPlan
from engine.manifest.oci import describe
from engine.manifest.oci.image import ContainerImage
from engine.plan.booting import unbootable
from engine.plan.model import Plan, VolumePlan
from engine.plan.regions import view
from engine.problem import Problem, quote
from engine.spec.filesystems import RAW
from engine.spec.loaders import LOADERS, Loader
from engine.units import format_exact, human

SCHEMA = 1
_MAP_WIDTH = 72
_BAR_WIDTH = 24


def to_json(plan: Plan) -> dict[str, Any]:
    """Returns the plan as `plan --json` prints it."""
    disk = plan.disk
    answer: dict[str, Any] = {
        "schema": SCHEMA,
        "name": plan.name,
        "compat": plan.settings.compat,
        "disk": {
            "bytes": disk.bytes,
            "sector_size": disk.sector_size,
            "table": disk.table,
            "guid": disk.guid,
            "signature": disk.signature,
            "pmbr_boot": disk.pmbr_boot,
        },
        "partitions": [_partition(plan, partition) for partition in plan.partitions],
    }
    if disk.table == "none":
        answer["filesystem"] = _filesystem(plan.filesystem)
    counts = plan.counts
    size: dict[str, Any] = {
        "mode": "auto" if plan.settings.size.disk is None else "fixed",
        "breakdown": [
            {"key": share.key, "label": share.label, "bytes": share.bytes}
            for share in plan.breakdown
        ],
        "contents": {
            "files": counts.files,
            "directories": counts.directories,
            "symlinks": counts.symlinks,
            "others": counts.others,
            "hard_links": counts.hard_links,
            "bytes": counts.data_bytes,
        },
    }
    if plan.reference is not None:
        size["reference"] = _reference(plan)
    answer["size"] = size
    answer["containers"] = [
        describe.to_json(where, image) for where, image in _container_images(plan)
    ]
    answer["boot"] = _boot(plan)
    answer["notes"] = [note for note in (unbootable(plan), plan.sums.note) if note]
    answer["steps"] = [
        {
            "id": step.id,
            "title": step.title,
            "bytes": step.bytes,
            "commands": [list(command) for command in step.argv],
        }
        for step in plan.steps
    ]
    answer |= problems_to_json(plan.problems)
    answer["outputs"] = list(plan.outputs)
    answer["writes"] = list(plan.writes)
    return answer


def problems_to_json(problems: Iterable[Problem]) -> dict[str, Any]:
    """Returns the part of `plan --json` that says what is wrong."""
    return {
        "problems": [
            {
                "code": problem.code,
                "severity": problem.severity,
                "path": problem.path,
                "message": problem.message,
                "hint": problem.hint,
            }
            for problem in problems
        ]
    }


def _partition(plan: Plan, partition: VolumePlan) -> dict[str, Any]:
    return {
        "number": partition.number,
        "id": partition.id,
        "role": partition.role,
        "mount": partition.mount,
        "start": partition.start,
        "sectors": partition.sectors,
        "bytes": partition.bytes,
        "type": partition.type,
        "guid": partition.guid,
        "name": partition.name,
        "flags": list(partition.flags),
        "filesystem": _filesystem(partition.filesystem),
        **_parts_of(plan.wanted(partition.id)),
        **_verity(partition),
    }


def _parts_of(volume: Volume) -> dict[str, Any]:
    """Returns the subvolumes of a volume that has some."""
    if not volume.subvolumes:
        return {}
    found = [
        {"name": one.name, "mount": one.mount or None,
         "default": one.name == volume.default_subvolume}
        for one in volume.subvolumes
    ]  # fmt: skip
    return {"subvolumes": found}


def _verity(partition: VolumePlan) -> dict[str, Any]:
    """Returns what a hash tree is of, and its root hash; None until that is known."""
    inside = partition.filesystem
    if inside is None or inside.type != TREE:
        return {}
    told = {"data": partition.verity, "salt": inside.layout.salt.hex()}
    return {"verity": {**told, "root_hash": partition.root_hash or None}}


def _filesystem(filesystem: FilesystemPlan | None) -> dict[str, Any] | None:
    if filesystem is None or filesystem.type == RAW:
        return None
    return {
        "type": filesystem.type,
        "label": filesystem.label,
        "uuid": filesystem.uuid,
        "bytes": filesystem.size,
        "block_size": filesystem.block_size,
        "blocks": filesystem.blocks,
        "inodes": filesystem.inodes,
        "free_bytes": filesystem.free_bytes,
        "free_inodes": filesystem.free_inodes,
    }


def _boot(plan: Plan) -> dict[str, Any]:
    boot = plan.boot
    code = boot.code
    return {
        "loader": boot.loader,
        "firmware": list(boot.firmware),
        "proofs": list(boot.proofs),
        "expect": boot.expect,
        "menu": [
            {
                "title": entry.title,
                "version": entry.version,
                "kernel": _shown(entry.kernel_path),
                "initrds": [_shown(path) for path in entry.initrd_paths],
                "options": entry.options,
                "found": entry.origin,
            }
            for entry in boot.menu
        ],
        "boot_code": None
        if code is None
        else {"start": code.lba, "sectors": code.sectors, "available": code.room},
    }


def _shown(path: str) -> str:
    """Returns a path as text that can be encoded, whatever bytes it is made of."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _reference(plan: Plan) -> dict[str, int]:
    figures = plan.reference
    assert figures is not None
    return {
        "diskUsage": figures.diskUsage,
        "fudge": figures.fudge,
        "requiredFilesystemSpace": figures.requiredFilesystemSpace,
        "additionalSpace": figures.additionalSpace,
        "diskSize": figures.diskSize,
    }


def apportion(weights: Sequence[int], width: int) -> list[int]:
    """Divides cells among weights: each at least one, the rest by largest remainder.

    The parts sum to `width`, or to the number of weights if that is more.
    """
    spare = width - len(weights)
    total = sum(weights)
    if spare <= 0 or not total:
        return [1] * len(weights)
    cells = [1 + weight * spare // total for weight in weights]
    by_remainder = sorted(
        range(len(weights)), key=lambda index: (-(weights[index] * spare % total), index)
    )
    for index in by_remainder[: width - sum(cells)]:
        cells[index] += 1
    return cells


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
        f"{where}: {line}" if first else line
        for where, image in _container_images(plan)
        for first, line in zip((True, *(False,) * 9), describe.lines(image), strict=False)
    ]


def _container_images(plan: Plan) -> list[tuple[str, ContainerImage]]:
    """Returns the container images among the contents, by the entry that brings each."""
    origins = {
        where: sources
        for volume in plan.volumes
        if volume.filesystem is not None
        for where, sources in volume.filesystem.manifest.origins.items()
    }
    return [
        (where, image)
        for where, sources in origins.items()
        for image in describe.images(tuple(sources))
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
        f"{plan.name}: {human(disk.bytes)} ({disk.bytes} bytes, {format_exact(disk.bytes)}), "
        f"{described}, sectors of {disk.sector_size} bytes"
    ]
    if identity is not None:
        lines.append(f"disk {identity}")
    lines.append(f"writes {', '.join((*plan.writes, *written_by_commands(plan)))}")
    return [part for line in lines for part in _wrapped(line, room)]


def _wrapped(line: str, room: int | None) -> list[str]:
    if room is None:
        return [line]
    return wrap(line, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


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
    return [line for part in _parts(rows, room) for line in columns(part)]


def _subvolumes(plan: Plan) -> list[str]:
    """Returns a line for each volume that has subvolumes."""
    return [
        f"Subvolumes of {one.id}: {told(one.subvolumes, one.default_subvolume)}"
        for one in plan.settings.volumes
        if one.subvolumes
    ]


def _parts(rows: list[tuple[str, ...]], room: int | None) -> Iterator[list[tuple[str, ...]]]:
    """Yields a table as tables that fit, each with the first column at its left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    taken: list[int] = []
    for index in range(1, len(widths)):
        needed = widths[0] + sum(2 + widths[one] for one in (*taken, index))
        if room is not None and taken and needed > room:
            yield [(row[0], *(row[one] for one in taken)) for row in rows]
            taken = []
        taken.append(index)
    yield [(row[0], *(row[one] for one in taken)) for row in rows]


def _described(filesystem: FilesystemPlan) -> tuple[str, ...]:
    return filesystem.type, human(filesystem.size), filesystem.label, filesystem.uuid


def _breakdown(plan: Plan, room: int | None) -> list[str]:
    rows = [(share.label, human(share.bytes), str(share.bytes)) for share in plan.breakdown]
    rows.append(("Total", human(plan.disk.bytes), str(plan.disk.bytes)))
    lines = columns(rows, right={1, 2})
    width = _BAR_WIDTH if room is None else min(_BAR_WIDTH, room - len(lines[0]) - 2)
    largest = max((share.bytes for share in plan.breakdown), default=0)
    for index, share in enumerate(plan.breakdown):
        lines[index] += f"  {'#' * max(1, share.bytes * width // largest)}" if width > 0 else ""
    if plan.has_root:
        root = plan.root
        lines.append(
            f"Free in the root: {human(root.free_bytes)} ({root.free_bytes} bytes), "
            f"{root.free_inodes} inodes"
        )
    return lines


def _menu(plan: Plan, room: int | None) -> list[str]:
    """Returns what the loader offers, a line for the kernel and one for its command line."""
    boot = plan.boot
    if not boot.firmware:
        note = unbootable(plan)
        return _wrapped(f"{note} (boot.loader)", room) if note else []
    chosen = LOADERS[boot.loader]
    booted = "; ".join(_started(firmware, chosen) for firmware in boot.firmware)
    lines = _wrapped(booted, room)
    if boot.code is not None:
        lines.append(
            f"core.img: {boot.code.sectors} of {boot.code.room} sectors from {boot.code.lba}"
        )
    for number, entry in enumerate(boot.menu, start=1):
        files = " ".join((entry.kernel_path, *entry.initrd_paths))
        lines.append(f"  {number}. {entry.heading}")
        lines.append(f"     {_shown(files)}")
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
    return [
        "Automatic disk size...",
        f"  Closure space use: {figures.diskUsage} bytes",
        f"  fudge: {figures.fudge} bytes",
        f"  Filesystem size needed: {figures.requiredFilesystemSpace} bytes",
        f"  Additional space: {figures.additionalSpace} bytes",
        f"  Disk image size: {figures.diskSize} bytes",
    ]


def columns(rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Returns rows with their columns lined up, those of `right` to the right."""
    table = [tuple(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    flush = frozenset(right)
    return [
        "  ".join(
            cell.rjust(width) if index in flush else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
