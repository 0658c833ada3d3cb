"""Images that a kernel filled, recorded with what it said of every file: kept, and unpacked."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.image.reading import Filesystem, Node, walk

ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *each)
    for each in ((1, 7, 0xFFFFFFFF), (2, 6, 1000), (4, 5, 0xFFFFFFFF), (8, 4, 7),
                 (0x10, 7, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
)  # fmt: skip
"""A POSIX ACL as the kernel gives and takes it."""
_PIECE = 4096
"""Bytes of an image that are kept together, unless they are zeros."""
_SUMMED = 512
"""Bytes of a file that are summed up together, unless they are zeros."""


@dataclass(frozen=True)
class Recordings:
    """The images of a format, in a folder."""

    folder: Path

    def keep(self, name: str, image: Path, said: list[dict[str, object]]) -> None:
        """Packs an image and what was said of it."""
        (self.folder / f"{name}.img.xz").write_bytes(lzma.compress(_packed(image), preset=9))
        told = lzma.compress(json.dumps(said).encode(), preset=9)
        (self.folder / f"{name}.json.xz").write_bytes(told)

    def unpacked(self, name: str, folder: Path) -> Path:
        """Returns an image, with holes where it has zeros."""
        file = folder / f"{name}.img"
        data = lzma.decompress((self.folder / f"{name}.img.xz").read_bytes())
        with file.open("wb") as image:
            image.truncate(struct.unpack_from("<Q", data)[0])
            for start in range(8, len(data), 8 + _PIECE):
                image.seek(struct.unpack_from("<Q", data, start)[0])
                image.write(data[start + 8 : start + 8 + _PIECE])
        return file

    def said(self, name: str) -> dict[bytes, Mapping[str, Any]]:
        """Returns what the kernel said of each path."""
        rows = json.loads(lzma.decompress((self.folder / f"{name}.json.xz").read_bytes()))
        return {bytes.fromhex(row["path"]): row for row in rows}


def nodes(filesystem: Filesystem) -> Iterator[Node]:
    """Yields all there is."""
    root = filesystem.lookup(b"")
    assert root is not None
    return iter((root, *walk(filesystem)))


def seen(filesystem: Filesystem, node: Node) -> dict[str, Any]:
    """Returns what our reader sees of a path, in the words of `kernel_says`."""
    return {
        "path": node.path.hex(), "mode": node.mode, "uid": node.uid, "gid": node.gid,
        "links": node.links, "inode": node.inode, "mtime": node.mtime_ns, "size": node.size,
        "rdev": node.rdev, "target": node.target.hex(),
        "data": _sum(filesystem.data(node)) if stat.S_ISREG(node.mode) else "",
        "xattrs": {name.decode(): value.hex() for name, value in node.xattrs},
    }  # fmt: skip


def kernel_says(top: Path) -> Iterator[dict[str, object]]:
    """Yields what the kernel says of everything that is mounted at a folder, in no order."""
    for folder, _, files in os.walk(os.fsencode(top)):
        for path in (folder, *(folder + b"/" + name for name in files)):
            yield _of_path(path, os.fsencode(top))


def _of_path(path: bytes, top: bytes) -> dict[str, object]:
    found = os.lstat(path)
    kind = stat.S_IFMT(found.st_mode)
    names = os.listxattr(path, follow_symlinks=False)
    values = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
    return {
        "path": path[len(top) :].lstrip(b"/").hex(),
        "mode": found.st_mode, "uid": found.st_uid, "gid": found.st_gid,
        "links": found.st_nlink, "inode": found.st_ino, "mtime": found.st_mtime_ns,
        "size": found.st_size,
        "rdev": found.st_rdev if kind in {stat.S_IFBLK, stat.S_IFCHR} else 0,
        "target": _target(path).hex() if kind == stat.S_IFLNK else "",
        "data": _sum(_data(path, found.st_size)) if kind == stat.S_IFREG else "",
        "xattrs": {name: value.hex() for name, value in values.items()},
    }  # fmt: skip


def _target(path: bytes) -> bytes:
    return os.fsencode(Path(os.fsdecode(path)).readlink())


def _data(path: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    """Yields where a file has data, and that."""
    descriptor = os.open(path, os.O_RDONLY)
    at = 0
    while at < size:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(descriptor, start, os.SEEK_HOLE)
        data = os.pread(descriptor, at - start, start)
        assert len(data) == at - start
        yield start, data
    os.close(descriptor)


def _sum(ranges: Iterator[tuple[int, bytes]]) -> str:
    """Returns a sum of the pieces of data that are not zeros, and of where they are."""
    total = hashlib.sha256()
    for start, data in ranges:
        for offset in range(0, len(data), _SUMMED):
            piece = data[offset : offset + _SUMMED]
            if piece.strip(b"\0"):
                total.update(struct.pack("<Q", start + offset) + piece)
    return total.hexdigest()


def _packed(image: Path) -> bytes:
    with image.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        pieces = [struct.pack("<Q", size)]
        for at in range(0, size, _PIECE):
            piece = file.read(_PIECE)
            if piece.strip(b"\0"):
                pieces.append(struct.pack("<Q", at) + piece.ljust(_PIECE, b"\0"))
    return b"".join(pieces)
