"""`diskwright import`: a spec from the arguments of a make-disk-image call."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import exits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.nix.values import Value


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `import`."""
    parser.add_argument(
        "file", type=Path, metavar="FILE",
        help="a Nix file with the arguments or the call itself, or the arguments as JSON",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="SPEC", help="the spec to write; stdout if left out"
    )
    parser.add_argument("--force", action="store_true", help="replace a spec that exists")


def run(args: argparse.Namespace) -> int:
    """Writes the spec; what is not carried over is listed on standard error."""
    import sys

    from engine.cli.textfile import write
    from engine.nix.arguments import to_spec
    from engine.problem import printable
    from engine.spec.load import loads
    from engine.spec.save import dumps

    imported = to_spec(_read(args.file))
    spec = loads(dumps(imported.spec), overrides=args.set)
    remarks = [f"Made from {args.file.name}."]
    remarks += [f"Not carried over: {note.line()}" for note in imported.notes]
    # A line end in a name or value would let what follows count as the spec.
    comments = "".join(f"# {printable(remark)}\n" for remark in remarks)
    text = f"{comments}{dumps(spec)}"
    write(args.output, text, args.force)
    for note in imported.notes:
        print(f"{note.severity}: {note.line()}", file=sys.stderr)
    return exits.DONE


def _read(path: Path) -> Mapping[str, Value]:
    import json
    import os

    from engine.nix.evaluate import arguments
    from engine.nix.literal import NotNix
    from engine.spec.load import MAX_FILE_BYTES

    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise _refused(f"{path} cannot be read: {reason}") from None
    if len(data) > MAX_FILE_BYTES:
        raise _refused(f"{path} is over {MAX_FILE_BYTES} bytes; a call is a short text")
    if path.suffix == ".json":
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _refused(f"{path}: {error}") from None
        if not isinstance(found, dict):
            raise _refused(f"{path}: arguments are an object, {{ ... }}")
        return found
    try:
        return arguments(text, path, os.environ)
    except NotNix as error:
        hint = 'write the arguments as { diskSize = "auto"; ... }, or the call with them'
        raise _refused(f"{path}: {error}", hint) from None


def _refused(message: str, hint: str = "") -> Exception:
    from engine.problem import Problem, Refused

    return Refused([Problem("import-failed", "error", "", message, hint)])
