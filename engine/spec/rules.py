"""The sets of rules that `compat` chooses between, as data: one object, chosen once.

Sources: nixpkgs, nixos/lib/make-disk-image.nix of January 2025 and of November 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

Compat = Literal["none", "make-disk-image", "make-disk-image-25.11"]


PlacerKey = Literal["aligned", "parted"]
"""What decides the places of volumes: a key of `engine.plan.design.PLACERS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one value of `compat` means.

    Attributes:
        key: The value.
        title: Its name for people.
        other: The rules that a plan is compared with.
        layouts: Values of `layout.table` that it knows; empty for all.
        name, table, label, additional, boot, cmdline: Defaults of the keys of these names.
        stem: File stem of the outputs, or "" for the name of the build.
        placer: How the disk is divided, and how large an automatic one is: "parted" has the
            reference's size formula and partition lines.
        younger: These are those of NixOS 25.11: sizes rounded by one unit more, lines in MiB up
            to the disk's end.
        sector_size: The only sector size there is, in bytes, or None for the spec's.
        whole_mib: A fixed disk is a whole number of MiB.
        numfmt_sizes: Texts of sizes are read as numfmt and parted read them.
        boot_is_end: `size.boot` says where the ESP ends rather than how large it is.
        own_volumes: Whether there may be `[[volume]]` entries.
        only_ext4_in_tables: Behind a partition table the root is ext4.
        mke2fs_defaults: Inodes and reserve are mke2fs' own, FAT's width is mkfs.fat's.
        cuts_labels: A label that is too long is cut, which is worth a warning only.
        constant_identifiers: Identifiers that are not given are the same in every image.
        relative_targets: A target needs no / at its front.
        literal_modes: Modes mean what rsync makes of them, without the umask.
        merges_in_order: Contents merge in the order of the spec; a target that exists is
            refused, and what a glob or the root brings replaces what is there.
        chowns_targets: An entry's owner is given to all that is below its target in the end.
        makes_mount_points: A directory is made for every mount point.
        loses_dotfiles: The original would lose names at the top that begin with a dot.
        removes_machine_id: A machine id among the contents is removed rather than reset.
        installs_loader: A NixOS system's loader is installed unless the spec says otherwise.
        blank_variables: efi-vars.fd without an ESP is the firmware's empty store.
        hydra_products: Hydra's list of products is written whether or not Nix builds.
        argument_defaults: A default is that of make-disk-image's argument of the same meaning.
    """

    key: Compat
    title: str
    other: Compat
    layouts: tuple[str, ...] = ()
    name: str
    table: str
    label: str
    additional: str
    boot: str
    cmdline: str
    stem: str
    placer: PlacerKey
    younger: bool = False
    sector_size: int | None
    whole_mib: bool
    numfmt_sizes: bool
    boot_is_end: bool
    own_volumes: bool
    only_ext4_in_tables: bool
    mke2fs_defaults: bool
    cuts_labels: bool
    constant_identifiers: bool
    relative_targets: bool
    literal_modes: bool
    merges_in_order: bool
    chowns_targets: bool
    makes_mount_points: bool
    loses_dotfiles: bool
    removes_machine_id: bool
    installs_loader: bool
    blank_variables: bool
    hydra_products: bool
    argument_defaults: bool


_JANUARY_LAYOUTS = ("none", "legacy", "legacy+gpt", "efi", "hybrid")

_JANUARY = Rules(
    key="make-disk-image",
    title="make-disk-image",
    other="none",
    layouts=_JANUARY_LAYOUTS,
    name="nixos-disk-image",
    table="legacy",
    label="nixos",
    additional="512M",
    boot="256M",
    cmdline="",
    stem="nixos",
    placer="parted",
    sector_size=512,
    whole_mib=True,
    numfmt_sizes=True,
    boot_is_end=True,
    own_volumes=False,
    only_ext4_in_tables=True,
    mke2fs_defaults=True,
    cuts_labels=True,
    constant_identifiers=True,
    relative_targets=True,
    literal_modes=True,
    merges_in_order=True,
    chowns_targets=True,
    makes_mount_points=False,
    loses_dotfiles=True,
    removes_machine_id=True,
    installs_loader=True,
    blank_variables=True,
    hydra_products=True,
    argument_defaults=True,
)

_TABLE = (
    Rules(
        key="none",
        title="Diskwright",
        other="make-disk-image",
        name="disk",
        table="efi",
        label="root",
        additional="512MiB",
        boot="256MiB",
        cmdline="console=ttyS0",
        stem="",
        placer="aligned",
        sector_size=None,
        whole_mib=False,
        numfmt_sizes=False,
        boot_is_end=False,
        own_volumes=True,
        only_ext4_in_tables=False,
        mke2fs_defaults=False,
        cuts_labels=False,
        constant_identifiers=False,
        relative_targets=False,
        literal_modes=False,
        merges_in_order=False,
        chowns_targets=False,
        makes_mount_points=True,
        loses_dotfiles=False,
        removes_machine_id=False,
        installs_loader=False,
        blank_variables=False,
        hydra_products=False,
        argument_defaults=False,
    ),
    _JANUARY,
    replace(
        _JANUARY,
        key="make-disk-image-25.11",
        title="make-disk-image of NixOS 25.11",
        layouts=(*_JANUARY_LAYOUTS, "efixbootldr", "legacy+boot"),
        younger=True,
    ),
)

RULES: Mapping[str, Rules] = MappingProxyType({rules.key: rules for rules in _TABLE})
"""By value of `compat`."""


def rules_of(compat: str | None) -> Rules:
    """Returns the rules of a value of `compat`: Diskwright's own where it is unknown."""
    return RULES.get(compat or "none", RULES["none"])
