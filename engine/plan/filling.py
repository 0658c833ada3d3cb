"""Volumes that only a kernel fills: the command of its virtual machine, and what is lacking.

See `engine.boot.fill`.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.boot import fill
from engine.boot.qemu import Accelerator
from engine.plan.host import Host
from engine.plan.model import Plan, VolumePlan
from engine.plan.nixos import IMAGE, INITRD, KERNEL, STATUS
from engine.problem import Fix, Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.tools.table import packages_hint
from engine.units import counted

_INSTEAD = (
    "take ext4 or a read-only format, or have a kernel with its modules in the contents or on this "
    "machine (Debian: linux-image-cloud-amd64)"
)


def commands(plan: Plan, volume: VolumePlan) -> tuple[tuple[str, ...], ...]:
    """Returns the command that runs the virtual machine, by emulation."""
    return (command(plan, volume, accelerator="tcg"),)


def command(
    plan: Plan, volume: VolumePlan, *, accelerator: Accelerator, probe: bool = False
) -> tuple[str, ...]:
    """Returns the command that runs the virtual machine; see `engine.boot.fill.argv`."""
    return fill.argv(
        memory_mib=plan.memory_mib, epoch=plan.identity.epoch,
        sector_size=plan.disk.sector_size, image=IMAGE, offset=plan.offset(volume.id),
        size=volume.bytes, kernel=KERNEL, initrd=INITRD, status=STATUS,
        accelerator=accelerator, probe=probe,
    )  # fmt: skip


def not_repeatable(volume: VolumePlan) -> Problem:
    """What a kernel writes depends on the moment: two builds of such a volume differ."""
    assert volume.filesystem is not None
    return Problem(
        "not-repeatable", "warning", _path(volume),
        f"the {volume.title} is not repeatable: a kernel fills it, in a virtual machine, so "
        "that two builds hold the same files and differ in their bytes",
        "take ext4 or a read-only format where each build must be the same",
    )  # fmt: skip


def lacking(plan: Plan, host: Host) -> Iterator[Problem]:
    """Yields why volumes cannot be filled on this machine."""
    filler = plan.boot.filler
    for volume in plan.volumes:
        inside = volume.filesystem
        if inside is None or not FILESYSTEMS[inside.type].mounted or not inside.filled:
            continue
        if filler is None or filler.guest is None:
            yield _unfilled(volume, filler, host)


def _unfilled(volume: VolumePlan, filler: fill.Filler | None, host: Host) -> Problem:
    assert volume.filesystem is not None
    count = len(volume.filesystem.manifest) - 1
    title = FILESYSTEMS[volume.filesystem.type].title
    entries = counted(count, "entry", "entries")
    hint = _INSTEAD
    why = filler.reason if filler is not None else "no kernel was looked for"
    if filler is not None and filler.missing:
        first = filler.missing[0]
        why = f"this machine does not have {first.what}"
        hint = packages_hint(first.packages, host.distribution)
    path = _path(volume)
    return Problem(
        "kernel-to-fill", "error", path,
        f"the {volume.title} is to hold {entries}, and only a kernel that mounts {title} puts "
        f"files there; {why}",
        hint,
        Fix("Take ext4", ((path, "ext4"),)) if volume.path else None,
    )  # fmt: skip


def _path(volume: VolumePlan) -> str:
    return f"{volume.path}.format" if volume.path else "contents"
