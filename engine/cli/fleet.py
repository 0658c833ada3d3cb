"""`diskwright fleet`: builds many images of one description."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.planning import named_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import ExitStack

    from engine.fleet.events import FleetEmit, FleetEvent
    from engine.fleet.job import Executor, StoreUse
    from engine.fleet.model import Wrong
    from engine.fleet.plan import Ask, FleetPlan, ImageOutline
    from engine.fleet.planners import Planners
    from engine.fleet.prepare import Prepared
    from engine.fleet.process import LocalProcesses
    from engine.fleet.run import FleetResult
    from engine.manifest.progress import IsCancelled


_NAMED = 5
"""Images that are named at the end where more are missing."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `fleet`."""
    parser.add_argument("fleet", type=named_path, metavar="FLEET", help="the fleet, a TOML file")
    parser.add_argument(
        "-o", "--output", type=named_path, required=True, metavar="OUTDIR",
        help="the output folder; each image gets a folder of its name there",
    )  # fmt: skip
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=_count, metavar="N",
        help="build by N processes of this machine (default: four images at a time in this one)",
    )  # fmt: skip
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="build on the workers of a Dask cluster that runs"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with a fleet that did not finish: images that are done stay as they are",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files that exist, whoever made them"
    )
    parser.add_argument(
        "--store", type=named_path, metavar="DIR",
        help="keep finished volumes there, also for other fleets and machines",
    )  # fmt: skip
    parser.add_argument(
        "--store-limit", type=_size, metavar="SIZE",
        help="bytes that the store may take; what was not used for longest goes first",
    )  # fmt: skip
    parser.add_argument(
        "--events", metavar="FILE", help="write every event as a line of JSON; - for stdout"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="say nothing but the digest of each output, and errors"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of workers")
    return int(text)


def _size(text: str) -> int:
    from engine.units import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    """Builds what has to be built; prints the digest and path of each output."""
    from contextlib import ExitStack

    from engine.cli.eventsfile import lines_to
    from engine.cli.signals import cancellable
    from engine.fleet.events import encode
    from engine.fleet.job import StoreUse
    from engine.fleet.narration import FleetNarration

    if args.store is not None:
        from engine.pipeline.store import Store

        Store(args.store, args.store_limit)  # refused before anything is written, if it is none
    with ExitStack() as stack:
        means = _Means(args, stack)
        prepared = means.prepared()
        show_wrong(prepared.errors if args.quiet else prepared.plan.wrong)
        if prepared.errors:
            return exits.REFUSED
        for name in prepared.gone:
            print(f"note: {name} is not in the fleet any more; its folder stays", file=sys.stderr)
        sinks: list[FleetEmit] = [FleetNarration(sys.stderr, quiet=args.quiet)]
        if args.events:
            line = stack.enter_context(lines_to(args.events))
            sinks.append(lambda event: line(encode(event)))

        def emit(event: FleetEvent) -> None:
            for sink in sinks:
                sink(event)

        use = StoreUse(args.store, stays=args.store is not None, limit=args.store_limit)
        result = cancellable(means.work(prepared, emit, use))
    return _answer(args, result)


class _Means:
    """What plans and builds; what only one of them takes is imported once there is work for it."""

    def __init__(self, args: argparse.Namespace, stack: ExitStack) -> None:
        self._args = args
        self._stack = stack
        self._local: LocalProcesses | None = None

    @cached_property
    def _planners(self) -> Planners:
        from engine.fleet.planners import Planners

        return Planners(builds=self._args.scheduler is None)

    def prepared(self) -> Prepared:
        """Plans what has to be built: by the workers of this machine, if it is to have any."""
        from engine.fleet.prepare import prepare
        from engine.fleet.read import read_fleet

        args = self._args
        return prepare(
            read_fleet(args.fleet, args.set), args.output, force=args.force, resume=args.resume,
            outlines=self._outlines, missing=self._missing, progress=_counter(),
        )  # fmt: skip

    def _missing(self) -> None:
        """Starts a worker's process for a row, as long as there are fewer than are asked for."""
        if self._args.workers is None:
            return
        if self._local is None:
            from engine.fleet.cluster import imported_meanwhile, require
            from engine.fleet.process import LocalProcesses

            require()
            self._local = self._stack.enter_context(LocalProcesses(self._args.workers))
            self._local.start()
            self._stack.enter_context(imported_meanwhile())
        else:
            self._local.start()

    def _outlines(
        self, asked: Sequence[Ask], cancelled: IsCancelled | None
    ) -> Iterator[tuple[str, ImageOutline]]:
        return (self._local or self._planners).outlines(asked, cancelled)

    async def work(self, prepared: Prepared, emit: FleetEmit, use: StoreUse) -> FleetResult:
        """Builds by whatever was asked for, which is there as long as it takes."""
        from contextlib import AsyncExitStack

        from engine.fleet.job import Nobody
        from engine.fleet.run import Run

        args = self._args
        async with AsyncExitStack() as stack:
            executor: Executor = Nobody()
            if len(prepared.kept) < len(prepared.fleet.rows):
                if args.workers is None and args.scheduler is None:
                    from engine.fleet.builder import InProcess

                    executor = InProcess(self._planners)
                else:
                    from engine.fleet.cluster import local_workers, running_cluster

                    executor = await stack.enter_async_context(
                        running_cluster(args.scheduler)
                        if args.scheduler is not None
                        else local_workers(args.workers, args.output, self._local)
                    )
            return await Run(prepared, executor, emit, use).run()


def _counter() -> Callable[[int, int], None]:
    """Returns what counts planned rows in a line of the terminal."""

    def count(done: int, total: int) -> None:
        if sys.stderr.isatty() and total > 1:
            text = f"planning: {done} of {total}" if done < total else ""
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    return count


def _answer(args: argparse.Namespace, result: FleetResult | None) -> int:
    """Prints the outputs, and what is missing; returns the exit code."""
    if result is None:
        return exits.CANCELLED
    if result.trouble:
        print(f"error: {result.trouble}", file=sys.stderr)
    if args.events != "-":
        for row in result.rows:
            for made in row.outputs:
                print(made.line(args.output / row.image))
    sys.stdout.flush()
    _show_missing(result)
    return exits.DONE if result.status == "ok" and not result.trouble else exits.FAILED


def _show_missing(result: FleetResult) -> None:
    """Names what was not built once more, at the end: the reasons may have scrolled away."""
    from engine.fleet.events import DONE
    from engine.units import counted

    missing = [row.image for row in result.rows if row.state not in DONE]
    if not missing:
        return
    named = ", ".join(missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    images = counted(len(result.rows), "image")
    print(f"error: {len(missing)} of {images} not built: {named}{more}", file=sys.stderr)
    hint = "once that is mended, the same command builds what is missing"
    print(f"  hint: {hint}", file=sys.stderr)


def show_plan(args: argparse.Namespace) -> int:
    """Prints the plan of a fleet: a table, or JSON."""
    from engine.fleet.model import Wrong
    from engine.fleet.render import SCHEMA, to_json, to_text, wrong_to_json
    from engine.problem import Refused

    try:
        plan = _plan(args)
    except Refused as refused:
        if not args.json:
            raise
        wrong = tuple(Wrong(problem) for problem in refused.problems)
        _print_json({"schema": SCHEMA, "problems": wrong_to_json(wrong)})
        show_wrong(wrong)
        return exits.REFUSED
    if args.json:
        _print_json(to_json(plan))
        show_wrong(plan.errors)
    else:
        print(to_text(plan))
        show_wrong(plan.wrong)
    return exits.REFUSED if plan.errors else exits.DONE


def _plan(args: argparse.Namespace) -> FleetPlan:
    from engine.fleet.plan import plan_fleet
    from engine.fleet.prepare import prepare
    from engine.fleet.read import read_fleet
    from engine.problem import Problem, Refused

    if args.contents:
        message = "--contents adds to one spec, and this is a fleet"
        hint = "add a [[contents]] entry to the base spec"
        raise Refused([Problem("fleet-contents", "error", "", message, hint)])
    fleet = read_fleet(args.spec, args.set)
    return plan_fleet(fleet) if args.output is None else prepare(fleet, args.output).plan


def _print_json(answer: object) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())


def show_wrong(wrong: Iterable[Wrong]) -> None:
    """Prints problems on standard error, a line each, with the rows that have them."""
    for one in wrong:
        print(f"{one.problem.severity}: {one.line()}", file=sys.stderr)
