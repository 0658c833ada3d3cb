"""What lies in the output folder before a build: of earlier builds, or somebody else's.

A file is ours if the folder's manifest.json is one of our schema and names it. The one exception
is build.jsonl, which a failed build leaves behind alone: it is known by its first line only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from engine.plan.outputs import MANIFEST, RECORD
from engine.problem import Problem
from engine.spec.formats import FORMATS

_MAX_MANIFEST = 16 << 20
"""Bytes; ours have some tens of thousands."""

_RECORD_STARTS = (b'{"event":"build-started"', b'{"event":"step-started"')
"""How the first line of build.jsonl begins (the second where nix builds the system first)."""

_SYSTEM = ("/dev", "/proc", "/sys")
_IMAGE_ENDINGS = {*(found.extension for found in FORMATS.values()), "raw", "iso", "vmdk", "vhdx"}
_PACKED_ENDINGS = {"gz", "xz", "zst", "bz2"}


@dataclass(frozen=True, slots=True)
class Occupied:
    """What a build would find where it is to write.

    Attributes:
        ours: Names of files that an earlier build left.
        foreign: Names of files that nobody says are ours.
        blocked: Names that no file can get, and why: folders, or something below no folder.
        described: Outputs still there that the folder's manifest is the record of.
    """

    ours: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    blocked: tuple[tuple[str, str], ...] = ()
    described: frozenset[str] = frozenset()


VACANT = Occupied()


class _Output(msgspec.Struct):
    path: str


class _Plan(msgspec.Struct):
    schema: Literal[1]
    outputs: list[str]
    writes: list[str]


class _Manifest(msgspec.Struct):
    """As much of our manifest.json as shows that it is ours; other keys do not matter."""

    schema: Literal[1]
    plan: _Plan
    tools: dict[str, str]
    outputs: list[_Output]


def look(outdir: Path, names: Iterable[str]) -> Occupied:
    """Returns what is in the way of files of these names; opens nothing but records."""
    blocked = []
    there = []
    for name in names:
        why = _blocked(outdir, name)
        if why:
            blocked.append((name, why))
        elif _mode(outdir / name) is not None:
            there.append(name)
    manifest = _manifest(outdir)
    named: set[str] = set()
    described: frozenset[str] = frozenset()
    if manifest is not None:
        named = {*manifest.plan.writes, *(output.path for output in manifest.outputs)}
        plain = (name for name in manifest.plan.outputs if PurePosixPath(name).name == name)
        described = frozenset(name for name in plain if _mode(outdir / name) is not None)
    (named.add if _is_record(outdir / RECORD) else named.discard)(RECORD)
    return Occupied(
        ours=frozenset(there) & named,
        foreign=frozenset(there) - named,
        blocked=tuple(blocked),
        described=described,
    )


def conflicts(
    outdir: Path, found: Occupied, *, outputs: Iterable[str], writes: Iterable[str]
) -> Iterator[Problem]:
    """Yields what a build may not replace unless it is told to.

    Args:
        outdir: The output folder.
        found: From `look`, for at least the names of `writes`.
        outputs: The image and what goes with it: replaced only on demand, whoever made it.
        writes: Every file of the build. Records of ours may be replaced, but not those of an
            image that this build does not make.
    """
    announced = tuple(writes)
    force = "or give --force to replace it"
    for name in outputs:
        if name in found.ours:
            yield Problem(
                "output-exists", "error", "", f"{outdir}/{name} exists",
                f"choose another output folder, {force}",
            )  # fmt: skip
    for name in announced:
        if name in found.foreign:
            yield Problem(
                "output-foreign", "error", "",
                f"{outdir}/{name} exists and no build of Diskwright is known to have made it",
                f"move it away, choose another output folder, {force}",
            )  # fmt: skip
    others = sorted(found.described.difference(announced))
    if others:
        listed = ", ".join(others)
        yield Problem(
            "output-shared", "error", "",
            f"{outdir}/{MANIFEST} is the record of {listed}, which this build does not make",
            f"choose another output folder, or give --force and leave {listed} without a record",
        )  # fmt: skip


def asked_about(
    found: Occupied, *, outputs: Iterable[str], writes: Iterable[str]
) -> tuple[str, ...]:
    """Returns the names that `conflicts` is about, in the order of `writes`."""
    announced = tuple(writes)
    taken = found.foreign | (found.ours & frozenset(outputs))
    if not found.described <= frozenset(announced):
        taken |= {MANIFEST}
    return tuple(name for name in announced if name in taken)


def obstacles(outdir: Path, found: Occupied, writes: Iterable[str]) -> Iterator[Problem]:
    """Yields what no build can replace, told to or not."""
    announced = frozenset(writes)
    for name, why in found.blocked:
        if name in announced:
            yield Problem(
                "output-blocked", "error", "",
                f"{outdir}/{name} cannot be written: {why}",
                "move that away, or choose another output folder",
            )  # fmt: skip


def refusals(outdir: Path, environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """Returns why a folder cannot be the output folder, whatever is in it."""
    system = _system(outdir)
    if system is not None:
        advice = "choose another output folder"
        if system == "/dev":
            advice = (
                "build the image to a folder, then write it to the device with "
                f"`diskwright flash FOLDER/NAME.img {outdir}`"
            )
        kind = "a device" if system == "/dev" else "a file system of the kernel's"
        message = f"{outdir} is below {system}: that is {kind}, not an output folder"
        return (Problem("output-in-system", "error", "", message, advice),)
    if _named_like_image(outdir) and not outdir.is_dir() and not wants_products(outdir, environ):
        return (
            Problem(
                "output-named-like-image", "error", "",
                f"{outdir} is named like an image, but the output is a folder",
                "give a folder; the image in it gets its name from the spec",
            ),
        )  # fmt: skip
    return ()


def wants_products(outdir: Path, environ: Mapping[str, str]) -> bool:
    """Whether a folder is the output of the Nix derivation that is being built ($out)."""
    out = Path(environ.get("out", ""))
    return out.is_absolute() and os.path.normpath(out) == os.path.normpath(outdir.absolute())


def _system(outdir: Path) -> str | None:
    """Returns which of the kernel's own trees a folder is in, as written or once links are read."""
    paths = [os.path.normpath(outdir.absolute()), os.path.realpath(outdir)]
    for path in paths:
        for system in _SYSTEM:
            if path == system or path.startswith(f"{system}/"):
                return system
    return None


