"""`diskwright build`: runs the pipeline and shows how it goes."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.planning import add_spec_arguments, loaded_for, named_path, plan_for
from engine.cli.problems import show_problems
from engine.cli.signals import cancellable
from engine.cli.standing import Standing

if TYPE_CHECKING:
    from engine.cli.narration import Narration
    from engine.events import AnyEvent, Emit
    from engine.plan.model import Plan
    from engine.reuse.record import Seen
    from engine.spec.load import LoadedSpec


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `build`."""
    add_spec_arguments(parser, optional=True)
    parser.add_argument(
        "-o", "--output", type=named_path, required=True, metavar="OUTDIR", help="the output folder"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace files that exist under the names the plan lists",
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="take over from the last build in OUTDIR what has not changed; the result is the same",
    )
    parser.add_argument(
        "--events", metavar="FILE", help="write every event as a line of JSON; - for stdout"
    )
    parser.add_argument(
        "--quiet",
        action="store_true",
        help="say nothing but the SHA-256 of each output, unless it fails",
    )


def run(args: argparse.Namespace) -> int:
    """Builds; prints the SHA-256 and path of each output."""
    loaded = loaded_for(args)
    if not args.update:
        return _made(args, loaded, None)
    with contextlib.closing(Standing(args, loaded)) as standing:
        if standing.stands:
            standing.say(args)
            return exits.DONE
        return _made(args, loaded, standing)


def _made(args: argparse.Namespace, loaded: LoadedSpec, standing: Standing | None) -> int:
    from contextlib import ExitStack

    from engine.cli.eventsfile import lines_to
    from engine.cli.narration import narration
    from engine.events import encode
    from engine.pipeline import realise
    from engine.reuse.sources import asked
    from engine.tools.memory import give_back_large

    give_back_large()
    import_module("engine.pipeline.build")  # now, while another process looks at the sources
    plan = _plan(args, loaded, standing)
    realising = realise.wanted(plan)
    if not realising and _refused(plan, quiet=args.quiet):
        return exits.REFUSED
    with ExitStack() as stack:
        sinks: list[Emit] = []
        if args.events:
            line = stack.enter_context(lines_to(args.events))
            sinks.append(lambda event: line(encode(event)))
        view: Narration = stack.enter_context(narration(plan, quiet=args.quiet))
        sinks.append(view)
        before: list[AnyEvent] = []

        def emit(event: AnyEvent) -> None:
            for sink in sinks:
                sink(event)

        if realising:
            sinks.append(before.append)
            built = cancellable(realise.realise(plan, emit))
            if not built:
                return exits.CANCELLED if built is None else exits.FAILED
            sinks.remove(before.append)
            loaded = loaded_for(args)
            standing = None
            plan = _plan(args, loaded, standing)
            if _refused(plan, quiet=args.quiet):
                return exits.REFUSED
        again = standing.again if standing is not None else None
        seen = again.seen if again is not None else None
        return _build(args, plan, emit, asked(loaded.spec, loaded.base), seen, before)


def _plan(args: argparse.Namespace, loaded: LoadedSpec, standing: Standing | None) -> Plan:
    look, known = (standing.look, standing.known) if standing is not None else (None, None)
    return plan_for(
        args, outdir=args.output, force=args.force, update=args.update, loaded=loaded, look=look,
        known=known,
    )  # fmt: skip


def _refused(plan: Plan, *, quiet: bool) -> bool:
    """Prints the problems of a plan; whether they keep it from being built."""
    from engine.problem import errors

    wrong = errors(plan.problems)
    show_problems(wrong if quiet else plan.problems)
    return bool(wrong)


def _build(
    args: argparse.Namespace, plan: Plan, emit: Emit, asked: str,
    seen: Seen | None, before: Sequence[AnyEvent],
) -> int:  # fmt: skip
    from engine.pipeline.build import build

    result = cancellable(
        build(
            plan, emit, outdir=args.output, force=args.force, update=args.update,
            asked=asked, seen=seen, before=before,
        )
    )  # fmt: skip
    if result is None:
        return exits.CANCELLED
    if result.status != "ok":
        return exits.FAILED
    if args.events != "-":
        for artifact in result.artifacts:
            print(artifact.line)
    return exits.DONE
