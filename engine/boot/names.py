"""What a kernel's file name tells: its version, and whether it is one to boot by default.

Sources of the endings: the manual pages of dpkg, ucf, rpm, pacman and xbps, installkernel(8), and
`grub_file_is_not_garbage` and `version_sort` of grub-mkconfig's library, which pass over and sort
behind much the same.
"""

from __future__ import annotations

import re
from enum import IntEnum


class Standing(IntEnum):
    """Which kernels come first, whatever their versions."""

    REGULAR = 0
    RESCUE = 1
    """For repairs: Fedora's "0-rescue-ID", and kernels for crash dumps."""
    BACKUP = 2
    """An earlier file of the same name, kept by `make install` or by hand."""


_NOT_KERNELS = re.compile(
    # What package managers and downloads leave beside a file.
    r"(?:\.(?:dpkg|ucf)-[a-z-]+|\.rpm(?:new|save|orig|moved)|;[0-9a-f]{8}"
    r"|\.pac(?:new|save|orig)(?:\.\d+)?|\.apk-new|-opkg|\.new(?:-\d.*)?"
    r"|\.(?:tmp|temp|part|partial|sw[a-p]|crdownload|download)"
    # What belongs to a kernel: signatures, sums, lists.
    r"|\.signed|\.sign?|\.asc|\.gpg|\.p7[bs]|\.minisig|\.hmac|\.(?:sha|md5|b2|crc)[0-9a-z]*"
    r"|\.(?:txt|log|config|conf|map|json|xml|sbom|deb|rpm|dtb))\Z",
    re.IGNORECASE,
)
_KEPT = re.compile(
    r"(?:\.(?:old|bak|backup|back|bkp|orig|save|saved|sav|prev|previous|copy)(?:[.-]?\d+)?"
    r"|[-_](?:old|bak|backup|orig|prev|previous|copy)|\.?~(?:\d+~)?| \((?:copy|\d+)\))\Z",
    re.IGNORECASE,
)
_RESCUE = re.compile(
    r"(?:^|[-_.+])(?:rescue|recovery|fallback|kdump|crash|crashdump)(?:$|[-_.+])", re.IGNORECASE
)
_PACKED = re.compile(r"\.(?:gz|xz|zst|lz4|lzma|bz2|lzo|efi)\Z", re.IGNORECASE)
_ENDINGS = (_NOT_KERNELS, _KEPT, _PACKED)
_VERSION = re.compile(r"[0-9]+\.[0-9]")


def version_of(name: str) -> str:
    """Returns what follows the first dash of a kernel's file name ("vmlinuz-6.1": "6.1")."""
    return name.partition("-")[2]


def standing(name: str) -> Standing | None:
    """Returns how far behind a kernel of that name comes; None for what is not a kernel at all."""
    kept = False
    while ending := _ending(name):
        pattern, text = ending
        if pattern is _NOT_KERNELS:
            return None
        kept = kept or pattern is _KEPT
        name = name.removesuffix(text)
    if kept:
        return Standing.BACKUP
    return Standing.RESCUE if _RESCUE.search(name) else Standing.REGULAR


def forms(version: str) -> list[tuple[str, str]]:
    """Returns the names by which an initrd may know a kernel, the likeliest first.

    Returns:
        Pairs of version and what follows the whole name: a copy "6.1.old" has "initrd-6.1.old",
        "initramfs-6.1.img.old", or the initrd of 6.1.
    """
    found = [(version, "")]
    tail = ""
    while (ending := _ending(version)) and ending[0] is not _NOT_KERNELS:
        version = version.removesuffix(ending[1])
        if ending[0] is _KEPT:
            tail = ending[1] + tail
            found.append((version, tail))
        found.append((version, ""))
    return found


def without_copy(version: str) -> tuple[str, str]:
    """Returns a version without the endings of copies, and these as one word ("6.1", "old")."""
    copy = ""
    while (ending := _ending(version)) and ending[0] is _KEPT:
        version = version.removesuffix(ending[1])
        copy = ending[1] + copy
    return version, re.sub(r"[^0-9A-Za-z]+", "", copy) or ("copy" if copy else "")


def stated(version: str) -> str:
    """Returns the part of a kernel's name that is a version ("generic-5.15.19"), or ""."""
    found = _VERSION.search(version)
    if found is not None:
        return version[found.start() :]
    return version if version[:1].isdigit() else ""


def _ending(name: str) -> tuple[re.Pattern[str], str] | None:
    """Returns an ending of a name that says what the file is, with the pattern that knows it."""
    for pattern in _ENDINGS:
        found = pattern.search(name)
        # One that begins the name is all of it, not its ending.
        if found is not None and found.start():
            return pattern, found[0]
    return None
