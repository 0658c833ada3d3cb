"""Which digests the outputs get, and the sentence that says why it is not SHA-256."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.disk.view import Share
from engine.spec.settings import Settings
from engine.units import human

MANY_HOLES = 8 << 30
"""Bytes of holes from which on SHA-256 spends seconds on zeros: some five, for so many."""

_HOLES = ("free", "reserved", "unformatted", "boot-gap", "alignment", "tail")


@dataclass(frozen=True, slots=True)
class SumsPlan:
    """The digests of a build's outputs.

    Attributes:
        image: "sha256" and "fsverity", as far as the disk's raw image gets them.
        others: Those of every other output.
        note: Why the image gets another than one would expect; "" where it does not.
    """

    image: tuple[str, ...] = ("sha256",)
    others: tuple[str, ...] = ("sha256",)
    note: str = ""

    @property
    def used(self) -> frozenset[str]:
        """All that are computed."""
        return frozenset((*self.image, *self.others))


DEFAULT_SUMS = SumsPlan()


def sums_plan(settings: Settings, disk_bytes: int, breakdown: Iterable[Share]) -> SumsPlan:
    """Returns the digests that `output.sums` comes to.

    Args:
        settings: Of the spec.
        disk_bytes: Size of the disk.
        breakdown: Where its bytes go: what nothing is written to becomes holes of a raw image.
    """
    asked = settings.output.sums
    if asked != ("auto",):
        kinds = tuple(kind for kind in asked if kind != "none")
        return SumsPlan(kinds, kinds)
    holes = sum(share.bytes for share in breakdown if share.key.endswith(_HOLES))
    if settings.output.format != "raw" or holes < MANY_HOLES or 2 * holes < disk_bytes:
        return DEFAULT_SUMS
    return SumsPlan(
        ("fsverity",), ("sha256",),
        f"The image gets an fs-verity digest: {human(holes)} of its {human(disk_bytes)} are empty, "
        'and SHA-256 would read them all. `output.sums = "sha256"` takes it all the same.',
    )  # fmt: skip
