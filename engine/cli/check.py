"""`diskwright check`: builds twice under perturbed conditions and compares, bit for bit."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.planning import add_spec_arguments, load_spec, named_path
from engine.cli.signals import cancellable

if TYPE_CHECKING:
    from engine.trust.check import Request


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `check`."""
    add_spec_arguments(parser, streams=False)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--keep",
        type=named_path,
        metavar="DIR",
        help="leave both builds in DIR/first and DIR/second",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the report; 3 if the builds differ."""
    import json

    from engine.cli.diff import to_json as difference_json
    from engine.cli.diff import to_text as difference_text
    from engine.tools.failure import StepFailed
    from engine.trust import report as shown
    from engine.trust.check import BuildEnded, check

    request = _request(args)
    if request.settings.hooks.after_build:
        hook = request.settings.hooks.after_build
        print(f"both builds run hooks.after_build: {hook}", file=sys.stderr)
    try:
        report = cancellable(check(request, lambda line: print(line, file=sys.stderr)))
    except BuildEnded as ended:
        print(f"error: {ended}", file=sys.stderr)
        return ended.status
    except StepFailed as error:
        print(f"error: {error.message}", file=sys.stderr)
        return exits.FAILED
    if report is None:
        print("cancelled", file=sys.stderr)
        return exits.CANCELLED
    if args.json:
        print(json.dumps(shown.to_json(report, difference_json), indent=1))
    else:
        print(shown.to_text(report, difference_text))
    return exits.DONE if report.identical else exits.DIFFERENT


def _request(args: argparse.Namespace) -> Request:
    """Returns what is to be checked.

    Raises:
        Refused: The spec cannot be read, wants to differ, or the place to keep it is taken.
    """
    import os

    from engine.problem import Problem, Refused
    from engine.spec.resolve import resolve
    from engine.trust.check import Request

    loaded = load_spec(args.spec, args.set, args.contents)
    settings, _ = resolve(loaded.spec, loaded.base, os.environ)
    problems = []
    if not settings.identity.deterministic:
        problems.append(
            Problem(
                "not-deterministic", "error", "identity.deterministic",
                "is false, so two builds differ on purpose",
                "check it with --set identity.deterministic=true",
            )
        )  # fmt: skip
    if args.keep:
        problems += [
            Problem("kept-exists", "error", "", f"{path} exists", "give another folder with --keep")
            for path in (args.keep / "first", args.keep / "second")
            if path.exists()
        ]
    if problems:
        raise Refused(loaded.locate(problems))
    return Request(
        spec=args.spec,
        overrides=tuple(args.set),
        contents=tuple(args.contents),
        settings=settings,
        keep=args.keep,
    )
