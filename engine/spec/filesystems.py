"""File systems as data: what each can be named, what it keeps, and whether we can write it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Filesystem:
    """One file system type.

    Attributes:
        key: Value of `layout.filesystem`.
        title: Its name for people.
        summary: One line: why one would take it.
        label_bytes: Longest label, in bytes of UTF-8 (FAT: of its OEM code page).
        writer: Whether Diskwright can fill it; otherwise it is known but refused.
        journal: Whether it is made with a journal.
        keeps: Metadata of the sources that it can hold.
    """

    key: str
    title: str
    summary: str
    label_bytes: int
    writer: bool
    journal: bool
    keeps: tuple[str, ...]


_UNIX = ("owners", "modes", "symbolic links", "hard links", "devices", "xattrs", "ACLs", "holes")

_TABLE = (
    Filesystem(
        key="ext4",
        title="ext4",
        summary="The default: journal, extents, grows online",
        label_bytes=16,
        writer=True,
        journal=True,
        keeps=_UNIX,
    ),
    Filesystem(
        key="ext3",
        title="ext3",
        summary="A journal but no extents, for old kernels",
        label_bytes=16,
        writer=True,
        journal=True,
        keeps=_UNIX,
    ),
    Filesystem(
        key="ext2",
        title="ext2",
        summary="No journal, no extents: small images and simple readers",
        label_bytes=16,
        writer=True,
        journal=False,
        keeps=_UNIX,
    ),
    Filesystem(
        key="vfat",
        title="FAT",
        summary="What firmware reads: the EFI system partition",
        label_bytes=11,
        writer=False,
        journal=False,
        keeps=(),
    ),
    Filesystem(
        key="xfs",
        title="XFS",
        summary="Cannot be filled without mounting it",
        label_bytes=12,
        writer=False,
        journal=True,
        keeps=_UNIX,
    ),
    Filesystem(
        key="btrfs",
        title="Btrfs",
        summary="Has no writer here yet",
        label_bytes=255,
        writer=False,
        journal=False,
        keeps=_UNIX,
    ),
)

FILESYSTEMS = {filesystem.key: filesystem for filesystem in _TABLE}
ROOT_FILESYSTEMS = tuple(filesystem.key for filesystem in _TABLE if filesystem.writer)
"""What `layout.filesystem` takes."""

ESP_LABEL = "ESP"
"""Label of the FAT file system on the EFI system partition."""
