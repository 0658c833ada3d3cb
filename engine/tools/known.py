"""Which versions of tools Diskwright is proved with: those of Debian 12, 13 and testing.

A version outside is used all the same, and named: `doctor` says so, and manifest.json has the
version of each tool that made an image. `tests/machines` proves the range on those Debians.
"""

from __future__ import annotations

from itertools import zip_longest

Version = tuple[int, ...]

_E2FSPROGS: tuple[Version, Version] = ((1, 47, 0), (1, 47, 4))
_XFSPROGS: tuple[Version, Version] = ((6, 1), (6, 13))
_BTRFS: tuple[Version, Version] = ((6, 2), (6, 14))
_QEMU: tuple[Version, Version] = ((7, 2), (11, 1))

KNOWN: dict[str, tuple[Version, Version]] = {
    "mke2fs": _E2FSPROGS,
    "e2fsck": _E2FSPROGS,
    "sfdisk": ((2, 38), (2, 42)),
    "fsck.fat": ((4, 2), (4, 2)),
    "mkfs.xfs": _XFSPROGS,
    "xfs_repair": _XFSPROGS,
    "mkfs.btrfs": _BTRFS,
    "btrfs": _BTRFS,
    "tar2sqfs": ((1, 2), (1, 3)),
    "qemu-img": _QEMU,
    "qemu-system-x86_64": _QEMU,
    "qemu-system-aarch64": _QEMU,
    "grub-mkimage": ((2, 6), (2, 14)),
    "nix": ((2, 8), (2, 34)),
    "bwrap": ((0, 8), (0, 13)),
}
"""Oldest and newest, by tool; later parts of a version do not matter (2.42.5 is 2.42)."""


def newer_than_known(tool: str, version: Version) -> bool:
    """Whether a tool's version is beyond the newest known; False where either is not told."""
    if tool not in KNOWN or not version:
        return False
    newest = KNOWN[tool][1]
    parts = zip_longest(version[: len(newest)], newest, fillvalue=0)
    return tuple(pair[0] for pair in parts) > newest


def known_range(tool: str) -> str:
    """Returns the known versions as people write them, or "" for a tool of any version."""
    return " to ".join(dict.fromkeys(map(dotted, KNOWN[tool]))) if tool in KNOWN else ""


def dotted(version: Version) -> str:
    """Returns a version as it is written."""
    return ".".join(str(part) for part in version)
