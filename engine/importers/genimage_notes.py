"""What of a genimage configuration has no place in a spec, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from engine.disk import placement
from engine.disk.volume import Scheme
from engine.importers import room
from engine.importers.confuse import Option, Section
from engine.importers.draft import Draft
from engine.importers.genimage_config import Config, bytes_of
from engine.spec.model import VolumeEntry
from engine.units import MIB, parse_size

_CONFIG_KEYS = {"rootpath", "inputpath"}
NOT = {
    "gpt-location": "the table is where UEFI has it, in the sectors behind its header",
    "gpt-no-backup": "a GPT has its copy at the end",
    "extended-partition": "the extended partition is the fourth, where there are more than four",
    "align": "partitions begin at whole MiB",
    "holes": "bytes outside of partitions may not meet the table",
    "hidden": "a spec has no such attribute",
    "forced-primary": "of more than four partitions, the first three are primary ones",
    "exec-pre": "sources are taken as they are",
    "exec-post": "hooks.after_build runs when the whole image is finished",
    "extraargs": "file systems are made with options of Diskwright's own",
    "features": "file systems are made with options of Diskwright's own",
    "mke2fs-conf": "file systems are made with options of Diskwright's own",
    "mke2fs_conf": "file systems are made with options of Diskwright's own",
    "usage-type": "file systems are made with options of Diskwright's own",
    "fs-timestamp": "identity.source_date_epoch is the time of all",
    "root-owner": "contents[].user and contents[].group say whose files are",
    "block-size": "file systems are made with options of Diskwright's own",
    "flashtype": "Diskwright makes disks, not flash images",
}
_SETTINGS = "genimage's own settings"


def moved(
    scheme: Scheme, places: Sequence[tuple[Option | None, VolumeEntry | None]], draft: Draft
) -> None:
    """Keeps room before the first partition; notes those with an offset that lie elsewhere."""
    inside = [(option, entry) for option, entry in places if entry and entry.offset is None]
    first = bytes_of(inside[0][0].value) if inside and inside[0][0] is not None else None
    if first and first > room.begins(scheme, draft.volumes):
        room.keep(scheme, first, draft)
    sizes = [parse_size(entry.size) if entry.size else None for _, entry in inside]
    named = [(str(index), size or MIB) for index, size in enumerate(sizes)]
    placed = placement.place(scheme, 512, named, room.begins(scheme, draft.volumes))
    known = True
    for (option, _), size, place in zip(inside, sizes, placed, strict=True):
        start = place.start * 512 if known else None
        if option is not None:
            wanted = bytes_of(option.value)
            if wanted and wanted != start:
                here = (
                    f"here it begins at byte {start}" if known else "here it follows the one before"
                )
                draft.note(option.where, f"offset = {option.value}",
                           f"partitions follow each other at whole MiB; {here}")  # fmt: skip
        known = known and size is not None


def unknown(section: Section, known: set[str], draft: Draft) -> None:
    """Notes the options of a section that have no place in a spec."""
    for option in section.options:
        if option.key == "align" and MIB % (bytes_of(option.value) or MIB + 1) == 0:
            continue  # what begins at a whole MiB is aligned to this as well
        if option.key in known:
            continue
        shown = ", ".join(option.values)
        draft.note(option.where, f"{option.key} = {shown}",
                   NOT.get(option.key, "Diskwright does not know it"))  # fmt: skip


def rest(top: Section, config: Config) -> None:
    """Notes what of the whole configuration is left over."""
    for option in top.options:
        config.draft.note(option.where, option.key, f"it is one of {_SETTINGS}")
    for section in top.sections:
        if section.kind == "config":
            for option in section.options:
                if option.key not in _CONFIG_KEYS:
                    config.draft.note(option.where, option.key, f"it is one of {_SETTINGS}")
        elif section.kind == "flash":
            config.draft.note(section.where, f"flash {section.title}", NOT["flashtype"])
        elif section.kind == "image" and section.title not in config.used:
            config.draft.note(section.where, f"image {section.title}", "a spec is one image",
                              "genimage makes several from one file")  # fmt: skip
