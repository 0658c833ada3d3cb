"""`diskwright plan`: shows what a build would write; writes nothing."""

from __future__ import annotations

import argparse
import os
import sys

from engine.cli import exits
from engine.cli.planning import add_spec_arguments, loaded_for, named_path, plan_for, spec_path
from engine.cli.problems import show_problems


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `plan`."""
    add_spec_arguments(parser, optional=True)
    parser.add_argument(
        "-o",
        "--output",
        type=named_path,
        metavar="OUTDIR",
        help="look at this output folder too, as build does: what is there, and how much room",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.add_argument(
        "--check",
        action="store_true",
        help="look at the specs alone, whose sources need not be there; print what is wrong",
    )
    parser.add_argument(
        "more", type=spec_path, nargs="*", metavar="SPEC", help="further specs for --check"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the plan, of a spec or of a whole fleet."""
    from engine.fleet.read import is_fleet

    if args.check:
        return _check(args)
    if args.more:
        print(f"error: {args.more[0]}: only --check takes several specs", file=sys.stderr)
        return exits.REFUSED
    if args.spec is not None and is_fleet(args.spec):
        from engine.cli.fleet import show_plan

        return show_plan(args)
    return _as_json(args) if args.json else _as_text(args)


def _check(args: argparse.Namespace) -> int:
    """Prints what is wrong with each spec or fleet as such."""
    from engine.cli.fleet import show_wrong
    from engine.fleet.read import is_fleet, read_fleet
    from engine.problem import Refused, errors
    from engine.spec.resolve import resolve

    wrong = False
    for path in [args.spec, *args.more]:
        args.spec = path
        try:
            if path is not None and is_fleet(path):
                found = read_fleet(path, args.set).wrong
                show_wrong(found)
                wrong |= any(one.problem.severity == "error" for one in found)
                continue
            loaded = loaded_for(args)
            problems = loaded.locate(resolve(loaded.spec, loaded.base, os.environ)[1])
        except Refused as refused:
            problems = refused.problems
        show_problems(problems)
        wrong |= bool(errors(problems))
    return exits.REFUSED if wrong else exits.DONE


def _as_text(args: argparse.Namespace) -> int:
    import shutil

    from engine.plan.as_text import to_text
    from engine.problem import errors

    plan = plan_for(args, outdir=args.output)
    wrong = errors(plan.problems)
    if wrong:
        show_problems(wrong)
        return exits.REFUSED
    live = sys.stdout.isatty()
    print(to_text(plan, shutil.get_terminal_size().columns if live else 80, within=live))
    show_problems(plan.problems)
    return exits.DONE


def _as_json(args: argparse.Namespace) -> int:
    """Prints an object whatever is wrong: of a spec that cannot be read, the problems alone."""
    import msgspec

    from engine.plan.as_json import SCHEMA, problems_to_json, to_json
    from engine.problem import Refused, errors

    try:
        plan = plan_for(args, outdir=args.output)
    except Refused as refused:
        answer = {"schema": SCHEMA, **problems_to_json(refused.problems)}
        wrong = refused.problems
    else:
        answer, wrong = to_json(plan), errors(plan.problems)
    print(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())
    show_problems(wrong)
    return exits.REFUSED if wrong else exits.DONE
