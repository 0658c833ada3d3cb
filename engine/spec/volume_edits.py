"""Edits to the volumes of a spec, as a table of them makes them: pure, each giving a new spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace as changed

from msgspec.structs import replace

from engine.disk.presets import PRESETS, PresetVolume
from engine.disk.volume import Volume
from engine.spec.filesystems import ROOT_FILESYSTEMS
from engine.spec.model import Content, ImageSpec, VolumeEntry
from engine.spec.settings import Settings
from engine.spec.volumes import in_order
from engine.units import MIB, format_exact

VolumeEdit = Callable[[ImageSpec, Settings], ImageSpec]
"""An edit that needs to know what the spec means; where it does not apply, nothing changes."""


def entry_of(spec: ImageSpec, name: str) -> VolumeEntry:
    """Returns what the spec says of a volume; just its id where it says nothing."""
    return next((one for one in spec.volume if one.id == name), VolumeEntry(id=name))


def add(spec: ImageSpec, entry: VolumeEntry) -> ImageSpec:
    """Returns the spec with one more volume, at the end of the disk."""
    return replace(spec, volume=(*spec.volume, entry))


def put(spec: ImageSpec, settings: Settings, name: str, entry: VolumeEntry) -> ImageSpec:
    """Returns the spec with other words on a volume; what names it follows to its new id.

    Format and label of the root stand in `[layout]`, unless its entry has them already.
    """
    before = entry_of(spec, name)
    root = entry.id == "root"
    if root and before.format is None and entry.format in ROOT_FILESYSTEMS:
        spec = replace(spec, layout=replace(spec.layout, filesystem=entry.format))
        entry = replace(entry, format=None)
    if root and before.label is None and entry.label is not None:
        spec = replace(spec, layout=replace(spec.layout, label=entry.label))
        entry = replace(entry, label=None)
    if before in spec.volume:
        entries = [entry if one is before else one for one in spec.volume]
    else:
        entries = [*spec.volume, entry]
    entries_after = _telling(_of_preset(spec, settings), entries)
    return _renamed(replace(spec, volume=entries_after), name, entry.id)


def seal(spec: ImageSpec, settings: Settings, name: str, filesystem: str) -> ImageSpec:
    """Returns the spec with a root of a format that is only read, and its hash tree behind it.

    The root becomes as large as its contents. GRUB gives way to a unified kernel image, whose
    command line can have the root hash.
    """
    there = {volume.id: volume for volume in settings.volumes}
    if name not in there or any(volume.verity == name for volume in settings.volumes):
        return spec
    root = replace(entry_of(spec, name), format=filesystem, size=None, grow=None, free=None)
    if there[name].grow:  # on a disk of fixed size it would have all the rest
        root = replace(root, free=0)
    spec = put(spec, settings, name, root)
    tree, number = f"{name}-verity", 2
    while tree in there:
        tree, number = f"{name}-verity-{number}", number + 1
    entry = VolumeEntry(id=tree, verity=name)
    if tree != "root-verity":
        entry = replace(entry, role="root-verity")
    if settings.volumes[-1].id != name:
        entry = replace(entry, after=name)
    if spec.boot.loader == "grub":
        spec = replace(spec, boot=replace(spec.boot, loader="uki"))
    return add(spec, entry)


def remove(spec: ImageSpec, settings: Settings, name: str) -> ImageSpec:
    """Returns the spec without a volume.

    One of the preset's can only go where all are listed: the table becomes one of the spec's own.
    """
    order = [volume.id for volume in settings.volumes]
    if name not in order:
        return spec
    if name in _of_preset(spec, settings):
        spec = owned(spec, settings)
    entries = [one for one in spec.volume if one.id != name]
    order.remove(name)
    preset = [one for one in _of_preset(spec, settings) if one != name]
    return replace(spec, volume=_arranged(preset, entries, order))


def move(spec: ImageSpec, settings: Settings, name: str, by: int) -> ImageSpec:
    """Returns the spec with a volume so many places further on the disk; negative: nearer."""
    order = [volume.id for volume in settings.volumes]
    if name not in order or len({one.id for one in spec.volume}) < len(spec.volume):
        return spec
    at = order.index(name)
    goal = at + by
    if not 0 <= goal < len(order):
        return spec
    order.insert(goal, order.pop(at))
    arranged = _arranged(_of_preset(spec, settings), spec.volume, order)
    return replace(spec, volume=arranged)


def take_table(spec: ImageSpec, settings: Settings, table: str) -> ImageSpec:
    """Returns the spec with another layout.

    A table of the spec's own begins with the volumes that are there; behind a preset, the
    volumes that it has by itself are not told twice.
    """
    if PRESETS[table].own and not PRESETS[settings.layout.table].own:
        spec = owned(spec, settings)
    spec = replace(spec, layout=replace(spec.layout, table=table))
    if PRESETS[table].own:
        return spec
    preset = _of_preset(spec, settings)
    # What the preset's own would be told as in such a list, beside the same other volumes.
    others = tuple(one for one in settings.volume_entries if one.id not in preset)
    bare = changed(settings, layout=changed(settings.layout, table=table), volume_entries=others)
    plain = owned(replace(spec, volume=()), bare).volume
    entries = [one for one in spec.volume if one.id not in preset or one not in plain]
    return replace(spec, volume=_telling(preset, entries))


def owned(spec: ImageSpec, settings: Settings) -> ImageSpec:
    """Returns the spec with all volumes of its preset listed, to be changed at will."""
    if PRESETS[settings.layout.table].own:
        return spec
    table = "mbr" if settings.scheme == "mbr" else "gpt"
    preset = {one.role: one for one in PRESETS[settings.layout.table].volumes}
    entries = []
    for volume in settings.volumes:
        entry = replace(entry_of(spec, volume.id), after=None)
        if volume.id in preset:
            entry = _in_full(entry, volume, preset[volume.id], spec, settings)
        entries.append(entry)
    return replace(spec, layout=replace(spec.layout, table=table), volume=tuple(entries))


def _in_full(
    entry: VolumeEntry, volume: Volume, preset: PresetVolume, spec: ImageSpec, settings: Settings
) -> VolumeEntry:
    """Returns an entry that also says what a volume has only from its preset."""
    if volume.rest:
        free = (
            settings.size.additional_text if spec.size.additional is None else spec.size.additional
        )
        entry = replace(entry, grow=1) if volume.grow else replace(entry, free=free)
    elif entry.size is None and entry.free is None and entry.grow is None:
        usual = {"esp": settings.size.boot, "bios-boot": MIB}.get(volume.role)
        if volume.size is not None and volume.size != usual:
            entry = replace(entry, size=format_exact(volume.size))
    if entry.format is None and preset.format:
        entry = replace(entry, format=preset.format)
    if entry.label is None and preset.label and volume.role != "esp":
        entry = replace(entry, label=preset.label)
    if entry.mount is None and preset.mount != volume.purpose.mount:
        entry = replace(entry, mount=preset.mount or "")
    if entry.type is None and preset.type:
        entry = replace(entry, type=preset.type)
    return entry


def _of_preset(spec: ImageSpec, settings: Settings) -> list[str]:
    """Returns the ids that the layout of a spec has by itself."""
    return [one.role for one in PRESETS[spec.layout.table or settings.layout.table].volumes]


def _telling(preset: Sequence[str], entries: Sequence[VolumeEntry]) -> tuple[VolumeEntry, ...]:
    """Returns the entries without those that say nothing of a volume of the preset."""
    return tuple(one for one in entries if one.id not in preset or one != VolumeEntry(id=one.id))


def _renamed(spec: ImageSpec, old: str, new: str) -> ImageSpec:
    """Returns the spec with every reference to a volume following its new id."""
    if old == new:
        return spec

    def entry(one: VolumeEntry) -> VolumeEntry:
        after = new if one.after == old else one.after
        return replace(one, after=after, verity=new if one.verity == old else one.verity)

    def content(one: Content) -> Content:
        return replace(one, volume=new) if one.volume == old else one

    return replace(
        spec,
        volume=tuple(entry(one) for one in spec.volume),
        contents=tuple(content(one) for one in spec.contents),
    )


def _arranged(
    preset: Sequence[str], entries: Sequence[VolumeEntry], wanted: Sequence[str]
) -> tuple[VolumeEntry, ...]:
    """Returns entries that put the volumes in an order, with as few `after` as that takes."""
    known = {one.id: one for one in entries}
    listed = [replace(known.get(name, VolumeEntry(id=name)), after=None) for name in wanted]
    follows = {name: wanted[at] for at, name in enumerate(wanted[1:])}
    for name in (*preset, *wanted):
        fewer = {one: before for one, before in follows.items() if one != name}
        if in_order(preset, [(one, fewer.get(one, "")) for one in wanted]) == list(wanted):
            follows = fewer
    return _telling(preset, [replace(one, after=follows.get(one.id)) for one in listed])
