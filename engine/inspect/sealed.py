"""Hash trees in an image, held against what they are of.

Source: UAPI Group, Discoverable Partitions Specification: the partitions' GUIDs are the halves of
the root hash, so that the two tell it even where the tree is damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from engine.disk.roles import role_of
from engine.disk.verity import TREES
from engine.filesystems.verity.reader import HashTree, Signature
from engine.image.container import BadImage
from engine.inspect.image import Image, Part

_MOST_BLOCKS = 1 << 18
"""Blocks of data that are read at most: 1 GiB, a second or two."""
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A hash tree and what came of it.

    Attributes:
        where: The partition with the tree.
        data: The partition that it is of, or None if none is found.
        root_hash: In hexadecimal: what the GUIDs say, else what the tree says; "" where neither
            tells.
        intact: Whether all is as it was hashed; None where the data was not read.
        signed: The partition with a signature of this root hash, or None.
        damage: What is wrong, in sentences.
    """

    where: str
    data: str | None
    root_hash: str
    intact: bool | None
    signed: str | None
    damage: tuple[str, ...]


def seals(image: Image) -> tuple[Seal, ...]:
    """Returns every hash tree of an image, checked."""
    return tuple(
        _seal(image, part, part.content)
        for part in image.parts
        if isinstance(part.content, HashTree)
    )


def _seal(image: Image, part: Part, tree: HashTree) -> Seal:
    try:
        stored = tree.root() if tree.levels else ""
    except BadImage as error:
        return Seal(where=part.name, data=None, root_hash="", intact=False, signed=None,
                    damage=(f"{part.name}: the hash tree cannot be read: {error}",))  # fmt: skip
    data = _data_of(image, part, stored)
    wanted = _told(part, data)
    root_hash = wanted if _agrees(stored, wanted) else stored
    damage = []
    if stored and wanted and not _agrees(stored, wanted):
        damage.append(
            f"the GUIDs of {part.name} and {data.name if data else 'its data'} are not those of "
            f"the root hash {stored}: the tree is damaged at its top, or systemd does not find it"
        )
    signature = next(
        (one for one in image.parts if isinstance(one.content, Signature)
         and one.content.root_hash == root_hash), None,
    )  # fmt: skip
    if data is None:
        damage.append(f"{part.name}: no partition is what the hash tree is of")
    read = data is not None and root_hash != "" and tree.data_blocks <= _MOST_BLOCKS
    if data is not None and read:
        damage += _damage(part, tree, data, root_hash)
    return Seal(
        where=part.name,
        data=data.name if data is not None else None,
        root_hash=root_hash,
        intact=False if damage else True if read else None,
        signed=signature.name if signature is not None else None,
        damage=tuple(damage),
    )


def _damage(part: Part, tree: HashTree, data: Part, root_hash: str) -> Iterator[str]:
    found = tree.damaged(data.window, root_hash)
    try:
        for sentence in islice(found, _NAMED):
            yield f"{part.name}, hash tree of {data.name}: {sentence}"
        if next(found, None) is not None:
            yield f"{part.name}, hash tree of {data.name}: more blocks are damaged"
    except (BadImage, struct.error) as error:
        yield f"{part.name}, hash tree of {data.name}: {error}"


def _data_of(image: Image, part: Part, root_hash: str) -> Part | None:
    """Returns what a tree is of: by its GUID, else the only partition with the role for it."""
    for one in image.parts:
        if root_hash and one is not part and _bits(one) == root_hash[:32]:
            return one
    wanted = TREES.get(_role(part), "")
    fitting = [one for one in image.parts if _role(one) == wanted]
    return fitting[0] if len(fitting) == 1 else None


def _told(part: Part, data: Part | None) -> str:
    """Returns the root hash that the GUIDs of data and tree are the halves of."""
    return _bits(data) + _bits(part) if data is not None else ""


def _agrees(stored: str, told: str) -> bool:
    """Whether a root hash is told by GUIDs; a tree of one block stores none."""
    return bool(told) and (not stored or stored[:32] + stored[-32:] == told)


def _bits(part: Part) -> str:
    guid = part.partition.guid if part.partition is not None else None
    return (guid or "").replace("-", "").lower()


def _role(part: Part) -> str:
    return role_of(part.partition.type) if part.partition is not None else ""
