"""What a build leaves for the next one: what it made of what, and where that lies.

It is kept in the cache of the user who builds, one file for each output folder, and never beside
the outputs, which stay what a build without it would leave. It is believed only where nothing can
have changed since (`load`); without it, or against any doubt, a build begins from nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.events import Artifact, readable
from engine.manifest.folder import GRAIN_NS, is_recent
from engine.manifest.oci.image import ContainerImage
from engine.reuse.part import Part

SCHEMA = 8
_MAGIC = b"diskwright record "
_KEPT, _LEAVES = ".kept", ".leaves"
_DIGEST = 32
_MOST = 4 << 30
"""Bytes; a million files take some 80 MB."""


class Unbelievable(Exception):
    """There is no record, or it is not of what is there; the message is a sentence's second half.

    It goes on after "nothing is taken over: ".
    """


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """What the host says of a file: it is the same, unchanged, if all of it is."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class OutputRecord(msgspec.Struct, frozen=True, array_like=True):
    """One output.

    Attributes:
        name: Relative to the output folder.
        state: Of the file under its final name.
        announced: Whether it is one of those that the others describe.
        digests: In hexadecimal, by algorithm.
    """

    name: str
    state: FileState
    announced: bool
    digests: dict[str, str]


class VolumeRecord(msgspec.Struct, frozen=True, array_like=True):
    """One volume of the raw image.

    Attributes:
        id: Of the volume.
        key: See `engine.reuse.key`; "" where it has none.
        offset: Byte of the image where it begins.
        length: Bytes of it.
        shape: See `engine.reuse.key`; "" where it has none.
    """

    id: str
    key: str
    offset: int
    length: int
    shape: str = ""


NEVER = 0
"""Stamp of what had just changed when it was looked at: it is not believed to be the same."""

Items = tuple[tuple[int, bytes], ...]
"""Length and SHA-256 of each."""


class SourceRecord(msgspec.Struct, frozen=True, array_like=True):
    """What was seen of one source (`engine.reuse.sources`).

    Attributes:
        folder: Its path.
        names: Paths below it, each ended by NUL.
        stamps: Of each, 8 bytes.
        where: Key path of the content entry that names it, if one does.
        target: Path in the image of the first of the names, which the others are below.
        followed: What a link leads to was looked at, not the link.
    """

    folder: bytes
    names: bytes
    stamps: bytes
    where: str = ""
    target: bytes = b""
    followed: bool = False


class ArchiveRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An archive or a container image that was read (`engine.reuse.brought`).

    Attributes:
        key: Of all that what it brings follows from besides its bytes.
        path: Of the archive, or of the folder.
        files: What the host says of the files that it was read from.
        image: What the container image is; None for an archive.
        layers: Stamps of the files that its layers lie in.
    """

    key: str
    path: bytes
    files: SourceRecord
    image: ContainerImage | None = None
    layers: tuple[int, ...] = ()


class Seen(NamedTuple):
    """What was seen of all sources.

    Attributes:
        sources: All that was read or listed, where that is known to the last.
        archives: Of them, what need not be read again while it is what it was.
        brought: What these brought (`engine.reuse.brought`).
    """

    sources: tuple[SourceRecord, ...] = ()
    archives: tuple[ArchiveRecord, ...] = ()
    brought: Sequence[bytes | msgspec.Raw] = ()


class Record(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """All of it.

    Attributes:
        outdir: The output folder, as the host calls it.
        spec: What was asked for (`engine.reuse.sources.asked`), or "" where that does not tell all.
        design: A digest of the plan, of what went in, and of what made the outputs.
        image: Name of the raw image, or "" where nothing can be taken over from it.
        outputs: Every file that the build left but its events.
        volumes: Of the image.
        tree: Digests of the image's parts (`engine.provenance.fsverity`), where it has them.
        sources: All that was read or listed, where that is known to the last.
        archives: Archives and container images, of which need not all be known.
        machine: What the program and its tools are files of.
        versions: Of the tools.
        program: A digest of the program's code (`engine.reuse.maker.program`).
        items: Length and SHA-256 of each item beside the record (`engine.reuse.details`).
    """

    outdir: str
    spec: str
    design: str
    image: str
    outputs: tuple[OutputRecord, ...]
    volumes: tuple[VolumeRecord, ...]
    tree: dict[int, bytes]
    sources: tuple[SourceRecord, ...]
    archives: tuple[ArchiveRecord, ...]
    machine: tuple[SourceRecord, ...]
    versions: dict[str, str]
    program: str
    items: Items

    def output(self, name: str) -> OutputRecord | None:
        """Returns what is said of an output."""
        return next((one for one in self.outputs if one.name == name), None)

    def artifacts(self, outdir: Path) -> list[Artifact]:
        """Returns the outputs that the others describe, as a build tells of them."""
        return [
            Artifact(
                path=readable(outdir / one.name),
                bytes=one.state.size,
                sha256=one.digests.get("sha256"),
                fsverity=one.digests.get("fsverity"),
            )
            for one in self.outputs
            if one.announced
        ]


_DECODER = msgspec.msgpack.Decoder(Record)
_ENCODER = msgspec.msgpack.Encoder()


def cache_folder(environ: Mapping[str, str] | None = None) -> Path | None:
    """Returns the folder of this program's in the user's cache, or None where there is none.

    Source: XDG Base Directory Specification, `XDG_CACHE_HOME`; a relative path counts for nothing.
    """
    given = os.environ if environ is None else environ
    for base in (Path(given.get("XDG_CACHE_HOME", "")), Path(given.get("HOME", "")) / ".cache"):
        if base.is_absolute():
            return base / "diskwright"
    return None


def record_path(outdir: Path) -> Path | None:
    """Returns where the record of an output folder is."""
    folder = cache_folder()
    if folder is None:
        return None
    name = hashlib.sha256(os.fsencode(os.path.realpath(outdir))).hexdigest()[:32]
    return folder / "builds" / f"{name}.record"


def details_path(outdir: Path) -> Path | None:
    """Returns where the larger part of a record is (`engine.reuse.details`)."""
    path = record_path(outdir)
    return path.with_suffix(_KEPT) if path is not None else None


def leaves_path(outdir: Path) -> Path | None:
    """Returns where the digests of an image's blocks are (`engine.reuse.leaves`)."""
    path = record_path(outdir)
    return path.with_suffix(_LEAVES) if path is not None else None


