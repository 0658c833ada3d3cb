"""`diskwright flash`: writes an image to a disk, and reads it back."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Self

from engine.cli import exits
from engine.cli.planning import named_path

if TYPE_CHECKING:
    from engine.flash.machine import BlockDevice
    from engine.flash.outcome import Outcome
    from engine.flash.session import Job
    from engine.problem import Problem

_CODES = {
    "ok": exits.DONE,
    "failed": exits.FAILED,
    "different": exits.DIFFERENT,
    "cancelled": exits.CANCELLED,
}


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `flash`."""
    parser.add_argument("image", metavar="IMAGE", type=named_path, help="an image of any format")
    parser.add_argument(
        "device", metavar="DEVICE", type=named_path, nargs="?",
        help="the disk or file to write to; without it, the disks there are",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="do not ask for the device's name")
    parser.add_argument(
        "--verify", action="store_true",
        help="compare the whole disk with the image and write nothing; with --yes, after writing",
    )  # fmt: skip
    parser.add_argument(
        "--move-backup", action="store_true",
        help="put the GPT's backup at the end of a larger disk; default: where the image has it",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one object on how it went")


def run(args: argparse.Namespace) -> int:
    """Writes or compares; 3 if what is read is something else."""
    from engine.cli.images import no_texts
    from engine.cli.signals import stoppable
    from engine.flash.destination import by_hand
    from engine.flash.machine import Machine
    from engine.flash.session import prepare
    from engine.problem import Problem, Refused

    machine = Machine()
    if args.device is None:
        return _list(args, machine.disks())
    writing = args.yes or not args.verify
    try:
        no_texts(args.image)
        with stoppable() as cancelled, _Progress("read") as progress:
            job = prepare(
                args.image, args.device, machine, progress, cancelled,
                writing=writing, move_backup=args.move_backup,
            )  # fmt: skip
        for problem in job.warnings:
            _say(f"{problem.severity}: {problem.line()}")
        _say(f"by hand: {by_hand(job.payload, job.destination)}")
        if writing:
            for note in job.notes:
                _say(f"note: {note}")
        if writing and not args.yes and not _agreed(job):
            raise Refused(
                [
                    Problem(
                        "flash-not-named", "error", "",
                        f"{job.destination.path} was not named again; nothing was written",
                        f'type "{job.destination.name}", or give --yes',
                    )
                ]
            )  # fmt: skip
    except InterruptedError:
        _say("cancelled; nothing was written")
        return exits.CANCELLED
    except Refused as refused:
        if args.json:
            print(json.dumps({"schema": 1, "problems": [_problem(p) for p in refused.problems]}))
        raise
    return _work(args, job, writing=writing)


def _work(args: argparse.Namespace, job: Job, *, writing: bool) -> int:
    from engine.cli.signals import stoppable
    from engine.flash.compare import compare
    from engine.flash.flash import write

    outcome: Outcome | None = None
    with stoppable() as cancelled:
        if writing:
            with _Progress("flushed and read back") as progress:
                outcome = write(job.payload, job.destination, progress, cancelled)
        if outcome is None or (args.verify and outcome.status == "ok"):
            with _Progress("compared") as progress:
                compared = compare(job.payload, job.destination, progress, cancelled)
            outcome = compared if outcome is None else compared.after(outcome)
    if args.json:
        print(json.dumps(_report(job, outcome, writing=writing)))
    _tell(job, outcome, writing=writing, quiet=args.json)
    return _CODES[outcome.status]


def _agreed(job: Job) -> bool:
    """Whether the person types the name of what is overwritten; a new file needs none."""
    if job.destination.kind == "new":
        return True
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(
        f'type "{job.destination.name}" to write {job.payload.path} to {job.destination.title}: '
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip() == job.destination.name


def _list(args: argparse.Namespace, disks: list[BlockDevice]) -> int:
    """Prints the disks that an image could go to."""
    from engine.problem import Problem, Refused, printable
    from engine.units import human

    if args.json:
        print(json.dumps({"schema": 1, "devices": [_device(one) for one in disks]}))
        return exits.DONE
    for one in disks:
        use = f"  {'; '.join(one.uses)}" if one.uses else ""
        model = printable(one.model)
        print(f"{one.path!s:<16} {human(one.bytes):>10}  {one.bus:<7} {model}{use}".rstrip())
    if disks:
        return exits.DONE
    message = "there is no disk to write to: the system's own is the only one"
    raise Refused([Problem("flash-no-device", "error", "", message, "plug one in")])


def _device(device: BlockDevice) -> dict[str, Any]:
    return {
        "path": str(device.path),
        "bytes": device.bytes,
        "sector_size": device.sector_size,
        "model": device.model,
        "bus": device.bus,
        "removable": device.removable,
        "uses": list(device.uses),
    }


def _report(job: Job, outcome: Outcome, *, writing: bool) -> dict[str, Any]:
    from engine.flash.destination import by_hand

    return {
        "schema": 1,
        "status": outcome.status,
        "wrote": writing,
        "image": {
            "path": str(job.payload.path),
            "format": job.payload.format,
            "bytes": job.payload.size,
            "table": job.payload.table.kind,
        },
        "destination": {
            "path": str(job.destination.path),
            "kind": job.destination.kind,
            "bytes": job.destination.bytes or job.payload.size,
            "device": _device(job.destination.device)
            if job.destination.device is not None
            else None,
        },
        "written": outcome.written,
        "zeroed": outcome.zeroed,
        "skipped": outcome.skipped,
        "compared": outcome.compared,
        "different": outcome.different,
        "at": outcome.at,
        "direct": outcome.direct,
        "seconds": round(outcome.seconds, 3),
        "message": outcome.message,
        "hint": outcome.hint,
        "command": by_hand(job.payload, job.destination),
        "warnings": [_problem(problem) for problem in job.warnings],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "hint": problem.hint,
    }


def _tell(job: Job, outcome: Outcome, *, writing: bool, quiet: bool) -> None:
    """Says how it ended: a verdict on stdout, what went wrong on stderr."""
    from engine.flash.verdict import verdict

    if outcome.status != "ok":
        _say(f"{'' if outcome.status == 'cancelled' else 'error: '}{outcome.message}")
        if outcome.hint:
            _say(f"hint: {outcome.hint}")
    elif not quiet:
        print(verdict(job.destination, outcome, writing=writing))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Progress:
    """A line on stderr that is repainted, on a terminal only."""

    def __init__(self, verb: str) -> None:
        import time

        self._verb = verb
        self._clock = time.monotonic
        self._begun = self._said = self._clock()
        self._painted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._painted:
            sys.stderr.write("\r\x1b[K")

    def __call__(self, done: int, total: int) -> None:
        """Takes bytes done and in all, 0 where that is not known."""
        from engine.cli.narration import progress_text
        from engine.events import Progress

        now = self._clock()
        if not sys.stderr.isatty() or (self._painted and now - self._said < 0.05):
            return
        self._said, self._painted = now, True
        text = progress_text(Progress(id="", done=done, total=total), now - self._begun)
        sys.stderr.write(f"\r\x1b[K{text} {self._verb}")
        sys.stderr.flush()
