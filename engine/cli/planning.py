"""What `plan`, `build` and their kin share: from the arguments to a plan."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.manifest.part import Part
    from engine.manifest.scan import Scanned
    from engine.plan.model import Plan
    from engine.problem import Refused
    from engine.spec.load import LoadedSpec
    from engine.spec.settings import ContentSettings, Settings

_NOT_TOML = {"spec-not-utf8", "spec-too-large", "toml-syntax", "spec-not-found"}
"""Codes of problems with a file that may be something else than a spec."""


def add_spec_arguments(
    parser: argparse.ArgumentParser, *, optional: bool = False, streams: bool = True
) -> None:
    """Declares the spec.

    Args:
        optional: `--contents` can stand for it.
        streams: It may come from standard input.
    """
    parser.add_argument(
        "spec",
        type=spec_path if streams else spec_file,
        nargs="?" if optional else None,
        metavar="SPEC",
        help="the spec, a TOML file"
        + ("; - reads it from standard input, its paths from the current folder" * streams)
        + ("; without one, an EFI disk around --contents" if optional else ""),
    )
    parser.add_argument(
        "--contents",
        type=named_path,
        action="append",
        default=[],
        metavar="DIR",
        help="put this folder's contents at the image's root; may be given again",
    )


def named_path(text: str) -> Path:
    """Returns a path; an empty one, as an unset shell variable gives it, names no folder."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def spec_path(text: str) -> Path:
    """Returns the path of a spec; "-" is standard input."""
    from engine.spec.load import STDIN

    return STDIN if text == "-" else named_path(text)


def spec_file(text: str) -> Path:
    """Returns the path of a spec that other processes read, too."""
    from engine.spec.load import is_stream

    path = spec_path(text)
    if is_stream(path):
        raise argparse.ArgumentTypeError("must be a file, as two builds read it: save it first")
    return path


def loaded_for(args: argparse.Namespace) -> LoadedSpec:
    """Returns the spec of a verb's arguments; without a file, the defaults around `--contents`.

    Raises:
        Refused: It cannot be read as one, or there is neither.
    """
    from engine.problem import Problem, Refused
    from engine.spec.load import around

    if args.spec is not None:
        return load_spec(args.spec, args.set, args.contents)
    if not args.contents:
        message = "neither a spec nor --contents is given"
        hint = "name a SPEC, or a folder with --contents DIR; `diskwright new` writes a spec"
        raise Refused([Problem("no-spec", "error", "", message, hint)])
    return around(args.contents, args.set)


def load_spec(
    path: Path, overrides: Sequence[str] = (), contents: Sequence[Path] = ()
) -> LoadedSpec:
    """Reads a spec; of a disk image and whatever else can be imported, says so.

    Raises:
        Refused: It cannot be read as one.
    """
    from engine.cli.streams import keep
    from engine.problem import Problem, Refused
    from engine.spec.load import load

    keep(path)
    try:
        return load(path, overrides, contents)
    except Refused as refused:
        from engine.fleet.read import is_fleet

        if is_fleet(path):
            hint = f"`diskwright fleet {shlex.quote(str(path))} -o OUTDIR` builds its images"
            message = "describes a fleet, not one image"
            found = Problem("is-a-fleet", "error", "", message, hint, file=str(path))
            raise Refused([found]) from None
        raise _something_else(path, refused) or refused from None


def _something_else(path: Path, refused: Refused) -> Refused | None:
    """Returns what is said of a file that is not a spec, or None for one that was meant as one."""
    from engine.importers.image import is_disk
    from engine.importers.model import Candidate
    from engine.importers.table import find
    from engine.problem import Problem, Refused

    if not path.exists() or not any(one.code in _NOT_TOML for one in refused.problems):
        return None
    try:
        importer = find(Candidate(path))
    except Refused:
        return None
    if importer is None:
        return None
    is_image = importer.key == "image"
    if is_image and not is_disk(path):
        return None  # any bytes that are not text: perhaps a spec in another encoding
    name = shlex.quote(str(path))
    hint = f"`diskwright import {name} -o SPEC.toml` makes a spec of it"
    if is_image:
        hint = f"`diskwright inspect {name}` shows what it holds; {hint}"
    message = f"is {importer.title}, not a spec"
    return Refused([Problem("not-a-spec", "error", "", message, hint, file=str(path))])


def plan_for(
    args: argparse.Namespace,
    *,
    outdir: Path | None = None,
    force: bool = False,
    update: bool = False,
    loaded: LoadedSpec | None = None,
    look: Callable[[Settings], Scanned | None] | None = None,
    known: Callable[[Settings], Iterable[tuple[ContentSettings, Part]]] | None = None,
) -> Plan:
    """Returns the plan for a verb's arguments, its problems inside.

    Args:
        args: Of the verb.
        outdir: Where a build would write.
        force: Outputs that exist may be replaced.
        update: Those of an earlier build may be.
        loaded: The spec, once it is loaded.
        look: Returns what a scan would, if that is known.
        known: Returns what some content entries bring, where all is not known.

    Raises:
        Refused: The spec cannot be read as one.
    """
    from dataclasses import replace

    from engine.planning import plan_spec

    loaded = loaded or loaded_for(args)
    counter = _ScanCounter()
    try:
        plan = plan_spec(
            loaded.spec, base=loaded.base, outdir=outdir, force=force, update=update,
            look=look, known=known, progress=counter,
        )  # fmt: skip
    finally:
        counter.close()
    return replace(plan, problems=loaded.locate(plan.problems))


class _ScanCounter:
    """A line on the terminal that counts entries while sources are scanned."""

    def __init__(self) -> None:
        self._shown = False

    def __call__(self, entries: int, size: int) -> None:
        if sys.stderr.isatty():
            from engine.units import human

            self._shown = True
            print(f"\r\x1b[Kscanning: {entries} entries, {human(size)}", end="", file=sys.stderr)
            sys.stderr.flush()

    def close(self) -> None:
        """Wipes the line."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr)
