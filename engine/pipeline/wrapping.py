"""What packs a finished disk into the one file that its reader takes, and reads it back."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from engine.image.whole import read_whole
from engine.pipeline import ovf, sparsetar
from engine.pipeline.gzipped import Gzip
from engine.pipeline.sparse import data_ranges
from engine.spec.formats import WrapKey
from engine.tools.failure import StepFailed
from engine.units import in_bytes

_CHUNK = 1 << 20
_END = bytes(2 * sparsetar.RECORD)
_UNPORTABLE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST = 80
"""A name in a ustar header has 100 bytes, an extension included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """One disk to pack.

    Attributes:
        disk: The file that holds it.
        capacity: Bytes of the disk itself.
        output: The new file.
        name: Of the image, for people.
        memory_mib: Of the machine that is to boot it.
        uefi: Only UEFI boots it.
        time: Of everything in the new file, in seconds since 1970.
        report: Takes (done, total) bytes.
        cancelled: Whether to end at once.
    """

    disk: Path
    capacity: int
    output: Path
    name: str
    memory_mib: int
    uefi: bool
    time: int
    report: Callable[[int, int], None]
    cancelled: Callable[[], bool]


def ova(wrapping: Wrapping) -> str:
    """Packs description, sums and disk, in this order, and checks the sums again.

    Raises:
        StepFailed: What was written does not read back.
    """
    size = wrapping.disk.stat().st_size
    stem = _UNPORTABLE.sub("_", wrapping.name)[:_LONGEST]
    names = [f"{stem}.{extension}" for extension in ("ovf", "mf", "vmdk")]
    description = ovf.dumps(
        ovf.Appliance(
            name=wrapping.name, disk_file=names[2], disk_bytes=size, capacity=wrapping.capacity,
            memory_mib=wrapping.memory_mib, uefi=wrapping.uefi,
        )
    )  # fmt: skip
    sums = {names[0]: hashlib.sha256(description).hexdigest(), names[2]: "0" * 64}
    with wrapping.output.open("xb") as file:
        _member(file, names[0], description, wrapping.time)
        place = file.tell()
        _member(file, names[1], _sums(sums), wrapping.time)
        file.write(_header(names[2], size, wrapping.time))
        sums[names[2]] = _copy(file, wrapping)
        file.write(bytes(-size % sparsetar.RECORD) + _END)
        file.seek(place)
        _member(file, names[1], _sums(sums), wrapping.time)
    if not wrapping.cancelled():
        _check_ova(wrapping, sums)
    return f"{', '.join(names)}; their sums are right"


def _sums(sums: Mapping[str, str]) -> bytes:
    return "".join(f"SHA256({name})= {value}\n" for name, value in sums.items()).encode()


def _header(name: str, size: int, time: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, time, 0o644
    # ustar counts to 8 GiB in octal digits; beyond, GNU's binary numbers are what readers know.
    if size < 1 << 33:
        return info.tobuf(tarfile.USTAR_FORMAT)
    return info.tobuf(tarfile.GNU_FORMAT)


def _member(file: BinaryIO, name: str, data: bytes, time: int) -> None:
    file.write(_header(name, len(data), time))
    file.write(data + bytes(-len(data) % sparsetar.RECORD))


def _copy(file: BinaryIO, wrapping: Wrapping) -> str:
    """Copies the disk to where the file stands; returns its SHA-256."""
    digest = hashlib.sha256()
    size = done = wrapping.disk.stat().st_size
    done = 0
    with wrapping.disk.open("rb") as disk:
        while not wrapping.cancelled() and (piece := disk.read(_CHUNK)):
            digest.update(piece)
            file.write(piece)
            done += len(piece)
            wrapping.report(done, size)
    return digest.hexdigest()


def _check_ova(wrapping: Wrapping, sums: Mapping[str, str]) -> None:
    try:
        with tarfile.open(wrapping.output, "r:") as archive:
            for name, expected in sums.items():
                digest = hashlib.sha256()
                for piece in _pieces(archive.extractfile(name), wrapping.cancelled):
                    digest.update(piece)
                if digest.hexdigest() != expected and not wrapping.cancelled():
                    raise StepFailed(f"{name} in the OVA does not read back as it was written")
    except (tarfile.TarError, KeyError) as error:
        raise StepFailed(f"the OVA does not read back: {error}") from error


def _pieces(file: object, cancelled: Callable[[], bool]) -> Iterator[bytes]:
    reader = cast("BinaryIO", file)
    while not cancelled() and (piece := reader.read(_CHUNK)):
        yield piece


def gce(wrapping: Wrapping) -> str:
    """Packs the raw disk as disk.raw into a tar.gz, holes left out, and compares it.

    Raises:
        StepFailed: What was written does not read back.
    """
    ranges = sparsetar.data_map(wrapping.disk, wrapping.cancelled)
    stored = sum(length for _, length in ranges)
    with wrapping.output.open("xb") as file, closing(Gzip()) as stream:
        head = sparsetar.header("disk.raw", wrapping.capacity, ranges, wrapping.time)
        file.write(stream.compress(head))
        done = 0
        for piece in _read(wrapping.disk, ranges, wrapping.cancelled):
            file.write(stream.compress(piece))
            done += len(piece)
            wrapping.report(done, 2 * stored)
        file.write(stream.compress(bytes(-stored % sparsetar.RECORD) + _END))
        file.write(stream.flush())
    if not wrapping.cancelled():
        _check_gce(wrapping, stored)
    return f"disk.raw of {in_bytes(wrapping.capacity)}, {stored:,} of them stored, is the disk"


def _read(
    path: Path, ranges: Iterable[tuple[int, int]], cancelled: Callable[[], bool]
) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        for offset, length in ranges:
            for at in range(offset, offset + length, _CHUNK):
                if cancelled():
                    return
                piece = os.pread(file.fileno(), min(_CHUNK, offset + length - at), at)
                if not piece:
                    raise StepFailed(f"{path.name} ends at byte {at}, before its end")
                yield piece


def _check_gce(wrapping: Wrapping, stored: int) -> None:
    """Compares all data of disk and archive, read by parts that are not ours."""
    done = 0
    try:
        with (
            gzip.open(wrapping.output) as plain,
            tarfile.open(fileobj=plain, mode="r:") as archive,
            wrapping.disk.open("rb", buffering=0) as disk,
        ):
            member = archive.getmembers()[0]
            inside = cast("BinaryIO", archive.extractfile(member))
            if (member.name, member.size) != ("disk.raw", wrapping.capacity):
                raise StepFailed(f"the archive holds {member.name} of {in_bytes(member.size)}")
            held = data_ranges(disk.fileno(), 0, wrapping.capacity)
            for first, end in held:
                for at in range(first, end, _CHUNK):
                    if wrapping.cancelled():
                        return
                    length = min(_CHUNK, end - at)
                    inside.seek(at)
                    if inside.read(length) != read_whole(disk.fileno(), length, at):
                        raise StepFailed(f"disk.raw in the archive differs at byte {at}")
                    done += length
                    wrapping.report(min(stored + done, 2 * stored), 2 * stored)
    except (tarfile.TarError, OSError, EOFError, zlib.error, IndexError) as error:
        raise StepFailed(f"the archive does not read back: {error}") from error


WRAPS: Mapping[WrapKey, Callable[[Wrapping], str]] = {"ova": ova, "gce": gce}
"""By the `wrap` of a format's row. Each returns what was read back, for the log."""
