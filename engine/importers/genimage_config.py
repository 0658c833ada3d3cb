"""A genimage configuration as far as all of it is concerned: its images, its units, its folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.importers.confuse import Option, Section
from engine.importers.draft import Draft
from engine.units import KIB, MIB

_SIZE = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+)([skKMG]?)")
_UNITS = {"": 1, "s": 512, "k": KIB, "K": KIB, "M": MIB, "G": 1024 * MIB}
FILESYSTEMS = {"ext2", "ext3", "ext4", "vfat", "btrfs", "squashfs", "erofs", "xfs"}


def bytes_of(text: str) -> int | None:
    """Returns a size or offset in bytes, or None for what is not one."""
    match = _SIZE.fullmatch(text)
    if match is None or len(text) > 20:
        return None
    return int(match[1], 16 if match[1][:2].lower() == "0x" else 10) * _UNITS[match[2]]


@dataclass(slots=True)
class Config:
    """A configuration with what all of it needs.

    Attributes:
        images: By name.
        used: Names of the images that the disk is made of.
        volumes: Ids by the image that is in them.
    """

    images: Mapping[str, Section]
    root: Path
    input: Path
    draft: Draft
    used: set[str] = field(default_factory=set)
    volumes: dict[str, str] = field(default_factory=dict)

    def size(self, option: Option | None) -> int | None:
        """Returns a size in bytes, or None where there is none or it depends on the contents."""
        if option is None:
            return None
        size = bytes_of(option.value)
        if size is not None:
            return size
        why = "it is not a size"
        if option.value.endswith("%"):
            why = "a share of the contents is not a size; free says how much room there is"
        self.draft.note(option.where, f"{option.key} = {option.value}", why)
        return None
