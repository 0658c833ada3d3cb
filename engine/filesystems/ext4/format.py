"""The three on-disk formats of the ext family that this engine makes, as data."""

from __future__ import annotations

from dataclasses import dataclass

BLOCK_SIZE = 4096
"""Bytes of a block; the only block size that is made."""

INODE_SIZE = 256
"""Bytes of an inode in the table."""

EXTRA_INODE_SIZE = 32
"""Bytes of an inode's fixed part beyond the first 128 (`i_extra_isize`)."""

FLEX_GROUPS = 16
"""Groups whose bitmaps and inode tables lie together (flex_bg)."""

ROOT_INODE = 2
FIRST_INODE = 11
"""The first inode that is not reserved; mke2fs gives it to lost+found."""

LOST_FOUND = b"lost+found"
LOST_FOUND_BLOCKS = 4
"""Blocks mke2fs allocates to lost+found (16 KiB)."""

MAX_LINKS = 65_000
"""Most names of one inode in ext4 (EXT4_LINK_MAX)."""

OLD_MAX_LINKS = 32_000
"""Most names of one inode in ext2 and ext3 (EXT2_LINK_MAX)."""

MAX_NAME = 255
"""Most bytes of one name."""

FAST_SYMLINK = 60
"""A target shorter than this lives in the inode (`i_block`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtFormat:
    """What distinguishes ext2, ext3 and ext4 as mke2fs makes them here.

    Attributes:
        features: What `mke2fs -O` gets after `none`; the same sets as the `mke2fs.conf` shipped
            with e2fsprogs 1.47.0.
        journal: Whether there is one.
        extents: Files are mapped by extents, else by indirect blocks.
        checksums: Metadata carries checksums (directory blocks lose their tail to them).
        wide_descriptors: Group descriptors are 64 bytes, else 32.
        flexible: Bitmaps and inode tables of 16 groups lie together (flex_bg).
        max_links: Most names of one inode.
        max_file_bytes: Largest size of a file. Extents number blocks with 32 bits; without
            huge_file an inode counts its blocks, map included, in 32 bits of 512 bytes.
    """

    name: str
    features: tuple[str, ...]
    journal: bool
    extents: bool
    checksums: bool
    wide_descriptors: bool
    flexible: bool
    max_links: int
    max_file_bytes: int


_OLD_MAX_FILE = (2**32 - 1) * 512 - (4 << 30)  # 2 TiB, less room for the map

_BASE = ("sparse_super", "large_file", "filetype", "resize_inode", "dir_index", "ext_attr")

EXT2 = ExtFormat(
    name="ext2",
    features=_BASE,
    journal=False,
    extents=False,
    checksums=False,
    wide_descriptors=False,
    flexible=False,
    max_links=OLD_MAX_LINKS,
    max_file_bytes=_OLD_MAX_FILE,
)
EXT3 = ExtFormat(
    name="ext3",
    features=(*_BASE, "has_journal"),
    journal=True,
    extents=False,
    checksums=False,
    wide_descriptors=False,
    flexible=False,
    max_links=OLD_MAX_LINKS,
    max_file_bytes=_OLD_MAX_FILE,
)
EXT4 = ExtFormat(
    name="ext4",
    features=(
        *_BASE, "has_journal", "extent", "huge_file", "flex_bg", "metadata_csum", "64bit",
        "dir_nlink", "extra_isize",
    ),
    journal=True,
    extents=True,
    checksums=True,
    wide_descriptors=True,
    flexible=True,
    max_links=MAX_LINKS,
    max_file_bytes=(2**32 - 1) * BLOCK_SIZE,
)  # fmt: skip

FORMATS = {ext.name: ext for ext in (EXT2, EXT3, EXT4)}
