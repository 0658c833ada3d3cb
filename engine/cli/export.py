"""`diskwright export`: a spec as a call of nixpkgs' make-disk-image, or as a repart.d folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.planning import load_spec, named_path, spec_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.problem import Problem


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `export`."""
    parser.add_argument(
        "spec", type=spec_path, metavar="SPEC",
        help="the spec or fleet, a TOML file; - is standard input",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("nix", "repart"), default="nix",
        help="what to write: a call of make-disk-image (nix, the default), or a folder of "
        "partition definitions (repart)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=named_path, metavar="FILE",
        help="the file to write (default: stdout), or for repart the folder",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace what an export wrote before")


def run(args: argparse.Namespace) -> int:
    """Writes the spec; what the other tool cannot say is listed on standard error."""
    import os

    from engine.fleet.read import is_fleet
    from engine.problem import Refused, errors
    from engine.spec.resolve import resolve

    if is_fleet(args.spec):
        return _fleet(args)
    loaded = load_spec(args.spec, args.set)
    settings, problems = resolve(loaded.spec, loaded.base, os.environ)
    if errors(problems):
        raise Refused(loaded.locate(errors(problems)))
    if args.format == "repart":
        from engine.exporters import repart

        definitions = repart.export(loaded.spec, settings)
        _write_folder(args.output, definitions.files, args.force)
        _tell(definitions.notes)
        return exits.DONE

    from engine.cli.textfile import write
    from engine.nix.export import export

    exported = export(loaded.spec, settings)
    write(args.output, exported.source(args.output.name if args.output else "FILE.nix"), args.force)
    _tell(exported.notes)
    return exits.DONE


def _fleet(args: argparse.Namespace) -> int:
    """Writes a fleet: an attribute for each row."""
    import os

    from engine.cli.fleet import show_wrong
    from engine.cli.textfile import write
    from engine.fleet.nix import export_fleet
    from engine.fleet.read import read_fleet
    from engine.problem import Problem, Refused

    if args.format != "nix":
        message = "a fleet is written as Nix only"
        hint = f"export its specs one by one with --format {args.format}"
        raise Refused([Problem("fleet-format", "error", "", message, hint)])
    file = args.output.name if args.output else "FILE.nix"
    exported = export_fleet(read_fleet(args.spec, args.set), os.environ, file)
    write(args.output, exported.source, args.force)
    show_wrong(exported.notes)
    return exits.DONE


def _tell(notes: Iterable[Problem]) -> None:
    import sys

    for note in notes:
        print(f"{note.severity}: {note.line()}", file=sys.stderr)


def _write_folder(folder: Path | None, files: Mapping[str, str], force: bool) -> None:
    """Writes files into a folder; of those that are there, only an export's own may be replaced.

    Raises:
        Refused: No folder is named, one cannot be written, or it has files of another making.
    """
    from engine.cli.textfile import write
    from engine.exporters.repart import HEAD
    from engine.problem import Problem, Refused

    if folder is None:
        message = "definitions are files in a folder, and no folder is named"
        raise Refused([Problem("no-folder", "error", "", message, "name it with -o DIR")])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = sorted(folder.glob("*.conf"))
        strange = [path for path in there if not _begins_with(path, HEAD)]
        if strange or (there and not force):
            hint = "name another folder" if strange else "give --force to replace them"
            message = f"{folder} has definitions already: {(strange or there)[0].name}"
            raise Refused([Problem("file-exists", "error", "", message, hint)])
        for path in there:
            path.unlink()
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror}"
        raise Refused([Problem("file-unwritable", "error", "", message)]) from None
    for name, text in files.items():
        write(folder / name, text, force=False)


def _begins_with(path: Path, head: str) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(head)) == head.encode()
