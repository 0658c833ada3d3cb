"""A verb of the command line at work on what was built. Knows no screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.cli import exits
from engine.events import Log
from engine.tools.environment import tool_environment
from engine.tools.failure import StepFailed
from engine.tools.program import module_command, modules_folder
from engine.tools.runner import run
from tui.bridge import EventQueue
from tui.loglines import LogLine
from tui.progress import clock as minutes

_ENDS = {
    exits.DONE: "done",
    exits.FAILED: "failed",
    exits.REFUSED: "refused",
    exits.DIFFERENT: "a difference was found",
    exits.NOT_SEEN: "the console did not show what was expected",
    exits.CANCELLED: "cancelled",
}
_LIVE = frozenset({"grow"})
"""Verbs whose last line matters most while they run."""


class VerbSession:
    """Runs `diskwright VERB SUBJECT` and holds what it prints.

    Attributes:
        ended: How it ended, in words; "" while it runs.
    """

    def __init__(
        self,
        verb: str,
        subject: Path,
        clock: Callable[[], float],
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.verb, self.subject, self.arguments = verb, subject, arguments
        self.ended = ""
        self._queue = EventQueue()
        self._clock = clock
        self._begun = clock()

    @property
    def follows(self) -> bool:
        """Whether the end of the output is what one wants to see."""
        return self.verb in _LIVE

    @property
    def head(self) -> str:
        """What it does."""
        return f"{self.verb.title()} {self.subject.name}"

    @property
    def figure(self) -> str:
        """How it ended, or for how long it has run."""
        return self.ended or f"{minutes(self._clock() - self._begun)} so far"

    async def run(self) -> None:
        """Runs the verb to its end."""
        modules = {"PYTHONPATH": str(modules_folder())}
        argv = module_command("engine.cli", self.verb, str(self.subject), *self.arguments)
        try:
            result = await run(
                argv,
                step=self.verb,
                emit=self._queue.put,
                env=tool_environment() | modules,
                accept=frozenset(range(256)),
            )
        except StepFailed as failed:
            self.ended = failed.message
        else:
            self.ended = _ENDS.get(result.status, f"ended with status {result.status}")

    def lines(self) -> list[LogLine]:
        """Returns what it has printed since."""
        return [
            LogLine(0, event.id, event.stream, event.text)
            for event in self._queue.drain()
            if isinstance(event, Log)
        ]
