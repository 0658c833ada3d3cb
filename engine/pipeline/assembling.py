"""Puts a new image together in the way that costs least where it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from engine.pipeline import takeover
from engine.pipeline.falloc import UNABLE, extents, movable
from engine.pipeline.shifting import Shifts, shifts
from engine.pipeline.sparse import data_ranges
from engine.pipeline.staging import Staging
from engine.pipeline.takeover import Manner, Patch, Range, Reused
from engine.pipeline.undo import Undo

_MOST_RENUMBERED = 1_000_000
"""Extents of an image times shifts: each renumbers those behind it, and leaves one more."""

_BASE, _UNDO = "base.part", "undo.part"


def assemble(
    staging: Staging, path: Path, kept: Sequence[Reused], cancelled: Callable[[], bool]
) -> tuple[Patch, Manner]:  # fmt: skip
    """Makes the new image of what was made anew and what the old one has.

    Args:
        staging: Where the new one is, with holes where something is kept; it is complete then.
        path: The old one.
        kept: As `joined` returns it.
        cancelled: Asked several times a second.

    Returns:
        How they differ, and what was done.

    Raises:
        OSError: It cannot be written.
    """
    with ExitStack() as stack:
        old = _opened(stack, path, os.O_RDONLY | os.O_NOFOLLOW)
        made = _opened(stack, staging.image, os.O_RDWR)
        patch = takeover.compare(old, made, kept, cancelled)
        if cancelled():
            return patch, "copy"
        base = staging.folder / _BASE
        if takeover.cloned(old, base):
            takeover.apply(patch, old, made, _opened(stack, base, os.O_RDWR), cancelled)
            manner: Manner = "clone"
        elif takeover.in_place(patch, kept, old):
            undo = Undo(staging.folder / _UNDO)
            undo.keep(old, patch.overwritten)
            takeover.apply(patch, old, made, staging.borrow(path, base, undo), cancelled)
            manner = "in place"
        elif (how := _possible(staging, old, made, kept)) is not None and _shifted(
            staging, path, old, made, how, cancelled
        ):
            manner = "shift" if how.shifts else "in place"
        else:
            for one in kept:
                takeover.take(old, made, one, cancelled)
            return patch, "copy"
    base.replace(staging.image)
    return patch, manner


def _possible(staging: Staging, old: int, made: int, kept: Sequence[Reused]) -> Shifts | None:
    """Returns how the old image becomes the new one, if that is better than copying and may be."""
    if not takeover.worth(kept) or not takeover.alone(old):
        return None
    block = os.fstatvfs(old).f_bsize
    how = shifts(kept, block)
    written = os.fstat(made).st_blocks * 512 + sum(one.length for one in how.rest)
    lost = sum(end - start for start, end in _data(old, how.left(os.fstat(old).st_size)))
    if max(written, lost) > takeover.MOST_WRITTEN:
        return None
    if not how.shifts:
        return how
    try:
        renumbered = len(how.shifts) * (len(extents(old)) + len(how.shifts))
    except OSError as error:
        if error.errno not in UNABLE:
            raise
        return None
    few = renumbered <= _MOST_RENUMBERED
    return how if few and movable(staging.folder, block) else None


def _shifted(
    staging: Staging, path: Path, old: int, made: int, how: Shifts, cancelled: Callable[[], bool]
) -> bool:  # fmt: skip
    """Has the old image become the new one; False where its file system cannot after all."""
    for one in how.rest:
        takeover.take(old, made, one, cancelled)
    left = list(how.left(os.fstat(old).st_size))
    undo = Undo(staging.folder / _UNDO)
    undo.keep(old, _data(old, left), left)
    target = staging.borrow(path, staging.folder / _BASE, undo)
    try:
        for shift in how.shifts:
            undo.shift(target, shift)
    except OSError as error:
        if error.errno not in UNABLE:
            raise
        staging.give_back()
        return False
    there = [Reused(one.new, one.new, one.length) for one in how.carried]
    rest = takeover.compare(target, made, there, cancelled)
    takeover.apply(rest, target, made, target, cancelled)
    return True


def _data(file: int, ranges: Iterable[Range]) -> Iterator[Range]:
    for start, end in ranges:
        yield from data_ranges(file, start, end)


def _opened(stack: ExitStack, path: Path, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor
