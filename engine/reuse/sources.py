"""Whether anything was changed that a build has read: a look at every file, without a plan.

Where all sources are folders, files and archives, what came of them follows from what the host says
of each file and directory: a directory's ctime moves with every name in it, a file's with every
change. So a rebuild that has nothing to do can tell so before it makes a plan.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.manifest.archive import ArchiveSource
from engine.manifest.entry import Source
from engine.manifest.folder import FolderSource, stamp_of
from engine.manifest.manifest import Manifest
from engine.manifest.memory import MADE, Elsewhere, original
from engine.manifest.oci.source import ImageSource
from engine.manifest.patterns import is_glob
from engine.packed import numbers
from engine.reuse.looking import Look, among
from engine.reuse.record import NEVER, Record, SourceRecord, unchanged
from engine.spec.filesystems import FILESYSTEMS, RAW
from engine.spec.model import ImageSpec
from engine.tools.environment import search_path

if TYPE_CHECKING:  # it takes a while to import, and an update without work needs none
    from engine.plan.model import Plan

_VARIABLES = ("SOURCE_DATE_EPOCH", "out")
"""What a plan reads of the environment, besides the search path."""


def asked(spec: ImageSpec, base: Path) -> str:
    """Returns a digest of what a build is asked for, 64 hexadecimal digits.

    Args:
        spec: As it was loaded, with what the command line overrides.
        base: Folder that relative sources start from.
    """
    described = (
        msgspec.to_builtins(spec), os.fsencode(base).hex(), sys.version, search_path(),
        [os.environ.get(name) for name in _VARIABLES],
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(described, order="sorted")).hexdigest()


def seen(plan: Plan, manifests: Iterable[Manifest]) -> tuple[SourceRecord, ...]:
    """Returns what was read and listed for a plan; nothing where that is not all it depends on.

    Args:
        plan: What was built.
        manifests: Of each volume. Their origins name those sources too of which nothing is left.
    """
    settings = plan.settings
    if any(FILESYSTEMS[one.format].mounted for one in settings.volumes if one.format != RAW):
        return ()
    if settings.nix.system or settings.boot.loader != "none" or settings.hooks.after_build:
        return ()
    if settings.nix.additional_paths or settings.nix.copy_channel or settings.nix.config_file:
        return ()
    if any(is_glob(one.source) for one in settings.contents):
        return ()
    if any(one.key or one.certificate or _linked(one.source) for one in settings.volumes):
        return ()
    found = []
    for source, where in in_manifests(manifests):
        if isinstance(source, FolderSource):
            found.append(_folder(source, where))
        elif isinstance(source, (ArchiveSource, ImageSource)):
            found.append(whole(source, where))
        elif source is not MADE:
            return ()
    return tuple(found)


def in_manifests(manifests: Iterable[Manifest]) -> list[tuple[Source, str]]:
    """Returns all sources of some volumes, and of each the content entry that it is of."""
    sources: dict[int, Source] = {}
    where: dict[int, str] = {}
    for manifest in manifests:
        for key, some in manifest.origins.items():
            sources |= {id(one): one for one in some}
            where |= dict.fromkeys(map(id, some), key)
        for entry in manifest:
            first = original(entry) if isinstance(entry.source, Elsewhere) else entry
            if first.source is not None:
                sources[id(first.source)] = first.source
                if first is not entry and id(entry.source) in where:
                    where.setdefault(id(first.source), where[id(entry.source)])
    return [
        (source, where.get(number, ""))
        for number, source in sources.items()
        if not isinstance(source, Elsewhere)
    ]


def whole(source: ArchiveSource | ImageSource, where: str) -> SourceRecord:
    """Returns what was seen of the files that an archive or a container image was read from.

    Args:
        source: It.
        where: Key path of the content entry that names it.
    """
    files = sorted(source.files.items())
    found = _record(
        b"/",
        [path.lstrip(b"/") for path, _ in files],
        [NEVER if stamp is None else stamp for _, stamp in files],
    )
    return msgspec.structs.replace(found, where=where, followed=True)


def _linked(path: str) -> bool:
    """Whether a file was found by way of a link, which nobody looks at again."""
    return bool(path) and os.path.realpath(path) != path


def _folder(source: FolderSource, where: str) -> SourceRecord:
    stamps = (one.stamp if isinstance(one.stamp, int) else NEVER for one in source.walked)
    found = _record(
        source.folder,
        (source.origin(one) for one in source.walked),
        [NEVER if stamp in source.recent else stamp for stamp in stamps],
    )
    target = source.walked[0].path if source.walked else b""
    return msgspec.structs.replace(found, where=where, target=target)


def _record(folder: bytes, names: Iterable[bytes], stamps: Sequence[int]) -> SourceRecord:
    return SourceRecord(
        folder, b"".join(name + b"\0" for name in names), array("q", stamps).tobytes()
    )


def machine(tools: Iterable[str]) -> tuple[SourceRecord, ...]:
    """Returns what the program and its tools are files of.

    Args:
        tools: Paths of programs.
    """
    paths = [*map(os.fsencode, tools), *_libraries(), *_code()]
    names, stamps = [], []
    for path in sorted(set(paths)):
        try:
            stamp = stamp_of(Path(os.fsdecode(path)).stat())
        except OSError:
            continue
        names.append(path.lstrip(b"/"))
        stamps.append(stamp)
    return (_record(b"/", names, stamps),)


def same_machine(record: Record, tools: Iterable[str]) -> bool:
    """Whether the program and its tools are files that the last build had, unchanged.

    Args:
        record: Of that build.
        tools: Paths of programs.
    """
    known = {name for one in record.machine for name in one.names.split(b"\0")}
    wanted = (path.lstrip(b"/") for path in (*map(os.fsencode, tools), *_libraries()))
    return known.issuperset(wanted) and _unchanged(record)


def _unchanged(record: Record) -> bool:
    for one in record.machine:
        names, stamps = one.names.split(b"\0")[:-1], numbers("q", one.stamps)
        if among(one.folder, names, stamps, range(len(names)), os.stat, most=0) != []:
            return False
    return True


def _libraries() -> Iterator[bytes]:
    """Yields what is mapped into this process (proc(5), /proc/PID/maps)."""
    for line in Path("/proc/self/maps").read_bytes().splitlines():
        _, _, path = line.partition(b"/")
        if b".so" in path:
            yield b"/" + path


def _code() -> Iterator[bytes]:
    folder = Path(__file__).parents[1]
    for path in folder.rglob("*.py"):
        yield os.fsencode(path)


def stands(record: Record, spec: str, outdir: Path) -> bool:
    """Whether all but the sources is what a build of this would begin with, and has left.

    Args:
        record: Of the last build in the folder.
        spec: What is asked for (`asked`).
        outdir: The folder.
    """
    return (
        bool(record.sources)
        and record.spec == spec
        and all(unchanged(outdir / one.name, one.state) for one in record.outputs)
        and _unchanged(record)
    )


def untouched(sources: Sequence[SourceRecord]) -> bool:
    """Whether all files and directories are what they were."""
    with contextlib.closing(Look(sources, most=0)) as look:
        return not look.anything()
