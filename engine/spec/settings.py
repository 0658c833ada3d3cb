"""Settings: a spec with every default filled in and every unit resolved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from engine.disk.placement import numbers
from engine.disk.presets import PRESETS
from engine.disk.subvolumes import Subvolume
from engine.disk.volume import Firmware, Scheme, Volume, firmware_of
from engine.spec.identity import derive_32
from engine.spec.rules import RULES, Compat, Rules
from engine.spec.volumes import volumes


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentSettings:
    """One `[[contents]]` entry, resolved.

    Attributes:
        index: Position in the spec, for key paths ("contents[2]").
        source: Absolute path; may hold `*` (a glob).
        target: Absolute normal path in the image, e.g. b"/etc".
        mode: As written (octal or rsync's form), or "" to keep the source's.
        user: Name or number as text, or "" for the default.
        group: Likewise.
        extract: Unpack an archive, or ("oci") a container image.
        exclude: Patterns.
        volume: Id of the volume it goes to; "" for where its target is mounted.
        replace: What it brings takes the place of what entries before it bring.
        into: The target was written with a slash at its end: a file goes into that directory.
        image: Name of one image among several, or "".
        platform: Platform of a container image ("linux/arm64"), or "" for the default.
        service: Name of a systemd unit that runs the container image, or "".
    """

    index: int
    source: Path
    target: bytes
    mode: str = ""
    user: str = ""
    group: str = ""
    extract: bool | Literal["oci"] = False
    exclude: tuple[str, ...] = ()
    volume: str = ""
    replace: bool = False
    into: bool = False
    image: str = ""
    platform: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSettings:
    """One `[[volume]]`, its units resolved; None and "" where nothing is said. Sizes are bytes.

    Attributes:
        path: Its key path, "volume[0]".
        key, certificate: Absolute paths of the files that a signature is made with.
        after: Id of the volume that it follows on the disk.
    """

    path: str
    id: str
    role: str | None = None
    format: str | None = None
    mount: str | None = None
    size: int | None = None
    free: int | None = None
    grow: int | None = None
    min: int | None = None
    label: str | None = None
    uuid: str = ""
    guid: str = ""
    name: str | None = None
    type: str = ""
    flags: tuple[str, ...] = ()
    compression: str = ""
    subvolumes: tuple[Subvolume, ...] = ()
    default_subvolume: str = ""
    source: str = ""
    offset: int | None = None
    verity: str = ""
    key: str = ""
    certificate: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutSettings:
    """`[layout]`.

    Attributes:
        table: Key of `engine.disk.presets.PRESETS`.
        filesystem: Key of the root's format.
        label: Of the root file system.
        sector_size: Bytes.
        fstab: Whether /etc/fstab is written: "auto", "write" or "keep".
        pmbr_boot: Whether the entry of a GPT's protective MBR is active.
    """

    table: str
    filesystem: str
    label: str
    sector_size: int
    fstab: str = "auto"
    pmbr_boot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSettings:
    """`[size]`, in bytes.

    Attributes:
        disk: Fixed size, or None for "auto".
        additional: Free space on the root.
        additional_text: The same as written, as the reference reads it.
        inodes: Free inodes on the root, or None for as many as come of themselves.
        grow_to: What the disk will be grown to, or None.
        boot: Size of the ESP under Diskwright's own grammar (IEC).
        boot_text: The same as written; compat hands it to two different parsers, as the
            reference does.
    """

    disk: int | None
    additional: int
    additional_text: str
    inodes: int | None
    grow_to: int | None = None
    boot: int
    boot_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSettings:
    """`[boot]`.

    Attributes:
        loader: Key of `engine.spec.loaders.LOADERS`.
        kernel, initrds: As written: paths in the image, if the contents have them.
        kernel_file, initrd_files: What the same texts mean as files of the host; "" for none.
        firmware, firmware_variables: Files of the host, or "" for those that are found.
        expect: Text on the serial console that proves the boot.
        timeout: Seconds until the proof fails.
    """

    loader: str
    kernel: str
    kernel_file: str
    initrds: tuple[str, ...]
    initrd_files: tuple[str, ...]
    cmdline: str
    efi_variables: bool
    firmware: str
    firmware_variables: str
    prove: bool
    expect: str
    timeout: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NixSettings:
    """`[nix]`.

    Attributes:
        system: A store path or an installable; "" for no NixOS.
        store: As nix's --store takes it, or "" for this machine's own.
        folder: Where the store's files lie on this machine, once nix was asked.
    """

    system: str
    store: str
    folder: str = ""
    additional_paths: tuple[str, ...]
    only_store: bool
    copy_channel: str
    config_file: str
    install_boot_loader: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """`[output]`.

    Attributes:
        stem: File stem of the outputs ("nixos" in compat).
        format: Key of `engine.spec.formats.FORMATS`.
        compress: "none", "zst", "xz" or "gz": the raw image also, or only, packed so.
        keep_raw: The raw image stays beside the packed one.
        sums: "auto" or "none" alone, or "sha256" and "fsverity" as they are wanted.
        sign: Command that signs SHA256SUMS, whose name is its last argument; or nothing.
    """

    stem: str
    format: str
    compress: str
    keep_raw: bool
    bmap: bool
    sbom: bool
    sums: tuple[str, ...]
    sign: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings:
    """`[identity]`.

    Attributes:
        seed: UUID text from which identifiers derive.
        disk_signature: Of an MBR, as in 0x1a2b3c4d; "" for one that derives from the seed.
        source_date_epoch: Seconds; the time of everything that has no time of its own.
        clamp_times: The epoch was given (spec or environment): newer times become it.
    """

    deterministic: bool
    seed: str
    disk_guid: str
    disk_signature: str
    root_partition_guid: str
    root_filesystem_uuid: str
    source_date_epoch: int
    clamp_times: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HooksSettings:
    """`[hooks]`: shell text, or ""."""

    after_build: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSettings:
    """`[vm]`."""

    memory_mib: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every value of a spec, concrete, in the sections of the spec.

    Attributes:
        volume_entries: The `[[volume]]` entries; `volumes` is what comes of them.
    """

    name: str
    compat: Compat
    layout: LayoutSettings
    size: SizeSettings
    boot: BootSettings
    volume_entries: tuple[VolumeSettings, ...] = ()
    contents: tuple[ContentSettings, ...]
    nix: NixSettings
    output: OutputSettings
    identity: IdentitySettings
    hooks: HooksSettings
    vm: VmSettings

    @cached_property
    def volumes(self) -> tuple[Volume, ...]:
        """The volumes in disk order."""
        return volumes(self)

    @property
    def rules(self) -> Rules:
        """What `compat` means."""
        return RULES[self.compat]

    @property
    def scheme(self) -> Scheme:
        """How partitions are recorded."""
        return PRESETS[self.layout.table].scheme

    @property
    def boots(self) -> tuple[Firmware, ...]:
        """Firmware that the disk has a place for a loader of."""
        return firmware_of(self.scheme, (volume.role for volume in self.volumes))

    def of_role(self, role: str) -> Volume | None:
        """Returns the first volume of a role, or None."""
        return next((volume for volume in self.volumes if volume.role == role), None)

    @property
    def root(self) -> Volume | None:
        """The volume that a system has at /, or that is for one; None where there is none."""
        mounted = (volume for volume in self.volumes if volume.mount == "/")
        return next(mounted, self.of_role("root"))

    def number(self, volume: str) -> int:
        """Returns the number of a volume's partition, the same under all rules; 0 for none."""
        if self.scheme == "none":
            return 0
        there = [one.id for one in self.volumes if one.partitioned]
        return dict(zip(there, numbers(self.scheme, len(there)), strict=True)).get(volume, 0)

    @property
    def mbr_signature(self) -> str:
        """The disk's signature in an MBR, 8 hexadecimal digits."""
        given = self.identity.disk_signature.removeprefix("0x").lower()
        return given or f"{derive_32(self.identity.seed, 'mbr-signature'):08x}"

    def partuuid(self, volume: Volume) -> str:
        """Returns what Linux knows a volume's partition by, in lower case; "" for none."""
        number = self.number(volume.id)
        if self.scheme == "mbr" and number:
            return f"{self.mbr_signature}-{number:02x}"
        return volume.guid.lower() if number else ""

    @property
    def uses_boot_size(self) -> bool:
        """Whether `size.boot` is the size of a volume, or where one ends."""
        sized = any(one.size == "boot" for one in PRESETS[self.layout.table].volumes)
        return sized or self.has("esp")

    def has(self, role: str) -> bool:
        """Whether the disk has a volume of that role."""
        return self.of_role(role) is not None
