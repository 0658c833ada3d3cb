"""Files of an image as a pax archive: all that they are, made by an ordinary user."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.image.reading import Node
from engine.inspect.notes import Notes
from engine.manifest import pax
from engine.manifest.tar import BLOCK, Ranges

_SOCKETS = "sockets left out (archives have none)"
_ATTRIBUTES = "attributes left out whose names an archive cannot hold"
_BUFFER = 1 << 20
_KINDS = {stat.S_IFCHR: b"3", stat.S_IFBLK: b"4", stat.S_IFIFO: b"6"}
_PREFIXES = (b"user.", b"trusted.", b"security.", b"system.")


@contextmanager
def tar_sink(path: Path, notes: Notes) -> Iterator[TarSink]:
    """Yields what writes a new archive, and ends the archive."""
    with path.open("xb", buffering=_BUFFER) as file:
        yield TarSink(file, notes)
        end = file.tell() + 2 * BLOCK
        file.write(bytes(2 * BLOCK + -end % pax.RECORD))


class TarSink:
    """Writes what it is given to an archive, in that order."""

    def __init__(self, file: BinaryIO, notes: Notes) -> None:
        self._file = file
        self._notes = notes

    def survives(self, error: OSError) -> bool:
        """Whether other members can still be written after this error."""
        return False

    def directory(self, path: bytes, node: Node) -> None:
        """Writes a directory."""
        self._member((path or b".") + b"/", b"5", node)

    def leave(self, path: bytes, node: Node) -> None:
        """Does nothing: a member cannot be changed by those after it."""

    def file(
        self, path: bytes, node: Node, ranges: Ranges, pieces: Iterable[tuple[int, bytes]]
    ) -> None:
        """Writes a file; bytes of `ranges` that no piece covers are zeros."""
        stored = sum(length for _, length in ranges)
        if stored == node.size:
            self._member(path, b"0", node, size=stored)
        else:
            table = pax.sparse_map(ranges, node.size)
            records = pax.sparse_records(path, node.size)
            self._member(b"GNUSparseFile/" + node.name, b"0", node, records=records,
                         size=len(table) + stored)  # fmt: skip
            self._file.write(table)
        written = 0
        for _, data in pieces:
            written += self._file.write(data)
        # A hole in the archive; what follows, if only its end, makes it read as zeros.
        self._file.seek(stored - written + -stored % BLOCK, os.SEEK_CUR)

    def link(self, path: bytes, node: Node, first: bytes) -> bool:
        """Writes another name of the member `first`."""
        self._member(path, b"1", node, link=first)
        return True

    def symlink(self, path: bytes, node: Node) -> None:
        """Writes a symbolic link."""
        self._member(path, b"2", node, link=node.target)

    def special(self, path: bytes, node: Node) -> bool:
        """Writes a device or a FIFO; leaves out a socket."""
        kind = _KINDS.get(stat.S_IFMT(node.mode))
        if kind is None:
            self._notes.add(_SOCKETS, node.path)
            return False
        self._member(path, kind, node)
        return True

    def _member(
        self, name: bytes, kind: bytes, node: Node, *, size: int = 0, link: bytes = b"",
        records: pax.Records = (),
    ) -> None:  # fmt: skip
        attributes = [] if kind == b"1" else [pair for pair in node.xattrs if _storable(pair[0])]
        if kind != b"1" and len(attributes) < len(node.xattrs):
            self._notes.add(_ATTRIBUTES, node.path)
        header = pax.Header(
            name=name, kind=kind, mode=stat.S_IMODE(node.mode), uid=node.uid, gid=node.gid,
            size=size, mtime_ns=node.mtime_ns, link=link,
            major=os.major(node.rdev), minor=os.minor(node.rdev),
        )  # fmt: skip
        found = [(b"SCHILY.xattr." + key, value) for key, value in attributes]
        self._file.write(pax.blocks(header, [*records, *found]))


def _storable(name: bytes) -> bool:
    """Whether a pax record can have this attribute: "=" would end its key too early."""
    return name.startswith(_PREFIXES) and b"=" not in name
