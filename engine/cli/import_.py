"""`diskwright import`: a spec from what there is already."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.planning import named_path

if TYPE_CHECKING:
    from engine.importers.model import Candidate, Imported
    from engine.inspect.extract import Extracted
    from engine.spec.model import ImageSpec


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `import`."""
    parser.add_argument(
        "file", type=named_path, metavar="FILE",
        help="what to import, whatever its name: a repart.d folder, a kickstart file of wic, a "
        "configuration of genimage, a Nix file with a call of make-disk-image in it, the "
        "arguments alone as Nix or JSON, or a disk image",
    )  # fmt: skip
    parser.add_argument(
        "-o",
        "--output",
        type=named_path,
        metavar="SPEC",
        help="the spec to write (default: stdout)",
    )
    parser.add_argument(
        "--root", type=named_path, metavar="DIR",
        help="the tree of files that systemd-repart, wic or genimage would be run on",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace a spec that exists")
    parser.add_argument(
        "--files", action="store_true",
        help="of a disk image, also take the files along: written as archives beside SPEC, which "
        "become its contents",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Writes the spec; what is not carried over is listed on standard error."""
    import os
    import sys

    from engine.cli.textfile import write
    from engine.importers.model import Candidate
    from engine.importers.table import importer_of
    from engine.spec.load import loads
    from engine.spec.save import dumps

    candidate = Candidate(args.file, args.root)
    imported = importer_of(candidate).load().read(candidate, os.environ)
    wanted = _archives(args, imported)
    spec = loads(dumps(imported.spec), overrides=args.set)
    status, spec = _with_files(candidate, spec, wanted) if wanted else (exits.DONE, spec)
    if status != exits.DONE:
        return status
    notes = _notes(imported, files_taken=bool(wanted))
    try:
        write(args.output, _text(args.file, spec, notes), args.force)
    except BaseException:
        for made in wanted.values():
            made.unlink(missing_ok=True)
        raise
    for line in notes:
        print(f"warning: {line}", file=sys.stderr)
    return exits.DONE


def _text(file: Path, spec: ImageSpec, notes: list[str]) -> str:
    from engine.problem import printable
    from engine.spec.save import dumps

    remarks = [f"Made from {file.name}.", *notes]
    # A line end in a name or value would let what follows count as the spec.
    return dumps(spec, remarks=[printable(remark) for remark in remarks])


def _notes(imported: Imported, *, files_taken: bool) -> list[str]:
    notes = [note.line() for note in imported.notes]
    if imported.files and not files_taken:
        names = " and ".join(imported.files)
        notes.append(f"the files of {names} are not carried over (--files takes them along)")
    return notes


def _archives(args: argparse.Namespace, imported: Imported) -> dict[str, Path]:
    """Returns the archives to write, by partition; none unless they are asked for."""
    import sys

    from engine.importers.model import free_archives, refused

    if not args.files:
        return {}
    if not imported.files:
        for note in imported.notes:
            print(f"warning: {note.line()}", file=sys.stderr)
        raise refused(f"{args.file} has no files that can be taken along", "leave out --files")
    if args.output is None:
        raise refused("--files writes archives beside the spec", "name the spec with -o SPEC")
    if args.output.exists() and not args.force:
        raise refused(f"{args.output} exists", "give --force to replace it, or another name")
    stem = args.file.name.partition(".")[0] or "image"
    return free_archives(args.output.parent, stem, imported.files)


def _with_files(
    candidate: Candidate, spec: ImageSpec, archives: dict[str, Path]
) -> tuple[int, ImageSpec]:
    """Writes the archives and returns the spec with them; nothing is left where that fails."""
    import sys

    from engine.cli.signals import cancellable
    from engine.importers.image import with_archives
    from engine.inspect.extract import ExtractFailed

    try:
        done = cancellable(_written(candidate, archives))
    except ExtractFailed as error:
        print(f"error: {error}; nothing is left there", file=sys.stderr)
        return exits.FAILED, spec
    if done is None:
        print("cancelled: nothing is left there", file=sys.stderr)
        return exits.CANCELLED, spec
    for note in done.notes:
        print(f"warning: {note}", file=sys.stderr)
    names = {partition: path.name for partition, path in archives.items()}
    return exits.DONE, with_archives(spec, names)


async def _written(candidate: Candidate, archives: dict[str, Path]) -> Extracted:
    """Writes the archives on a thread that stops when this task is cancelled."""
    import asyncio
    import threading

    from engine.importers.table import bringer

    stop = threading.Event()

    def work() -> Extracted:
        return bringer(candidate).write_files(
            candidate, archives, lambda _entries, _bytes: None, stop.is_set
        )

    job = asyncio.create_task(asyncio.to_thread(work))
    try:
        await asyncio.wait([job])  # not shield: since 3.14 that tells errors after a cancel
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([job])
        job.exception()  # seen: how the thread ended matters to nobody
        raise
    return job.result()
