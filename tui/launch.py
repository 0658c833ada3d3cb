"""Opens the wizard on a terminal, or shows a recorded build there."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from textual import work

from engine.cli import exits
from engine.events import AnyEvent
from engine.fleet.events import FleetEvent
from tui.app import DiskwrightApp
from tui.document import Document
from tui.fleets import FleetSession
from tui.opening import Fleet, Importable, Sources, opened
from tui.replay import ReplayJob


def run(spec_path: Path | None = None, *, ascii_only: bool = False) -> int:
    """Opens the wizard.

    Args:
        spec_path: A spec, an image, a file to import, a folder or an archive; the start page
            otherwise.
        ascii_only: Draw with ASCII alone.

    Returns:
        The exit status.

    Raises:
        Refused: It cannot be opened.
    """
    found = None if spec_path is None else opened(spec_path)
    if isinstance(found, Sources):
        found = found.document(Path.cwd())
    document = found if isinstance(found, Document) else None
    subject = found if isinstance(found, Importable | Fleet) else None
    app = _Terminal(document, subject=subject, ascii_only=ascii_only)
    app.run()
    return app.return_code or 0


def replay(events: Sequence[AnyEvent], *, pace: float = 1.0) -> int:
    """Shows a recorded build on the build screen.

    Args:
        events: From `engine.pipeline.replay.read_record`.
        pace: How many times as fast; 0 without pauses.

    Returns:
        The exit status.
    """
    app = _Terminal(job=ReplayJob(events, pace=pace, title="the record"))
    app.run()
    return app.return_code or 0


def replay_fleet(path: Path, events: Sequence[FleetEvent], *, pace: float = 1.0) -> int:
    """Shows a recorded fleet on its page.

    Args:
        path: Of the record.
        events: From `engine.fleet.replay.read_fleet_record`.
        pace: How many times as fast; 0 without pauses.

    Returns:
        The exit status.
    """
    app = _Terminal(subject=FleetSession(path, None, events=events, pace=pace))
    app.run()
    return app.return_code or 0


class _Terminal(DiskwrightApp):
    """The wizard on a real terminal, which can be closed."""

    def on_ready(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._terminated, number)

    @work(group="terminate", exclusive=True)
    async def _terminated(self, number: int) -> None:
        self.documents.keep()
        await self.builds.end()
        self.exit(exits.CANCELLED, return_code=exits.CANCELLED)
