"""`diskwright plan`: shows what a build would write; writes nothing."""

from __future__ import annotations

import argparse

from engine.cli import exits
from engine.cli.planning import add_spec_arguments, named_path, plan_for
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


def run(args: argparse.Namespace) -> int:
    """Prints the plan, of a spec or of a whole fleet."""
    from engine.fleet.read import is_fleet

    if args.spec is not None and is_fleet(args.spec):
        from engine.cli.fleet import show_plan

        return show_plan(args)
    return _as_json(args) if args.json else _as_text(args)


def _as_text(args: argparse.Namespace) -> int:
    import shutil
    import sys

    from engine.plan.render import to_text
    from engine.problem import errors

    plan = plan_for(args, outdir=args.output)
    wrong = errors(plan.problems)
    if wrong:
        show_problems(wrong)
        return exits.REFUSED
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
    print(to_text(plan, width))
    show_problems(plan.problems)
    return exits.DONE


def _as_json(args: argparse.Namespace) -> int:
    """Prints an object whatever is wrong: of a spec that cannot be read, the problems alone."""
    import msgspec

    from engine.plan.render import SCHEMA, problems_to_json, to_json
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
