"""`diskwright plan`: shows what a build would write; writes nothing."""

from __future__ import annotations

import argparse

from engine.cli import exits
from engine.cli.planning import add_spec_arguments, plan_for, show_problems


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `plan`."""
    add_spec_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the plan."""
    import shutil
    import sys

    import msgspec

    from engine.plan.render import to_json, to_text
    from engine.problem import errors

    plan = plan_for(args)
    wrong = errors(plan.problems)
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(to_json(plan)), indent=1).decode())
        show_problems(wrong)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
        print(to_text(plan, width))
        show_problems(plan.problems)
    return exits.REFUSED if wrong else exits.DONE
