"""Volumes under dm-verity: which is hashed, which holds its tree, which the signature of that.

Source: UAPI Group, Discoverable Partitions Specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.disk.volume import Volume

TREE, SIGNATURE = "verity", "verity-sig"
"""Formats of the volumes that hold a hash tree, and the signature of its root hash."""

TREES: Mapping[str, str] = MappingProxyType({"root-verity": "root", "usr-verity": "usr"})
"""Role of what is hashed, by that of its tree."""
SIGNATURES: Mapping[str, str] = MappingProxyType({f"{tree}-sig": of for tree, of in TREES.items()})
"""Role of what is hashed, by that of the signature."""
FORMATS: Mapping[str, str] = MappingProxyType(
    {**dict.fromkeys(TREES, TREE), **dict.fromkeys(SIGNATURES, SIGNATURE)}
)
"""Format by role, where the spec names what is hashed."""

MAPPED: Mapping[str, str] = MappingProxyType({"root": "/dev/mapper/root", "usr": "/dev/mapper/usr"})
"""What systemd-veritysetup-generator(8) calls the verified device, by role of what is hashed."""


def tree_of(volumes: Iterable[Volume], name: str) -> Volume | None:
    """Returns the volume with the hash tree of the one of that id, or None."""
    return next((one for one in volumes if one.format == TREE and one.verity == name), None)


def hashed(volumes: Iterable[Volume]) -> tuple[Volume, ...]:
    """Returns the volumes that have a hash tree of the role for it, in disk order."""
    listed = tuple(volumes)
    trees = {(one.verity, TREES[one.role]) for one in listed if one.format == TREE}
    return tuple(one for one in listed if (one.id, one.role) in trees)
