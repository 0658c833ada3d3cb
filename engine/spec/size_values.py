"""What a value of `[size]` may be wrong about by itself."""

from __future__ import annotations

from collections.abc import Iterator

from engine.problem import Problem
from engine.spec.model import ImageSpec
from engine.spec.refusals import edit, error
from engine.spec.rules import rules_of
from engine.units import GRAMMAR, MIB, format_exact, in_bytes, parse_size

MAX_INODES = (1 << 32) - 1


def size_problem(path: str, value: int | str, reason: str) -> Problem:
    """Returns the problem of a size that cannot be read."""
    return error("bad-size", path, reason, "" if GRAMMAR in reason else f"write {GRAMMAR}")


def check(spec: ImageSpec) -> Iterator[Problem]:
    """Yields what is wrong with the sizes and counts of a spec."""
    size = spec.size
    if size.disk is not None and size.disk != "auto":
        yield from _disk_size(size.disk)
    numfmt = rules_of(spec.compat).numfmt_sizes
    for name, value in (
        ("additional", size.additional), ("boot", size.boot), ("grow_to", size.grow_to),
    ):  # fmt: skip
        if value is None or (numfmt and isinstance(value, str) and name != "grow_to"):
            continue
        try:
            number = parse_size(value)
        except ValueError as problem:
            yield size_problem(f"size.{name}", value, str(problem))
        else:
            if name == "boot" and number == 0:
                yield error(
                    "boot-size-zero", "size.boot", "is 0; the EFI system partition needs room",
                    "256 MiB hold several kernels",
                    edit("Make it 256 MiB", ("size.boot", "256MiB")),
                )  # fmt: skip
            elif name == "boot" and number < MIB and has_no_unit(value):
                better = format_exact(number * MIB)
                yield error(
                    "boot-size-bytes", "size.boot",
                    f"is {in_bytes(number)}: without a unit it counts bytes, and an ESP takes MiB",
                    f'write "{better}"', edit(f"Make it {better}", ("size.boot", better)),
                )  # fmt: skip
    if size.inodes is not None and not 0 <= size.inodes <= MAX_INODES:
        yield error("bad-inodes", "size.inodes", f"is {size.inodes}, but must be 0 to {MAX_INODES}")


def has_no_unit(size: int | str) -> bool:
    """Whether a size is a bare number, whose unit the key decides."""
    return isinstance(size, int) or size.strip().isdecimal()


def _disk_size(disk: int | str) -> Iterator[Problem]:
    try:
        number = parse_size(disk, bare=MIB)
    except ValueError as problem:
        fix = edit("Measure the contents", ("size.disk", "auto"))
        reason = str(problem)
        hint = 'write "auto", an integer (MiB), or a size as in "4GiB"'
        yield error("bad-size", "size.disk", reason, hint, fix)
        return
    if number == 0:
        yield error(
            "disk-size-zero", "size.disk", "is 0; there would be no disk", 'write "auto" or a size',
            edit("Measure the contents", ("size.disk", "auto")),
        )  # fmt: skip
