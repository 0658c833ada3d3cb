"""Where GNU parted 3.6 puts a partition that is asked for in words ("8MiB", "256M", "-1").

make-disk-image leaves the arithmetic to parted's `mkpart`, whose answers follow from three
rules: a location in a decimal unit stands for a range as wide as that unit, both ends then snap
to what is already on the disk, and a solver looks for the nearest MiB-aligned pair inside the
ranges. This module gives the same answers without a disk. It is checked against the real parted
over random command lines (tests/engine/plan/test_parted_units.py).

The reference's own environment has parted 3.6, so 3.6 is the rule whatever this machine has. 3.5
differs in one thing: an end in KiB, or in a binary unit that starts with a small letter other
than k, is the last sector there and the first one after the partition in 3.6.

Source of the rules: parted 3.5 and 3.6, libparted/unit.c (locations), parted/parted.c (`mkpart`,
snapping), libparted/cs/constraint.c and natmath.c (the solver).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from engine.disk.gpt import BACKUP_SECTORS, FIRST_USABLE

SECTOR = 512
_GRAIN = (1 << 20) // SECTOR
_CHS_SECTORS = 32  # libparted's geometry for a plain file: 4 heads, 32 sectors

_UNITS = {"s": SECTOR, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "c": 1 << 16}
_IEC_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
# An end in one of these units is exclusive.
_IEC_END = {
    "3.5": re.compile(r".[kMGTPEZY][iI][bB]$"),
    "3.6": re.compile(r".[kMGTPEZY]iB$", re.IGNORECASE),
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")

Rules = Literal["3.5", "3.6"]


class PartedError(Exception):
    """parted would refuse; the message is the one it prints (`$DISK` stands for the device)."""


@dataclass(frozen=True, slots=True)
class Location:
    """A sector as parted reads it, with the range it feels free to move in (inclusive)."""

    sector: int
    low: int
    high: int

    def holds(self, sector: int) -> bool:
        """Whether a sector lies in the range."""
        return self.low <= sector <= self.high


def locate(text: str, length: int) -> Location:
    """Returns the location that a word names on a disk of `length` sectors of 512 bytes.

    Args:
        text: As given to `mkpart`: a number with a unit; no unit means 10**6 bytes, a leading
            minus counts from the end of the disk.
        length: Sectors of the disk.

    Raises:
        PartedError: It is not a number, is a fraction of a unit, or lies outside the disk.
    """
    word = "".join(text.split())
    if sum(not (char.isalnum() or char.isspace()) for char in word) == 2:
        raise PartedError(f'"{text}" has invalid syntax for locations.')
    digits = len(word) - len(word.lstrip("0123456789,.-"))
    number, suffix = word[:digits], word[digits:].lower()
    match = _NUMBER.match(number)
    if match is None:
        raise PartedError("Invalid number.")
    # parted computes in C doubles; only the same doubles truncate to the same sector.
    value = float(match.group())
    if 0 < value < 1:
        raise PartedError("Use a smaller unit instead of a value < 1")
    unit = _unit(suffix, length)
    sector = int(value * unit / SECTOR)
    if number.startswith("-"):
        sector += length
    exact = unit & (unit - 1) == 0
    radius = 0 if exact else max(0, -(-unit // SECTOR) // 2 - 1)
    low, high = _clip(sector - radius, length), _clip(sector + radius, length)
    if sector - high > radius or low - sector > radius:
        raise PartedError(f"The location {text} is outside of the device $DISK.")
    return Location(_clip(sector, length), low, high)


def _unit(suffix: str, length: int) -> int:
    """Returns a unit's bytes; an unknown one is read as the default, megabytes."""
    if suffix[1:2] == "i":
        return _IEC_UNITS.get(suffix[0], 10**6)
    if suffix.startswith("%"):
        return length * SECTOR // 100
    return _UNITS.get(suffix[:1], 10**6)


def _clip(sector: int, length: int) -> int:
    return min(max(sector, 0), length - 1)


