"""The sets of rules that `compat` chooses between, as data: one object, chosen once.

Sources: nixpkgs, nixos/lib/make-disk-image.nix of January 2025 and of November 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Compat = Literal["none", "make-disk-image", "make-disk-image-25.11"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one value of `compat` means.

    Attributes:
        key: The value.
        title: Its name for people.
        reference: Everything is as make-disk-image has it: its size formula and partition lines,
            its identifiers, mke2fs' default inodes and reserve, its way to merge contents.
        younger: It is the make-disk-image of NixOS 25.11: sizes rounded by one unit more, lines in
            MiB up to the disk's end, two more layouts.
        layouts: Values of `layout.table` that it knows; empty for all.
        name, table, label, additional, boot, cmdline: Defaults of the keys of these names.
        stem: File stem of the outputs, or "" for the name of the build.
    """

    key: Compat
    title: str
    reference: bool
    younger: bool = False
    layouts: tuple[str, ...] = ()
    name: str
    table: str
    label: str
    additional: str
    boot: str
    cmdline: str
    stem: str


_JANUARY_LAYOUTS = ("none", "legacy", "legacy+gpt", "efi", "hybrid")

_TABLE = (
    Rules(
        key="none",
        title="Diskwright",
        reference=False,
        name="disk",
        table="efi",
        label="root",
        additional="512MiB",
        boot="256MiB",
        cmdline="console=ttyS0",
        stem="",
    ),
    Rules(
        key="make-disk-image",
        title="make-disk-image",
        reference=True,
        layouts=_JANUARY_LAYOUTS,
        name="nixos-disk-image",
        table="legacy",
        label="nixos",
        additional="512M",
        boot="256M",
        cmdline="",
        stem="nixos",
    ),
    Rules(
        key="make-disk-image-25.11",
        title="make-disk-image of NixOS 25.11",
        reference=True,
        younger=True,
        layouts=(*_JANUARY_LAYOUTS, "efixbootldr", "legacy+boot"),
        name="nixos-disk-image",
        table="legacy",
        label="nixos",
        additional="512M",
        boot="256M",
        cmdline="",
        stem="nixos",
    ),
)

RULES: Mapping[str, Rules] = MappingProxyType({rules.key: rules for rules in _TABLE})
"""By value of `compat`."""