def state_of(status: os.stat_result) -> FileState:
    """Returns what tells a file from another and from itself after a change."""
    return FileState(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def unchanged(path: Path, state: FileState) -> bool:
    """Whether a regular file is there that has not changed since its state was taken."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and state_of(status) == state


def settled(path: Path) -> FileState:
    """Returns a file's state once a further change of it would show in it.

    Raises:
        OSError: It is not there.
    """
    while is_recent((status := path.lstat()).st_ctime_ns, now := time.time_ns()):
        if status.st_ctime_ns > now:
            break  # of a server whose clock is ahead: there is nothing to wait for
        time.sleep(GRAIN_NS / 4e9)
    return state_of(status)


def load(outdir: Path) -> Record:
    """Returns the record of an output folder.

    Raises:
        Unbelievable: There is none, or it cannot be one that this program left for this user.
    """
    path = record_path(outdir)
    if path is None:
        raise Unbelievable("there is no cache to keep a record in (HOME and XDG_CACHE_HOME)")
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise Unbelievable(f"others than this user may have written {path}")
            data = file.read(_MOST)
    except FileNotFoundError:
        raise Unbelievable("no build of this folder has left a record of itself") from None
    except OSError as error:
        raise Unbelievable(f"{path} cannot be read ({error.strerror})") from None
    header = _header()
    if not data.startswith(_MAGIC):
        raise Unbelievable(f"{path} is not a record of a build")
    if not data.startswith(header):
        raise Unbelievable(f"{path} is of another version of this program")
    start = len(header) + _DIGEST
    body = memoryview(data)[start:]
    if hashlib.sha256(body).digest() != data[len(header) : start]:
        raise Unbelievable(f"{path} is damaged")
    try:
        record = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unbelievable(f"{path} is damaged") from None
    if record.outdir != _named(outdir):
        raise Unbelievable(f"{path} is of another folder")
    return record


def save(outdir: Path, record: Record) -> None:
    """Leaves a record for the next build, and removes those of folders that are gone.

    Args:
        outdir: The output folder.
        record: Of what it holds.

    Raises:
        OSError: It cannot be written.
    """
    path = record_path(outdir)
    if path is None:
        return
    body = _ENCODER.encode(msgspec.structs.replace(record, outdir=_named(outdir)))
    part = Part(path)
    try:
        with part.open() as file:
            file.write(_header() + hashlib.sha256(body).digest())
            file.write(body)
        path.with_suffix(".where").write_bytes(os.fsencode(os.path.realpath(outdir)))
        part.install()
    finally:
        part.discard()
    _remove_parts(path)
    _collect(path.parent)


def forget(outdir: Path) -> None:
    """Removes the record of an output folder."""
    path = record_path(outdir)
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            _remove_beside(path)


def _collect(folder: Path) -> None:
    """Removes records whose output folder is not there any more."""
    for note in folder.glob("*.where"):
        with contextlib.suppress(OSError):
            if not Path(os.fsdecode(note.read_bytes())).is_dir():
                note.with_suffix(".record").unlink(missing_ok=True)
                _remove_beside(note)
                note.unlink()


def _remove_beside(path: Path) -> None:
    for suffix in (_KEPT, _LEAVES):
        path.with_suffix(suffix).unlink(missing_ok=True)
    _remove_parts(path)


def _remove_parts(path: Path) -> None:
    """Removes what builds that were killed had begun to write beside a record."""
    for part in path.parent.glob(f"{path.stem}.*-part"):
        part.unlink(missing_ok=True)


def _header() -> bytes:
    return _MAGIC + b"%d\n" % SCHEMA


def _named(outdir: Path) -> str:
    """Returns a folder's real path as text, whatever bytes it is made of."""
    return os.path.realpath(outdir).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
