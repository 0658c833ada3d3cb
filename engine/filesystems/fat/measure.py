"""What a manifest takes from a FAT file system, and what of it FAT cannot hold.

Source: Microsoft FAT specification (fatgen103), sections on directory entries and long names. As
mtools does, a name of one case that fits 8.3 needs no long name: two flag bits keep its case.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from engine.filesystems.fat.geometry import DIRECTORY_ENTRY, MAX_FILE_BYTES, FatGeometry
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest

_LONG_NAME_UNITS = 13
_MAX_NAME_UNITS = 255
_PLAIN = r"A-Z0-9$%'\-_@~`!(){}^#&"
_SHORT = re.compile(
    rf"(?:[{_PLAIN}]{{1,8}}|[{_PLAIN.replace('A-Z', 'a-z')}]{{1,8}})"
    rf"(?:\.(?:[{_PLAIN}]{{1,3}}|[{_PLAIN.replace('A-Z', 'a-z')}]{{1,3}}))?"
)
_LAST_OF_UCS_2 = 0xFFFF
_DEVICE = re.compile(r"CON|PRN|AUX|NUL|CLOCK\$|(?:COM|LPT)[1-9]", re.IGNORECASE)
_ALIAS = re.compile(r"~[0-9]+(?:\.|$)")
_FORBIDDEN = re.compile(r'[\x00-\x1f"*/:<>?\\|]')


@dataclass(frozen=True, slots=True)
class Unholdable:
    """An entry that FAT cannot hold, and why (a sentence)."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class FatNeed:
    """What a manifest takes, whatever the cluster size.

    Attributes:
        sizes: How many files there are of each size, every hard link counted: links become copies.
        slots: How many directories there are with so many 32-byte entries, the root left out.
        root_slots: Entries of the root directory, the volume label's included.
        data_bytes: Bytes of all files.
        unholdable: Entries that make the build impossible.
        stripped: Entries whose owner, xattrs or hard link FAT leaves out.
    """

    sizes: tuple[tuple[int, int], ...]
    slots: tuple[tuple[int, int], ...]
    root_slots: int
    data_bytes: int
    unholdable: tuple[Unholdable, ...]
    stripped: int

    def clusters(self, layout: FatGeometry) -> int:
        """Returns the clusters taken, a FAT32 root directory's included."""
        size = layout.cluster_size
        data = sum(-(-length // size) * count for length, count in self.sizes)
        directories = sum(-(-slots * DIRECTORY_ENTRY // size) * n for slots, n in self.slots)
        root = -(-self.root_slots * DIRECTORY_ENTRY // size) if layout.bits == 32 else 0
        return data + directories + root

    def directory_bytes(self, layout: FatGeometry) -> int:
        """Returns the bytes of the clusters that hold names."""
        size = layout.cluster_size
        data = sum(-(-length // size) * count for length, count in self.sizes)
        return (self.clusters(layout) - data) * size


_measured: WeakKeyDictionary[Manifest, FatNeed] = WeakKeyDictionary()


def measure(manifest: Manifest) -> FatNeed:
    """Returns what a manifest takes; computed once for each manifest."""
    if manifest not in _measured:
        _measured[manifest] = _measure(manifest)
    return _measured[manifest]


def _measure(manifest: Manifest) -> FatNeed:
    sizes: Counter[int] = Counter()
    slots: dict[bytes, int] = {b"": 1}
    seen: dict[tuple[bytes, str], Entry] = {}
    unholdable: list[Unholdable] = []
    stripped = data = 0
    for entry in manifest.entries:
        if entry.is_directory:
            slots.setdefault(entry.path, 2)  # "." and ".."
        elif entry.is_regular:
            sizes[entry.size] += 1
            data += entry.size
        reason = _reason(entry)
        if entry.path and not reason:
            name = entry.name.decode()
            slots[entry.parent] = slots.get(entry.parent, 2) + name_slots(name)
            key = (entry.parent, name.upper())
            if key in seen:
                reason = f"FAT does not tell it from {_show(seen[key])}: only the case differs"
            seen[key] = entry
        if reason:
            unholdable.append(Unholdable(entry, reason))
        stripped += bool(entry.uid or entry.gid or entry.xattrs or entry.link_to is not None)
    root_slots = slots.pop(b"")
    return FatNeed(
        sizes=tuple(sorted(sizes.items())),
        slots=tuple(sorted(Counter(slots.values()).items())),
        root_slots=root_slots,
        data_bytes=data,
        unholdable=tuple(unholdable),
        stripped=stripped,
    )


def name_slots(name: str) -> int:
    """Returns the directory entries that a name takes."""
    if _SHORT.fullmatch(name):
        return 1
    units = len(name.encode("utf-16-le")) // 2
    return 1 + -(-units // _LONG_NAME_UNITS)


def _reason(entry: Entry) -> str:
    """Returns why FAT cannot hold an entry, or ""."""
    if entry.is_symlink:
        return "FAT has no symbolic links"
    if not (entry.is_directory or entry.is_regular):
        return "FAT has no devices, pipes or sockets"
    if entry.size > MAX_FILE_BYTES:
        return f"it has {entry.size} bytes, and a file on FAT at most {MAX_FILE_BYTES}"
    if not entry.path:
        return ""
    try:
        name = entry.name.decode()
    except UnicodeDecodeError:
        return "its name is not UTF-8, and FAT keeps names as Unicode"
    if _FORBIDDEN.search(name):
        return 'names on FAT have no control characters and none of " * / : < > ? \\ |'
    if name.endswith((".", " ")):
        return "names on FAT do not end with a dot or a blank"
    if len(name.encode("utf-16-le")) // 2 > _MAX_NAME_UNITS:
        return f"its name is longer than {_MAX_NAME_UNITS} UTF-16 units"
    return _unwritable(name)


def _unwritable(name: str) -> str:
    """Returns why mtools cannot write a name that FAT could hold, or "" (measured with 4.0.32)."""
    if _DEVICE.fullmatch(name):
        return "its name is that of a DOS device"
    if "[" in name:
        return "mtools takes a name with [ for a pattern"
    if any(ord(letter) > _LAST_OF_UCS_2 for letter in name):
        return "mtools writes no character beyond U+FFFF"
    if not name.isascii() and _depends_on_code_page(name):
        return "mtools writes so short a name in a code page, which others read as another name"
    if name_slots(name) == 1:
        return "its name is like those that FAT gives to long names" if _ALIAS.search(name) else ""
    stem = re.sub(r"[. ]", "", name.rpartition(".")[0] or name)
    return "mtools mistakes a long name whose 8th character is ~" if stem[7:8] == "~" else ""


def _depends_on_code_page(name: str) -> bool:
    """Whether mtools takes a name for an 8.3 one in code page 850 that 437, Linux's, reads anew."""
    stem, _, extension = name.partition(".")
    if len(stem) > 8 or len(extension) > 3 or "." in extension:
        return False
    if any(part not in {part.upper(), part.lower()} for part in (stem, extension)):
        return False
    upper = "".join(letter.upper() if len(letter.upper()) == 1 else letter for letter in name)
    try:
        name.encode("cp850")
    except UnicodeEncodeError:
        return False
    try:
        return upper.encode("cp850") != upper.encode("cp437")
    except UnicodeEncodeError:
        return True


def _show(entry: Entry) -> str:
    return "/" + entry.path.decode(errors="backslashreplace")
