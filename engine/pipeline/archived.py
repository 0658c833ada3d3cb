"""What a kernel read of a volume, as the archive that GNU tar made of it, against the manifest."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from engine.filesystems.paxstream import Keep
from engine.image.reading import BadFilesystem, Node
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.pipeline.readback import MOST, difference, sum_of

_XATTR = "SCHILY.xattr."
_PIECE = 1 << 20
_KINDS = {
    tarfile.REGTYPE: 0o100000, tarfile.AREGTYPE: 0o100000, tarfile.DIRTYPE: 0o040000,
    tarfile.SYMTYPE: 0o120000, tarfile.CHRTYPE: 0o020000, tarfile.BLKTYPE: 0o060000,
    tarfile.FIFOTYPE: 0o010000, tarfile.GNUTYPE_SPARSE: 0o100000,
}  # fmt: skip


@dataclass(slots=True)
class Archived:
    """What an archive holds.

    Attributes:
        nodes: By path.
        sums: Of files' data, as `engine.provenance.inputs.DataSums` takes it, by id of the entry
            of the manifest; None where a hole has data.
    """

    nodes: dict[bytes, Node] = field(default_factory=dict)
    sums: dict[int, bytes | None] = field(default_factory=dict)

    def differences(
        self, manifest: Manifest, sums: Mapping[int, bytes], keep: Keep
    ) -> Iterator[str]:
        """Yields how it differs from a manifest and the sums of what was written, as sentences."""
        links: dict[int, int] = {}
        for entry in manifest:
            first = entry.link_to or entry
            links[id(first)] = links.get(id(first), 0) + 1
        inodes: dict[int, int] = {}
        wanted = {b""}
        for entry in manifest:
            wanted.add(entry.path)
            node = self.nodes.get(entry.path)
            trouble = "is missing"
            if node is not None:
                trouble = difference(node, entry, links, inodes, keep)
                if not trouble and self.sums.get(id(entry)) != sums.get(id(entry)):
                    trouble = "has other bytes than its source had"
            if trouble:
                yield f"/{_shown(entry.path)} {trouble}"
        for path in self.nodes:
            if path not in wanted:
                yield f"/{_shown(path)} is there unplanned"


def read(
    descriptor: int, manifest: Manifest, keep: Keep, cancelled: Callable[[], bool]
) -> Archived:
    """Reads an archive to its end, and whatever follows it.

    Args:
        descriptor: Of a pipe.
        manifest: What it is of.
        keep: What the format keeps of an entry's metadata.
        cancelled: Asked at every entry.

    Raises:
        BadFilesystem: It is damaged, or ends early.
    """
    found = Archived()
    try:
        with (
            os.fdopen(descriptor, "rb", closefd=False) as pipe,
            tarfile.open(
                fileobj=pipe, mode="r|", encoding="utf-8", errors="surrogateescape"
            ) as archive,
        ):
            firsts: dict[bytes, list[bytes]] = {}
            while not cancelled():
                member = archive.next()
                if member is None:
                    break
                archive.members.clear()  # type: ignore[attr-defined]  # never asked for again
                _take(archive, member, found, firsts, manifest, keep)
            for names in firsts.values():
                for name in names:
                    found.nodes[name] = replace(found.nodes[name], links=len(names))
    except (tarfile.TarError, EOFError) as error:
        raise BadFilesystem(f"what was read of it ends early: {error}") from error
    finally:
        while os.read(descriptor, _PIECE):
            pass
    return found


def _take(
    archive: tarfile.TarFile, member: tarfile.TarInfo, found: Archived,
    firsts: dict[bytes, list[bytes]], manifest: Manifest, keep: Keep,
) -> None:  # fmt: skip
    path = _path(member.name)
    if member.islnk():
        names = firsts[_path(member.linkname)]
        names.append(path)
        found.nodes[path] = replace(found.nodes[names[0]], path=path)
        return
    if member.type not in _KINDS:
        raise BadFilesystem(f"/{_shown(path)} has the type {member.type!r} in its archive")
    firsts[path] = [path]
    found.nodes[path] = _node(member, path, len(firsts), keep)
    entry = manifest.get(path)
    entry = entry.link_to or entry if entry is not None else None
    if member.isreg() and entry is not None and entry.is_regular:
        found.sums[id(entry)] = sum_of(_data(archive, member), entry)


def _node(member: tarfile.TarInfo, path: bytes, inode: int, keep: Keep) -> Node:
    mode = _KINDS[member.type] | member.mode & 0o7777
    target = _bytes(member.linkname) if member.issym() else b""
    xattrs = tuple(sorted(
        (_bytes(name.removeprefix(_XATTR)), _bytes(value))
        for name, value in member.pax_headers.items() if name.startswith(_XATTR)
    ))  # fmt: skip
    special = member.ischr() or member.isblk()
    return Node(
        path=path,
        mode=mode,
        uid=member.uid,
        gid=member.gid,
        size=len(target) or (0 if member.isdir() else member.size),
        mtime_ns=_nanoseconds(member.pax_headers.get("mtime", str(int(member.mtime)))),
        inode=inode,
        target=target,
        rdev=os.makedev(member.devmajor, member.devminor) if special else 0,
        # By what it holds others' by, a format may show one attribute twice.
        xattrs=keep(Entry(path, mode, xattrs=xattrs)).xattrs,
    )


def _data(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[tuple[int, bytes]]:
    """Yields the data of a file with its place, holes left out."""
    source = archive.fileobj
    assert source is not None
    source.seek(member.offset_data)
    pieces: list[tuple[int, int]] = member.sparse or [(0, member.size)]  # type: ignore[assignment]
    for place, length in pieces:
        done = 0
        while done < length:
            piece = source.read(min(_PIECE, length - done))
            if not piece:
                raise EOFError(f"in /{_shown(_path(member.name))}")
            yield place + done, piece
            done += len(piece)


def _nanoseconds(text: str) -> int:
    """Returns the time that a decimal number of seconds says (pax(1))."""
    whole, _, rest = text.partition(".")
    sign = -1 if whole.startswith("-") else 1
    return sign * (int(whole.lstrip("-")) * 10**9 + int((rest + "0" * 9)[:9]))


def _path(name: str) -> bytes:
    return _bytes(name).removeprefix(b".").removeprefix(b"/")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def first_of(found: Iterator[str]) -> list[str]:
    """Returns the first few differences: the rest has the same cause."""
    return [text for text, _ in zip(found, range(MOST), strict=False)]
