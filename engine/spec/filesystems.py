"""File systems as data: one row for each format that a volume can have.

A row names the folder of `engine/filesystems` that holds the format's driver, writer and reader;
`engine.filesystems.table` loads them when they are asked for. Every view reads the row: the spec's
rules, the planner, the pipeline, `inspect` and `diff`, the wizard.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Filesystem:
    """One file system type.

    Attributes:
        key: Value of `layout.filesystem`, and `Volume.format`.
        title: Its name for people.
        summary: One line: why one would take it.
        label_bytes: Longest label, in bytes of UTF-8 (FAT: of its OEM code page).
        folder: Of `engine/filesystems`.
        root: Whether `layout.filesystem` takes it.
        recognisable: Whether what is in a volume tells that it is of this format.
        layer: Whether it goes with another volume, which the key `verity` names.
        files: Whether it holds files; swap does not.
        mounted: Whether only a kernel that mounts it puts files into it.
        writable: Whether a running system can change it.
        options: What fstab(5) says of how it is mounted; "ro" where it is not writable.
        firmware: Whether UEFI firmware reads it.
        serial: Whether its identifier is a serial number, XXXX-XXXX, and not a UUID.
        journal: Whether it is made with a journal.
        unjournaled: What follows where it is too small for its journal, for a sentence.
        grows: Whether systemd-growfs(8) grows it while it is mounted.
        grub: GRUB's module that reads it; "" where none does.
        keeps: Metadata of the sources that it can hold.
        compressions: Values of `Volume.compression` that it knows.
        compressed: What fstab(5) says of its compression, with {} for it; "" where that is decided
            when it is made.
        subvolumes: Whether it has parts that are mounted like volumes.
        identifier: Whether it has a UUID; one without is found by its partition.
        own_file: Whether a program makes it in a file of its own, with its contents if it has any.
        placed: Whether it records where on the disk it lies.
    """

    key: str
    title: str
    summary: str
    label_bytes: int
    folder: str
    root: bool = False
    recognisable: bool = True
    layer: bool = False
    files: bool = True
    mounted: bool = False
    writable: bool = True
    options: str = "defaults"
    firmware: bool = False
    serial: bool = False
    journal: bool
    unjournaled: str = "a crash can then damage it"
    grows: bool = False
    grub: str = ""
    keeps: tuple[str, ...]
    compressions: tuple[str, ...] = ()
    compressed: str = ""
    subvolumes: bool = False
    identifier: bool = True
    own_file: bool = False
    placed: bool = False


RAW = "none"
"""The format of a volume without a file system."""

_UNIX = ("owners", "modes", "symbolic links", "hard links", "devices", "xattrs", "ACLs", "holes")

_TABLE = (
    Filesystem(
        key="ext4",
        title="ext4",
        summary="The default: journal, extents, grows online",
        label_bytes=16,
        folder="ext4",
        root=True,
        journal=True,
        grows=True,
        grub="ext2",
        keeps=_UNIX,
    ),
    Filesystem(
        key="ext3",
        title="ext3",
        unjournaled="without one it is an ext2, and a kernel does not mount it as ext3",
        summary="A journal but no extents, for old kernels",
        label_bytes=16,
        folder="ext4",
        root=True,
        journal=True,
        grows=True,
        grub="ext2",
        keeps=_UNIX,
    ),
    Filesystem(
        key="ext2",
        title="ext2",
        summary="No journal, no extents: small images and simple readers",
        label_bytes=16,
        folder="ext4",
        root=True,
        journal=False,
        grows=True,
        grub="ext2",
        keeps=_UNIX,
    ),
    Filesystem(
        key="vfat",
        title="FAT",
        summary="What firmware reads: the EFI system partition",
        label_bytes=11,
        folder="fat",
        options="umask=0077",
        firmware=True,
        serial=True,
        journal=False,
        grub="fat",
        keeps=(),
        placed=True,
    ),
    Filesystem(
        key="erofs",
        title="EROFS",
        summary="Read-only and exactly as large as its contents",
        label_bytes=16,
        folder="erofs",
        writable=False,
        options="ro",
        journal=False,
        grub="erofs",
        keeps=_UNIX,
    ),
    Filesystem(
        key="swap",
        title="swap",
        summary="Swap space: holds no files",
        label_bytes=16,
        folder="swap",
        files=False,
        options="sw",
        journal=False,
        keeps=(),
    ),
    Filesystem(
        key=RAW,
        title="raw bytes",
        summary="The bytes of a file, or nothing",
        label_bytes=0,
        folder="raw",
        recognisable=False,
        files=False,
        identifier=False,
        journal=False,
        keeps=(),
    ),
    Filesystem(
        key="verity",
        title="dm-verity",
        summary="The hash tree of a read-only volume",
        label_bytes=0,
        folder="verity",
        layer=True,
        files=False,
        writable=False,
        journal=False,
        keeps=(),
    ),
    Filesystem(
        key="verity-sig",
        title="verity signature",
        summary="The signature of a hash tree",
        label_bytes=0,
        identifier=False,
        folder="verity",
        layer=True,
        files=False,
        writable=False,
        journal=False,
        keeps=(),
    ),
    Filesystem(
        key="xfs",
        title="XFS",
        summary="Large files and volumes; grows online",
        label_bytes=12,
        folder="xfs",
        mounted=True,
        own_file=True,
        journal=True,
        grows=True,
        grub="xfs",
        keeps=_UNIX,
    ),
    Filesystem(
        key="squashfs",
        title="squashfs",
        summary="Read-only and compressed; has neither label nor UUID",
        label_bytes=0,
        folder="squashfs",
        writable=False,
        options="ro",
        journal=False,
        keeps=tuple(each for each in _UNIX if each != "ACLs"),
        compressions=("zstd", "gzip", "xz"),
        identifier=False,
        own_file=True,
    ),
    Filesystem(
        key="btrfs",
        title="Btrfs",
        summary="Snapshots, checksums, compression; grows online",
        label_bytes=255,
        folder="btrfs",
        mounted=True,
        own_file=True,
        compressions=("zstd", "zlib", "lzo"),
        compressed="compress={}",
        subvolumes=True,
        journal=False,
        grows=True,
        grub="btrfs",
        keeps=_UNIX,
    ),
)

FILESYSTEMS = {filesystem.key: filesystem for filesystem in _TABLE}
ROOT_FILESYSTEMS = tuple(filesystem.key for filesystem in _TABLE if filesystem.root)
"""What `layout.filesystem` takes."""


def has_serial(key: str) -> bool:
    """Whether a format is identified by a serial number; one that is not known is not."""
    known = FILESYSTEMS.get(key)
    return known is not None and known.serial


ESP_LABEL = "ESP"
"""Label of the FAT file system on the EFI system partition."""
