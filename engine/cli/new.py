"""`diskwright new`: writes a commented starter spec."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.planning import named_path
from engine.cli.textfile import put

if TYPE_CHECKING:
    from engine.problem import Refused


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `new`."""
    from engine.disk.presets import PRESETS

    presets = tuple(key for key, preset in PRESETS.items() if not preset.own)
    parser.add_argument(
        "preset",
        metavar="PRESET",
        choices=presets,
        help=f"how the disk is divided: {', '.join(presets)}",
    )
    parser.add_argument(
        "-o", "--output", type=named_path, metavar="SPEC", help="the file; stdout without it"
    )
    parser.add_argument(
        "--contents",
        type=named_path,
        action="append",
        default=[],
        metavar="DIR",
        help="put this folder's contents at the image's root; may be given again",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the spec; a file that exists stays."""
    from engine.spec.starters import commented

    missing = [folder for folder in args.contents if not folder.is_dir()]
    if missing:
        raise _refused("no-such-folder", f"--contents {missing[0]}: there is no such folder")
    base = Path() if args.output is None else args.output.parent
    name = "disk" if args.output is None else args.output.stem
    text = commented(args.preset, name, [_source(folder, base) for folder in args.contents])
    if args.output is None:
        print(text, end="")
        return exits.DONE
    try:
        put(args.output, text)
    except FileExistsError:
        raise _refused("spec-exists", f"{args.output} exists; it stays as it is") from None
    except OSError as error:
        raise _refused("spec-unwritable", f"{args.output}: {error.strerror}") from None
    return exits.DONE


def _source(folder: Path, base: Path) -> str:
    """Returns a folder as a spec in `base` names it: relative where it lies below, with a slash."""
    place, below = folder.absolute(), base.absolute()
    inside = place.is_relative_to(below) and place != below
    text = str(place.relative_to(below) if inside else place)
    return text if text.endswith("/") else f"{text}/"


def _refused(code: str, message: str) -> Refused:
    from engine.problem import Problem, Refused

    return Refused([Problem(code, "error", "", message)])
