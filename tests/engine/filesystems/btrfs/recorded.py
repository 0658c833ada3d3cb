"""The images that `record` recorded, unpacked, and what the kernel said of them."""

from __future__ import annotations

import hashlib
import json
import lzma
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.filesystems.btrfs.reader import BtrfsFilesystem
from engine.image.reading import Node
from tests.engine.filesystems.btrfs.record import DATA, PIECE

_PIECE = 512
_INODE_BITS = 48


def unpacked(name: str, folder: Path) -> Path:
    """Returns an image, with holes where it has zeros."""
    file = folder / f"{name}.img"
    data = lzma.decompress((DATA / f"{name}.img.xz").read_bytes())
    with file.open("wb") as image:
        image.truncate(struct.unpack_from("<Q", data)[0])
        for start in range(8, len(data), 8 + PIECE):
            image.seek(struct.unpack_from("<Q", data, start)[0])
            image.write(data[start + 8 : start + 8 + PIECE])
    return file


def said(name: str) -> dict[bytes, Mapping[str, Any]]:
    """Returns what the kernel said of each path."""
    rows = json.loads(lzma.decompress((DATA / f"{name}.json.xz").read_bytes()))
    return {bytes.fromhex(row["path"]): row for row in rows}


def seen(btrfs: BtrfsFilesystem, node: Node) -> Mapping[str, Any]:
    """Returns what our reader sees of a path, in the same words."""
    regular = node.mode & 0o170000 == 0o100000
    return {
        "path": node.path.hex(), "mode": node.mode, "uid": node.uid, "gid": node.gid,
        "links": node.links, "inode": node.inode & (1 << _INODE_BITS) - 1,
        "mtime": node.mtime_ns, "size": node.size,
        "rdev": node.rdev, "target": node.target.hex(),
        "data": _sum(btrfs, node) if regular else "",
        "xattrs": {name.decode(): value.hex() for name, value in node.xattrs},
    }  # fmt: skip


def _sum(btrfs: BtrfsFilesystem, node: Node) -> str:
    total = hashlib.sha256()
    for start, data in btrfs.data(node):
        for offset in range(0, len(data), _PIECE):
            piece = data[offset : offset + _PIECE]
            if piece.strip(b"\0"):
                total.update(struct.pack("<Q", start + offset) + piece)
    return total.hexdigest()
