"""Names on FAT: what may be one, and the 8.3 name that stands beside a long one.

Short names are those that Linux' vfat driver gives to the same long name (fs/fat/namei_vfat.c):
code page 437, what it has no letter for becomes `_`, and `~1` to `~9` before four hexadecimal
digits where several names would get the same. A name whose stem and extension each have one case
needs no long name: two flags keep the case (Windows NT; mount option `shortname=winnt`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

from engine.filesystems.fat.geometry import DIRECTORY_ENTRY

MAX_NAME_UNITS = 255
"""UTF-16 units of the longest name (Microsoft FAT specification, "Long file names")."""
LOWER_STEM, LOWER_EXTENSION = 0x08, 0x10
"""Flags of byte 12 of an entry: this part of the 8.3 name is in lower case."""

_CODE_PAGE = "cp437"
_UNITS_OF_ENTRY = 13
_STEM, _EXTENSION = 8, 3
_STEM_BEFORE_TAIL, _STEM_BEFORE_DIGITS = 6, 2
_LAST_TAIL = 9
_HEXADECIMAL = 0xFFFF
_NEXT_DIGITS = 11
_FORBIDDEN = re.compile(r'[\x00-\x1f"*/:<>?\\|]')
_SKIPPED = frozenset(". ")
_REPLACED = frozenset("[];,+=\x7f")  # Linux keeps 0x7F, which fsck.fat calls bad
_DELETED, _DELETED_SUBSTITUTE = 0xE5, 0x05
_LAST_ASCII = 0x7E


@dataclass(frozen=True, slots=True)
class Name:
    """A long name, and what it gives of a short one.

    Attributes:
        long: The name.
        stem, extension: Its parts in code page 437, upper case, at most 8 and 3 bytes.
        exact: Whether they say the name but for the case of its letters.
        flags: The case of both parts, where flags can say it; else None.
    """

    long: str
    stem: bytes
    extension: bytes
    exact: bool
    flags: int | None

    @property
    def entries(self) -> int:
        """Directory entries that the name takes."""
        return 1 if self.flags is not None else 1 + -(-_units(self.long) // _UNITS_OF_ENTRY)

    @property
    def directory_bytes(self) -> int:
        """Bytes that the name takes in its directory."""
        return self.entries * DIRECTORY_ENTRY


def reason_against(raw: bytes) -> str:
    """Returns why FAT cannot hold a name (a clause), or ""."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        return "its name is not UTF-8, and FAT keeps names as Unicode"
    if _FORBIDDEN.search(name):
        return 'names on FAT have no control characters and none of " * / : < > ? \\ |'
    if name.endswith((".", " ")):
        return "names on FAT do not end with a dot or a blank"
    if _units(name) > MAX_NAME_UNITS:
        return f"its name is longer than {MAX_NAME_UNITS} UTF-16 units"
    return ""


def parse(name: str) -> Name:
    """Returns a name that FAT can hold, with the parts of its short name."""
    before, _, behind = name.rpartition(".")
    if not before.strip(". "):  # ".profile" has no extension
        before, behind = name, ""
    stem = _part(before, _STEM)
    extension = _part(behind, _EXTENSION)
    exact = stem.exact and extension.exact
    flags = None
    if exact and stem.one_case and extension.one_case:
        flags = LOWER_STEM * stem.lower | LOWER_EXTENSION * extension.lower
    return Name(name, stem.text, extension.text, exact, flags)


def shorten(names: Iterable[Name]) -> Iterator[tuple[Name, bytes]]:
    """Yields each name of a directory with its 8.3 name of 11 bytes, unique in the directory.

    Names that are their own short name keep it whatever comes before them; the others take what
    is left, in their order. Where Linux takes digits from the clock, these come from the name.
    """
    names = list(names)
    taken = {_padded(name.stem, name.extension) for name in names if name.exact}
    for name in names:
        if name.exact:
            yield name, _padded(name.stem, name.extension)
            continue
        short = next(each for each in _tailed(name) if each not in taken)
        taken.add(short)
        yield name, short


def long_entries(name: Name, short: bytes) -> Iterator[bytes]:
    """Yields the entries of a long name, in the order of the directory: its end comes first."""
    if name.flags is not None:
        return
    units = name.long.encode("utf-16-le")
    count = name.entries - 1
    room = count * _UNITS_OF_ENTRY * 2
    if len(units) < room:
        units = (units + b"\0\0").ljust(room, b"\xff")
    checksum = _checksum(short)
    for number in range(count, 0, -1):
        part = units[(number - 1) * _UNITS_OF_ENTRY * 2 : number * _UNITS_OF_ENTRY * 2]
        order = number | (0x40 if number == count else 0)
        yield b"".join((
            bytes((order,)), part[:10], b"\x0f\0", bytes((checksum,)), part[10:22], b"\0\0",
            part[22:],
        ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Part:
    text: bytes
    exact: bool
    one_case: bool
    lower: bool


@dataclass(frozen=True, slots=True)
class _Letter:
    """What becomes of one letter in a short name."""

    text: bytes
    exact: bool = False
    upper: bool = True
    lower: bool = True


def _part(text: str, limit: int) -> _Part:
    found = bytearray()
    exact, upper, lower = True, True, True
    for each in text:
        if len(found) >= limit:
            exact = False
            break
        letter = _letter(each)
        found += letter.text
        exact = exact and letter.exact
        upper = upper and letter.upper
        lower = lower and letter.lower
    del found[limit:]
    return _Part(bytes(found), exact, upper or lower, lower and not upper)


@lru_cache(maxsize=1024)
def _letter(letter: str) -> _Letter:
    if letter in _SKIPPED:
        return _Letter(b"")
    byte = None if letter in _REPLACED else _byte(letter)
    if byte is None:
        return _Letter(b"_" * _units(letter))
    # A letter that has no capital in the code page stays as it is.
    raised = _byte(letter.upper()) or byte
    if byte > _LAST_ASCII:
        return _Letter(bytes((raised,)), True, False, False)
    return _Letter(bytes((raised,)), True, raised == byte, raised != byte or not letter.isalpha())


def _byte(text: str) -> int | None:
    """Returns a letter's byte in the code page, or None where it has none or is several."""
    try:
        (byte,) = text.encode(_CODE_PAGE)
    except ValueError:
        return None
    return byte


def _padded(stem: bytes, extension: bytes) -> bytes:
    if stem[0] == _DELETED:
        stem = bytes((_DELETED_SUBSTITUTE,)) + stem[1:]
    return stem.ljust(_STEM) + extension.ljust(_EXTENSION)


def _tailed(name: Name) -> Iterator[bytes]:
    stem = name.stem[:_STEM_BEFORE_TAIL]
    for number in range(1, _LAST_TAIL + 1):
        yield _padded(b"%s~%d" % (stem, number), name.extension)
    stem = name.stem[:_STEM_BEFORE_DIGITS]
    digest = crc32(name.long.encode())
    last = (digest >> 16 & 7) + 1
    for step in range(_HEXADECIMAL + 1):
        digits = (digest - step * _NEXT_DIGITS) & _HEXADECIMAL
        yield _padded(b"%s%04X~%d" % (stem, digits, last), name.extension)


def _checksum(short: bytes) -> int:
    """Returns the sum by which a long name knows its short one (FAT specification, "ChkSum()")."""
    total = 0
    for byte in short:
        total = ((total >> 1 | total << 7) + byte) & 0xFF
    return total


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
