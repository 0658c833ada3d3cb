"""Settings: a spec with every default filled in and every unit resolved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from engine.disk.placement import numbers
from engine.disk.presets import PRESETS
from engine.disk.volume import Firmware, Scheme, Volume, firmware_of
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
    source: str = ""
    offset: int | None = None
    verity: str = ""
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every value of a spec, concrete. Sizes are bytes.

    Attributes:
        disk_bytes: Fixed size, or None for "auto".
        boot_text: `size.boot` as written; compat hands it to two different parsers, as the
            reference does.
        kernel, initrd: As written: a path in the image, if the contents have it.
        kernel_file, initrd_file: What the same text means as a file of the host, or "".
        boot_bytes: `size.boot` under Diskwright's own grammar (IEC).
        source_date_epoch: Seconds; the time of everything that has no time of its own.
        clamp_times: The epoch was given (spec or environment): newer times become it.
        seed: UUID text from which identifiers derive.
        compress: "none", "zst", "xz" or "gz": the raw image also, or only, packed so.
        keep_raw: The raw image stays beside the packed one.
        sign: Command that signs SHA256SUMS, whose name is its last argument; or nothing.
        nix_folder: Where the store's files lie on this machine, once nix was asked.
        entries: What the spec says of volumes.
        fstab: Whether /etc/fstab is written: "auto", "write" or "keep".
        stem: File stem of the outputs ("nixos" in compat).
    """

    name: str
    stem: str
    compat: Compat
    table: str
    filesystem: str
    label: str
    sector_size: int
    disk_bytes: int | None
    additional_bytes: int
    additional_text: str
    additional_inodes: int | None
    boot_text: str
    boot_bytes: int
    loader: str
    kernel: str
    kernel_file: str
    initrd: str
    initrd_file: str
    cmdline: str
    efi_variables: bool
    firmware: str
    firmware_variables: str
    prove: bool
    expect: str
    boot_timeout: int
    contents: tuple[ContentSettings, ...]
    entries: tuple[VolumeSettings, ...] = ()
    fstab: str = "auto"
    nix_system: str
    nix_store: str
    nix_folder: str = ""
    nix_additional_paths: tuple[str, ...]
    nix_only_store: bool
    nix_copy_channel: str
    nix_config_file: str
    nix_install_boot_loader: bool
    format: str
    compress: str
    keep_raw: bool
    bmap: bool
    sbom: bool
    sign: tuple[str, ...]
    deterministic: bool
    seed: str
    disk_guid: str
    root_partition_guid: str
    root_filesystem_uuid: str
    source_date_epoch: int
    clamp_times: bool
    after_build: str
    vm_memory_mib: int

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
        return PRESETS[self.table].scheme

    @property
    def boots(self) -> tuple[Firmware, ...]:
        """Firmware that the disk has a place for a loader of."""
        return firmware_of(self.scheme, (volume.role for volume in self.volumes))

    def of_role(self, role: str) -> Volume | None:
        """Returns the first volume of a role, or None."""
        return next((volume for volume in self.volumes if volume.role == role), None)

    @property
    def root_number(self) -> int:
        """Number of the root's partition, the same under all rules; 0 where it has none."""
        if self.scheme == "none":
            return 0
        there = [volume for volume in self.volumes if volume.partitioned]
        given = dict(zip((one.id for one in there), numbers(self.scheme, len(there)), strict=True))
        return next((given[one.id] for one in there if one.role == "root"), 0)

    @property
    def uses_boot_size(self) -> bool:
        """Whether `size.boot` is the size of a volume, or where one ends."""
        sized = any(one.size == "boot" for one in PRESETS[self.table].volumes)
        return sized or self.has("esp")

    def has(self, role: str) -> bool:
        """Whether the disk has a volume of that role."""
        return self.of_role(role) is not None
