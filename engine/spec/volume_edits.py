"""Edits to the volumes of a spec, as a table of them makes them: pure, each giving a new spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from engine.disk.presets import PRESETS
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.model import Content, ImageSpec, VolumeEntry
from engine.spec.settings import Settings
from engine.spec.volumes import in_order

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
    if entry.id == "root" and before.format is None and entry.format is not None:
        known = FILESYSTEMS.get(entry.format)
        if known is not None and known.writer:
            spec = replace(spec, layout=replace(spec.layout, filesystem=entry.format))
            entry = replace(entry, format=None)
    if entry.id == "root" and before.label is None and entry.label is not None:
        spec = replace(spec, layout=replace(spec.layout, label=entry.label))
        entry = replace(entry, label=None)
    if before in spec.volume:
        entries = [entry if one is before else one for one in spec.volume]
    else:
        entries = [*spec.volume, entry]
    told = _telling(_of_preset(spec, settings), entries)
    return _renamed(replace(spec, volume=told), name, entry.id)


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
    if PRESETS[table].own and not PRESETS[settings.table].own:
        spec = owned(spec, settings)
    spec = replace(spec, layout=replace(spec.layout, table=table))
    preset = _of_preset(spec, settings)
    plain = [_rest(spec, settings, grows=False)]
    if not any(one.grow for one in spec.volume if one.id != "root"):
        plain.append(_rest(spec, settings, grows=True))
    entries = [one for one in spec.volume if one.id not in preset or one not in plain]
    return replace(spec, volume=_telling(preset, entries))


def owned(spec: ImageSpec, settings: Settings) -> ImageSpec:
    """Returns the spec with all volumes of its preset listed, to be changed at will."""
    if PRESETS[settings.table].own:
        return spec
    table = "mbr" if settings.scheme == "mbr" else "gpt"
    entries = []
    for volume in settings.volumes:
        entry = replace(entry_of(spec, volume.id), after=None)
        if volume.rest:
            rest = _rest(spec, settings, grows=bool(volume.grow))
            entry = replace(entry, free=rest.free, grow=rest.grow)
        entries.append(entry)
    return replace(spec, layout=replace(spec.layout, table=table), volume=tuple(entries))


def _rest(spec: ImageSpec, settings: Settings, *, grows: bool) -> VolumeEntry:
    """Returns how a preset's root is told in a list of one's own: what its size comes from."""
    if grows:
        return VolumeEntry(id="root", grow=1)
    free = spec.size.additional
    return VolumeEntry(id="root", free=settings.additional_text if free is None else free)


def _of_preset(spec: ImageSpec, settings: Settings) -> list[str]:
    """Returns the ids that the layout of a spec has by itself."""
    return [one.role for one in PRESETS[spec.layout.table or settings.table].volumes]


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
