"""What an update knows before there is a plan: that it has nothing to do, or what changed."""

from __future__ import annotations

import argparse
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.events import AnyEvent
    from engine.manifest.part import Part
    from engine.manifest.scan import Scanned
    from engine.reuse.again import Again
    from engine.reuse.looking import Look
    from engine.reuse.record import ArchiveRecord, Items, Record
    from engine.spec.load import LoadedSpec
    from engine.spec.settings import ContentSettings, Settings

_MOST = 1000
"""Changes of one source up to which it is not scanned anew."""


class Standing:
    """What an update finds out before there is a plan, which alone would take longer.

    `close` is to be called whatever happens.

    Attributes:
        again: What the sources hold now, once `look` has found it without a scan.
    """

    def __init__(self, args: argparse.Namespace, loaded: LoadedSpec) -> None:
        """Looks at the record, at every output, and at every source."""
        from engine.reuse.looking import Look
        from engine.reuse.record import Unbelievable, load
        from engine.reuse.sources import asked, stands

        self.again: Again | None = None
        self._begun = time.monotonic()
        self._outdir = args.output
        self._record: Record | None = None
        self._look: Look | None = None
        self._archives: tuple[ArchiveRecord, ...] = ()
        self._items: Items = ()
        try:
            record = load(args.output)
        except Unbelievable:
            return  # the build says why
        self._archives, self._items = record.archives, record.items
        if stands(record, asked(loaded.spec, loaded.base), args.output):
            self._record, self._look = record, Look(record.sources, _MOST)

    def close(self) -> None:
        """Ends the look, wherever it is."""
        if self._look is not None:
            self._look.close()

    @cached_property
    def stands(self) -> bool:
        """Whether the last build has left just what this one would."""
        return self._look is not None and not self._look.anything()

    def say(self, args: argparse.Namespace) -> None:
        """Says so."""
        from engine.cli.eventsfile import lines_to
        from engine.events import Artifact, encode

        assert self._record is not None
        seconds = time.monotonic() - self._begun
        events = _standing(self._record, args.output.absolute(), seconds)
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

    def look(self, settings: Settings) -> Scanned | None:
        """Returns what a scan would, if the record and a look at what changed tell it."""
        from engine.reuse.again import look_again
        from engine.reuse.details import Details
        from engine.reuse.record import Unbelievable, details_path

        record, look = self._record, self._look
        if record is None or look is None:
            return None
        path = details_path(self._outdir)
        assert path is not None
        try:
            details = Details(path, record.items)
            kept, brought = details.kept(), details.brought()
        except Unbelievable:
            return None
        changes = look.all()
        self._record = self._look = None  # they take tens of megabytes
        del look
        if changes is None:
            return None
        self.again = look_again(record, kept, changes, settings, brought)
        return self.again.scanned if self.again is not None else None

    def known(self, settings: Settings) -> Iterator[tuple[ContentSettings, Part]]:
        """Returns what archives and container images bring that are what they were."""
        from engine.reuse.brought import known
        from engine.reuse.details import Details
        from engine.reuse.record import Unbelievable, details_path

        path = details_path(self._outdir)
        if not self._archives or path is None:
            return iter(())
        try:
            brought = Details(path, self._items).brought()
        except Unbelievable:
            return iter(())
        return known(settings, self._archives, brought)


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
