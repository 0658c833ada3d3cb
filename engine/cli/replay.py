"""`diskwright replay`: shows a recorded build or fleet again, in the wizard or as plain lines."""

from __future__ import annotations

import argparse
import sys

from engine.cli import exits
from engine.cli.planning import named_path


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `replay`."""
    parser.add_argument(
        "record", type=named_path, metavar="FILE",
        help="the build.jsonl of a build, or the fleet.jsonl of a fleet",
    )  # fmt: skip
    parser.add_argument(
        "--speed", type=_speed, default=1.0, metavar="N", help="N times as fast; 0 without pauses"
    )
    parser.add_argument("--plain", action="store_true", help="print lines instead of the wizard")


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = -1
    if not 0 <= speed < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a speed; give 0 or more")
    return speed


def run(args: argparse.Namespace) -> int:
    """Replays; plain lines go to stdout, at once."""
    import importlib

    from engine.cli.narration import Plain
    from engine.fleet.replay import is_fleet_record
    from engine.pipeline.replay import read_record

    if is_fleet_record(args.record):
        return _fleet(args)
    events = read_record(args.record)
    if args.plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        with Plain(sys.stdout) as narration:
            for event in events:
                narration(event)
        return exits.DONE
    # By name: the engine imports no terminal UI, the command merely starts it.
    return int(importlib.import_module("tui.launch").replay(events, pace=args.speed))


def _fleet(args: argparse.Namespace) -> int:
    import importlib

    from engine.fleet.narration import FleetNarration
    from engine.fleet.replay import read_fleet_record

    events = read_fleet_record(args.record)
    if not args.plain and sys.stdin.isatty() and sys.stdout.isatty():
        launch = importlib.import_module("tui.launch")
        return int(launch.replay_fleet(args.record, events, pace=args.speed))
    narration = FleetNarration(sys.stdout)
    for event in events:
        narration(event)
    return exits.DONE
