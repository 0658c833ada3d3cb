"""What makes the bytes of a volume besides its plan: this program, its libraries, and tools."""

from __future__ import annotations

import hashlib
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

import engine
from engine.filesystems.table import library_versions
from engine.plan.model import Plan, VolumePlan
from engine.tools.table import TOOLS

_known: list[str] = []
"""The digest of this program's code, once it is known."""


def program() -> str:
    """Returns a digest of this program's code, and of the versions of what it computes with.

    Two programs of the same version may differ while one is worked on; their code tells.
    """
    if not _known:
        _known.append(_program())
    return _known[0]


def is_program(digest: str) -> None:
    """Takes the digest from a build whose code was the same files."""
    _known[:] = [digest]


def _program() -> str:
    digest = hashlib.sha256()
    versions = (
        engine.__version__, sys.version, zlib.ZLIB_RUNTIME_VERSION, zstandard.ZSTD_VERSION,
        library_versions(),
    )  # fmt: skip
    digest.update(repr(versions).encode())
    for name, code in _code():
        digest.update(b"%s %d\n" % (name.encode(), len(code)))
        digest.update(code)
    return digest.hexdigest()


def _code() -> Iterator[tuple[str, bytes]]:
    folder = Path(engine.__file__).parent
    if not folder.is_dir():  # in one file, as an archive that Python runs
        archive = next(above for above in folder.parents if above.is_file())
        yield "archive", archive.read_bytes()
        return
    for path in sorted(folder.rglob("*.py")):
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def tools(plan: Plan, volume: VolumePlan) -> tuple[str, ...]:
    """Returns the names of the programs that make a volume."""
    argvs = (
        argv
        for step in plan.steps
        if step.verb in ("make", "populate") and step.volume == volume.id
        for argv in step.argv
    )
    return tuple(sorted({argv[0] for argv in argvs} & TOOLS.keys()))
