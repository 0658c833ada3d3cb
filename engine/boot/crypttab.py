"""/etc/crypttab of the contents: what it opens, and what of that the image does not have.

Source: crypttab(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.boot.devices import Devices

PATH = b"etc/crypttab"
_OPTIONAL = frozenset({"noauto", "nofail"})


@dataclass(frozen=True, slots=True)
class Mapping:
    """One line: a name below /dev/mapper, and the device that it opens."""

    number: int
    name: str
    device: str
    optional: bool


def mappings(text: str) -> Iterator[Mapping]:
    """Yields what a crypttab opens."""
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if len(fields) < 2 or fields[0].startswith("#"):
            continue
        options = frozenset(fields[3].split(",")) if len(fields) > 3 else frozenset()
        yield Mapping(number, fields[0], fields[1], bool(options & _OPTIONAL))


def missing(text: str, devices: Devices) -> list[str]:
    """Returns, a phrase each, the lines whose device the image does not have."""
    return [
        f"line {each.number}: {each.device} for {each.name}"
        for each in mappings(text)
        if not each.optional and devices.lacks(each.device)
    ]
