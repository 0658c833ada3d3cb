"""ImageSpec: what is wanted, exactly as its author wrote it.

A key that is missing is `None`; its default depends on `compat` and is in
`engine.spec.settings`. Nothing here looks at the disk.
"""

from __future__ import annotations

import msgspec

SCHEMA = 1


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every table of the spec: frozen, strict."""


class Layout(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[layout]`: partition table and root file system."""

    table: str | None = None
    filesystem: str | None = None
    label: str | None = None
    sector_size: int | None = None
    fstab: str | None = None
    pmbr_boot: bool | None = None


class Size(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[size]`: a bare integer is MiB for `disk` and bytes for the others."""

    disk: int | str | None = None
    additional: int | str | None = None
    boot: int | str | None = None
    inodes: int | None = None
    grow_to: int | str | None = None


class Boot(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[boot]`: how the image boots, and the proof that it does."""

    loader: str | None = None
    kernel: str | None = None
    initrd: str | tuple[str, ...] | None = None
    cmdline: str | None = None
    efi_variables: bool | None = None
    firmware: str | None = None
    firmware_variables: str | None = None
    prove: bool | None = None
    expect: str | None = None
    timeout: int | None = None


class Content(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[contents]]` entry: what goes where in the image, and as whom."""

    source: str
    target: str
    mode: str | None = None
    user: str | int | None = None
    group: str | int | None = None
    extract: bool | str | None = None
    exclude: tuple[str, ...] = ()
    partition: str | None = None
    volume: str | None = None
    replace: bool | None = None
    image: str | None = None
    platform: str | None = None
    service: str | None = None


class VolumeEntry(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[volume]]`: a volume of one's own, or what is other about one of the preset's."""

    id: str
    role: str | None = None
    format: str | None = None
    mount: str | None = None
    size: int | str | None = None
    free: int | str | None = None
    grow: int | None = None
    min: int | str | None = None
    label: str | None = None
    uuid: str | None = None
    guid: str | None = None
    name: str | None = None
    type: str | None = None
    flags: tuple[str, ...] = ()
    compression: str | None = None
    subvolumes: tuple[str, ...] = ()
    default_subvolume: str | None = None
    source: str | None = None
    offset: int | str | None = None
    verity: str | None = None
    key: str | None = None
    certificate: str | None = None
    after: str | None = None


class Nix(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[nix]`: a NixOS system and what comes with it."""

    system: str | None = None
    store: str | None = None
    additional_paths: tuple[str, ...] = ()
    only_store: bool | None = None
    copy_channel: str | None = None
    config_file: str | None = None
    install_boot_loader: bool | None = None


class Output(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[output]`: the finished image and what comes with it."""

    name: str | None = None
    format: str | None = None
    compress: str | None = None
    keep_raw: bool | None = None
    bmap: bool | None = None
    sbom: bool | None = None
    sums: str | tuple[str, ...] | None = None
    sign: tuple[str, ...] = ()


class Identity(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[identity]`: identifiers and times."""

    deterministic: bool | None = None
    seed: str | None = None
    disk_guid: str | None = None
    disk_signature: str | None = None
    root_partition_guid: str | None = None
    root_filesystem_uuid: str | None = None
    source_date_epoch: int | None = None


class Hooks(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[hooks]`: shell text of the user's own."""

    after_build: str | None = None


class Vm(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[vm]`: memory in MiB of a virtual machine, where one is used."""

    memory: int | None = None


class ImageSpec(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of a spec file."""

    schema: int = SCHEMA
    name: str | None = None
    compat: str | None = None
    layout: Layout = Layout()
    size: Size = Size()
    boot: Boot = Boot()
    volume: tuple[VolumeEntry, ...] = ()
    contents: tuple[Content, ...] = ()
    nix: Nix = Nix()
    output: Output = Output()
    identity: Identity = Identity()
    hooks: Hooks = Hooks()
    vm: Vm = Vm()
