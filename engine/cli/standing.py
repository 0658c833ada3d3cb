"""An update that has nothing to do, which is known before there is a plan."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.events import AnyEvent
    from engine.reuse.record import Record
    from engine.spec.load import LoadedSpec


def stands(args: argparse.Namespace, loaded: LoadedSpec) -> bool:
    """Whether the last build has left just what this one would; says so, too.

    It is found out before there is a plan, which alone would take longer.
    """
    from engine.cli.eventsfile import lines_to
    from engine.events import Artifact, encode
    from engine.reuse.record import Unbelievable, load
    from engine.reuse.sources import asked, stand

    begun = time.monotonic()
    try:
        record = load(args.output)
    except Unbelievable:
        return False  # the build says why
    if not stand(record, asked(loaded.spec, loaded.base), args.output):
        return False
    events = _standing(record, args.output.absolute(), time.monotonic() - begun)
    if args.events:
        with lines_to(args.events) as line:
            for event in events:
                line(encode(event))
    if not args.quiet:
        print("nothing has changed: the outputs stay as they are", file=sys.stderr)
    if args.events != "-":
        for event in events:
            if isinstance(event, Artifact):
                print(event.line)
    return True


def _standing(record: Record, outdir: Path, seconds: float) -> list[AnyEvent]:
    """Returns the events of a build that had nothing to do; its plan is the last one's."""
    import msgspec

    from engine.events import BuildFinished, BuildStarted
    from engine.plan.outputs import MANIFEST

    plan = msgspec.json.decode((outdir / MANIFEST).read_bytes())["plan"]
    return [
        BuildStarted(plan=plan),
        *record.artifacts(outdir),
        BuildFinished(time=seconds, status="ok", seconds=round(seconds, 4)),
    ]
