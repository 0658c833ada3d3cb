"""`diskwright build`: runs the pipeline and shows how it goes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.cli import exits
from engine.cli.planning import add_spec_arguments, plan_for, show_problems

if TYPE_CHECKING:
    from engine.cli.narration import Narration
    from engine.events import AnyEvent, Emit
    from engine.pipeline.build import BuildResult
    from engine.plan.model import Plan


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `build`."""
    add_spec_arguments(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUTDIR", help="the output folder"
    )
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")
    parser.add_argument(
        "--events", metavar="FILE", help="write every event as a line of JSON; - for stdout"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing unless it fails")


def run(args: argparse.Namespace) -> int:
    """Builds; prints the SHA-256 and path of each output."""
    from engine.problem import errors

    plan = plan_for(args, outdir=args.output, force=args.force)
    show_problems(plan)
    if errors(plan.problems):
        return exits.REFUSED
    return _build(args, plan)


def _build(args: argparse.Namespace, plan: Plan) -> int:
    import asyncio
    from contextlib import ExitStack

    from engine.cli.narration import narration

    with ExitStack() as stack:
        sinks: list[Emit] = [stack.enter_context(_events_to(args.events))] if args.events else []
        view: Narration = stack.enter_context(narration(plan, quiet=args.quiet))
        sinks.append(view)

        def emit(event: AnyEvent) -> None:
            for sink in sinks:
                sink(event)

        result = asyncio.run(_cancellable(plan, emit, args.output, force=args.force))
    if result is None:
        return exits.CANCELLED
    if result.status != "ok":
        return exits.FAILED
    if args.events != "-":
        for artifact in result.artifacts:
            print(f"{artifact.sha256}  {artifact.path}")
    return exits.DONE


async def _cancellable(plan: Plan, emit: Emit, outdir: Path, *, force: bool) -> BuildResult | None:
    """Builds until the end or a signal; None where a signal ended it."""
    import asyncio
    import signal

    from engine.pipeline.build import build

    task = asyncio.ensure_future(build(plan, emit, outdir=outdir, force=force))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None


@contextmanager
def _events_to(target: str) -> Iterator[Emit]:
    """Opens where events go, and yields what writes one there as a line."""
    from engine.events import encode

    stream = sys.stdout.buffer if target == "-" else _opened(Path(target))

    def write(event: AnyEvent) -> None:
        stream.write(encode(event) + b"\n")
        stream.flush()

    try:
        yield write
    finally:
        if target != "-":
            stream.close()


def _opened(path: Path) -> BinaryIO:
    from engine.problem import Problem, Refused

    try:
        return path.open("wb")
    except OSError as error:
        message = f"--events {path}: {error.strerror}"
        raise Refused([Problem("events-file", "error", "", message)]) from None