def _named_like_image(outdir: Path) -> bool:
    endings = [ending.lstrip(".").lower() for ending in outdir.suffixes]
    if endings and endings[-1] in _PACKED_ENDINGS:
        endings.pop()
    return bool(endings) and endings[-1] in _IMAGE_ENDINGS


def _blocked(outdir: Path, name: str) -> str:
    """Returns why no file can get a name, or ""."""
    for parent in reversed(PurePosixPath(name).parents[:-1]):
        mode = _mode(outdir / parent)
        if mode is not None and not stat.S_ISDIR(mode):
            return f"{parent} is there and is not a folder"
    mode = _mode(outdir / name)
    return "it is a folder" if mode is not None and stat.S_ISDIR(mode) else ""


def _mode(path: Path) -> int | None:
    """Returns the mode of what is at a path, links not followed; None if nothing can be seen."""
    try:
        return path.lstat().st_mode
    except OSError:
        return None


def _manifest(outdir: Path) -> _Manifest | None:
    path = outdir / MANIFEST
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_MANIFEST:
        return None
    return _read(path, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=4)
def _read(path: Path, identity: tuple[int, ...]) -> _Manifest | None:
    """Returns a manifest; read once, as planning goes on while the user types."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Manifest)
    except (OSError, ValueError, RecursionError):
        return None


def _is_record(path: Path) -> bool:
    """Whether a file is a build's record, or the stump of one that a full disk cut short."""
    mode = _mode(path)
    if mode is None or not stat.S_ISREG(mode):
        return False
    try:
        with path.open("rb") as file:
            begun = file.read(64)
    except OSError:
        return False
    return any(begun.startswith(start) or start.startswith(begun) for start in _RECORD_STARTS)