@dataclass(slots=True)
class PartedDisk:
    """A disk label that parted fills, `mkpart` by `mkpart`.

    Attributes:
        length: Sectors of 512 bytes.
        rules: The version of parted whose rules hold.
        extents: Inclusive (start, end) of the partitions, in order of number.
    """

    length: int
    label: Literal["gpt", "msdos"]
    rules: Rules = "3.6"
    extents: list[tuple[int, int]] = field(default_factory=list)

    def mkpart(self, start: str, end: str) -> tuple[int, int]:
        """Adds a partition and returns its first and last sector.

        Raises:
            PartedError: parted would refuse the command in script mode.
        """
        first = locate(start, self.length)
        last = locate(end, self.length)
        if first.sector != last.sector and _IEC_END[self.rules].search(end.rstrip()):
            last = Location(last.sector - 1, last.low - 1, last.high - 1)
        if last.sector < first.sector:
            count = last.sector - first.sector + 1
            raise PartedError(
                f"Can't have the end before the start! (start sector={first.sector} length={count})"
            )
        wanted = self._snap(first, last)
        extent = self._fit(wanted, (first.low, first.high), (last.low, last.high), _GRAIN)
        if extent is None:
            whole = (0, self.length - 1)
            extent = self._fit(wanted, whole, whole, 1)
            if extent is None:
                raise PartedError("Unable to satisfy all constraints on the partition.")
            if not (first.holds(extent[0]) and last.holds(extent[1])):
                raise PartedError(
                    f"You requested a partition (sectors {first.sector}..{last.sector}).\n"
                    "The closest location we can manage is "
                    f"(sectors {extent[0]}..{extent[1]})."
                )
        self.extents.append(extent)
        return extent

    def _usable(self) -> tuple[int, int]:
        """Returns the first and last sector that a partition of this label may have."""
        if self.label == "gpt":
            return FIRST_USABLE[SECTOR], self.length - 1 - BACKUP_SECTORS[SECTOR]
        return 1, self.length - 1

    def _regions(self) -> list[tuple[int, int]]:
        """Returns what parted sees on the disk: partitions, metadata and gaps, in order."""
        taken = sorted(self.extents)
        if self.label == "gpt":
            low, high = self._usable()
            taken = [(0, low - 1), *taken, (high + 1, self.length - 1)]
        else:
            boundary = min([_CHS_SECTORS - 1, *(start - 1 for start, _ in taken)])
            taken = [(0, boundary), *taken]
        regions = []
        at = 0
        for start, end in taken:
            if start > at:
                regions.append((at, start - 1))
            regions.append((start, end))
            at = end + 1
        if at < self.length:
            regions.append((at, self.length - 1))
        return regions

    def _region(self, sector: int) -> tuple[int, int]:
        return next(region for region in self._regions() if region[0] <= sector <= region[1])

    def _snap(self, first: Location, last: Location) -> tuple[int, int]:
        """Moves both ends to the borders of what lies there, as far as their ranges allow."""
        at_start, at_end = self._region(first.sector), self._region(last.sector)
        same = at_start == at_end
        start, start_up = _nearest(first, down=at_start[0], up=None if same else at_start[1] + 1)
        end, end_down = _nearest(last, down=None if same else at_end[0] - 1, up=at_end[1], end=True)
        if at_start[1] + 1 == at_end[0] and start_up and end_down:
            # Neighbours would cross: the one with the farther to go stays on its side.
            if last.sector - end < start - first.sector:
                start, _ = _nearest(first, down=at_start[0], up=None)
            else:
                end, _ = _nearest(last, down=None, up=at_end[1], end=True)
        if start > end:
            raise PartedError("Assertion (start <= end) failed.")
        return start, end

    def _fit(
        self,
        wanted: tuple[int, int],
        first: tuple[int, int],
        last: tuple[int, int],
        grain: int,
    ) -> tuple[int, int] | None:
        """Returns the extent nearest to the wanted one that every constraint allows, if any."""
        free = self._free_around(wanted[0])
        if free is None:
            return None
        allowed = _intersect(free, self._usable())
        starts, ends = _intersect(first, allowed), _intersect(last, allowed)
        if starts is None or ends is None:
            return None
        latest = _aligned(ends[1], ends, grain, grain - 1, up=True)
        if latest is None or latest < 1:
            return None
        starts = _intersect(starts, (0, latest))
        start = None if starts is None else _closest(wanted[0], starts, grain, 0)
        if start is None:
            return None
        ends = _intersect(ends, (start, self.length - 1))
        end = None if ends is None else _closest(wanted[1], ends, grain, grain - 1)
        return None if end is None else (start, end)

    def _free_around(self, sector: int) -> tuple[int, int] | None:
        """Returns the space between the partitions before and after a wanted start."""
        low, high = 0, self.length - 1
        for start, end in sorted(self.extents):
            if start >= sector and low < start:
                high = start - 1
                break
            low = end + 1
        return (low, high) if low < high else None


def _nearest(
    location: Location, *, down: int | None, up: int | None, end: bool = False
) -> tuple[int, bool]:
    """Returns where an end snaps to, and whether it crosses into the neighbour."""
    low = down if down is not None and location.holds(down) else None
    high = up if up is not None and location.holds(up) else None
    if low is None and high is None:
        return location.sector, False
    if high is None or (
        low is not None and (location.sector - low, end) <= (high - location.sector, False)
    ):
        assert low is not None
        return low, end
    return high, not end


def _intersect(a: tuple[int, int] | None, b: tuple[int, int] | None) -> tuple[int, int] | None:
    if a is None or b is None:
        return None
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low <= high else None


def _aligned(
    sector: int, inside: tuple[int, int], grain: int, offset: int, *, up: bool
) -> int | None:
    """Returns the aligned sector at or after (before) one, moved into a range by whole grains."""
    steps = sector - offset
    found = (-(-steps // grain) if up else steps // grain) * grain + offset
    low, high = inside
    if found < low:
        found += -(-(low - found) // grain) * grain
    if found > high:
        found -= -(-(found - high) // grain) * grain
    return found if low <= found <= high else None


def _closest(sector: int, inside: tuple[int, int], grain: int, offset: int) -> int | None:
    above = _aligned(sector, inside, grain, offset, up=True)
    below = _aligned(sector, inside, grain, offset, up=False)
    if above is None or below is None:
        return below if above is None else above
    return above if abs(sector - above) < abs(sector - below) else below
