"""`diskwright export`: a spec as a call of nixpkgs' make-disk-image."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli import exits


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `export`."""
    parser.add_argument("spec", type=Path, metavar="SPEC", help="the spec, a TOML file")
    parser.add_argument("--format", choices=("nix",), required=True, help="what to write")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the file to write (default: stdout)"
    )
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def run(args: argparse.Namespace) -> int:
    """Writes the call; what it cannot say is listed on standard error and in its comments."""
    import os
    import sys

    from engine.cli.textfile import write
    from engine.nix.export import export
    from engine.problem import Refused, errors
    from engine.spec.load import load
    from engine.spec.resolve import resolve

    loaded = load(args.spec, args.set)
    settings, problems = resolve(loaded.spec, loaded.base, os.environ)
    if errors(problems):
        raise Refused(loaded.locate(errors(problems)))
    exported = export(loaded.spec, settings)
    write(args.output, exported.source(args.output.name if args.output else "FILE.nix"), args.force)
    for note in exported.notes:
        print(f"{note.severity}: {note.line()}", file=sys.stderr)
    return exits.DONE
