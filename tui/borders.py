"""Borders of the map: whose size each one changes, how far it goes, and the edit that comes of it.

A border belongs to the volume before it. Where that one has the rest of a disk of fixed size, the
border changes the volume behind it, and the end of the disk where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from engine.disk.presets import PRESETS
from engine.disk.volume import Volume
from engine.filesystems import table
from engine.plan.model import Plan, VolumePlan
from engine.spec.model import ImageSpec
from engine.spec.settings import Settings
from engine.spec.volume_edits import entry_of, put
from engine.units import MIB, ceil_to, format_exact, human
from tui.preview import Preview

DISK = ""
"""Stands for the disk where a border is its end."""
_STEPS = 16
"""Steps that a size has: one of 512 MiB moves by 32 MiB."""
_FARTHEST = 1 << 44
"""16 TiB: what ext4 can have, and far more than anybody moves a border by hand."""


@dataclass(frozen=True, slots=True)
class Border:
    """A border that can be moved. Sizes are bytes.

    Attributes:
        volume: Id of the volume whose size it changes; `DISK` for the end of the disk.
        bytes: Its size now.
        least: What it needs, in whole MiB.
        most: What there is room for.
        behind: The volume lies behind the border, and so shrinks as that moves to the right.
    """

    volume: str
    bytes: int
    least: int
    most: int
    behind: bool = False

    def snapped(self, size: int) -> int:
        """Returns the size nearest to the one wanted: a whole MiB within the limits."""
        whole = (size + MIB // 2) // MIB * MIB
        return min(max(whole, self.least), self.most)

    def stepped(self, size: int, by: int) -> int:
        """Returns the size after a step of the border to the right (1) or to the left (-1)."""
        grows = by < 0 if self.behind else by > 0
        if grows:
            step = _step(size)
            return self.snapped((size // step + 1) * step)
        step = _step(size - 1)
        return self.snapped((size - 1) // step * step)

    def told(self, size: int) -> str:
        """Returns a size that is not taken yet in words."""
        name = self.volume or "disk"
        limit = "or more" if self.most >= _FARTHEST else f"to {human(self.most)}"
        return (
            f"{name}: {human(size)} instead of {human(self.bytes)}, Enter takes it "
            f"({human(self.least)} {limit})"
        )


def _step(size: int) -> int:
    """Returns a step that goes with a size: a power of two of MiB."""
    return MIB << max((size // (_STEPS * MIB)).bit_length() - 1, 0)


def borders(preview: Preview) -> Mapping[str, Border]:
    """Returns the border behind each volume, where it can be moved."""
    plan, settings = preview.plan, preview.settings
    if plan is None or settings is None or preview.stale:
        return {}
    planned = {one.id: one for one in plan.volumes}
    order = [one for one in settings.volumes if one.id in planned and one.partitioned]
    found = {}
    for at, volume in enumerate(order):
        behind = order[at + 1] if at + 1 < len(order) else None
        border = _border(volume, behind, settings, plan)
        if border is not None and border.least <= border.bytes <= border.most:
            found[volume.id] = border
    return found


def _border(volume: Volume, behind: Volume | None, settings: Settings, plan: Plan) -> Border | None:
    planned = plan.volume(volume.id)
    fixed = settings.size.disk is not None
    if behind is None and (volume.rest or (fixed and volume.grow)):
        # It ends where the disk ends.
        spare = planned.bytes - _least(volume, planned, plan)
        least = ceil_to(plan.disk.bytes - spare, MIB)
        return Border(DISK, plan.disk.bytes, least, _FARTHEST)
    moved = volume
    if fixed and volume.grow and behind is not None and not behind.grow:
        moved = behind
    if not (settings.rules.own_volumes or moved.role == "esp"):
        return None
    planned = plan.volume(moved.id)
    least = _least(moved, planned, plan)
    most = planned.bytes + _room(moved, settings, plan) if fixed else _FARTHEST
    return Border(moved.id, planned.bytes, least, most, behind=moved is not volume)


def _least(volume: Volume, planned: VolumePlan, plan: Plan) -> int:
    """Returns what a volume holds now, in whole MiB, and no less than its format can be."""
    inside = planned.filesystem
    used = 0 if inside is None else inside.size - inside.free_bytes
    bare = MIB if inside is None else table.least(inside.type, plan.disk.sector_size)
    return min(ceil_to(max(used, volume.least, bare), MIB), planned.bytes)


def _room(moved: Volume, settings: Settings, plan: Plan) -> int:
    """Returns what a disk of fixed size can still give to a volume, in whole MiB."""
    end = max(one.start + one.sectors for one in plan.volumes) * plan.disk.sector_size
    # A MiB at the end of the disk may hold the second copy of the table.
    room = max(plan.disk.bytes - MIB - end, 0)
    for volume in settings.volumes:
        if volume.grow and volume.id != moved.id:
            planned = plan.volume(volume.id)
            room += planned.bytes - _least(volume, planned, plan)
    return room // MIB * MIB


def resize(spec: ImageSpec, settings: Settings, border: Border, size: int) -> ImageSpec:
    """Returns the spec with a border moved: with the size key of its volume, or of the disk."""
    text = format_exact(size)
    if border.volume == DISK:
        return replace(spec, size=replace(spec.size, disk=text))
    entry = entry_of(spec, border.volume)
    volume = next(one for one in settings.volumes if one.id == border.volume)
    preset = {one.role for one in PRESETS[settings.layout.table].volumes if one.size == "boot"}
    if volume.id in preset and entry.size is None:
        return replace(spec, size=replace(spec.size, boot=text))
    entry = replace(entry, size=text, free=None, grow=None, min=None)
    return put(spec, settings, border.volume, entry)
