"""Half of some work in a fork of this process, which knows all that this one does."""

from __future__ import annotations

import contextlib
import marshal
import os
from collections.abc import Callable

from engine.tools.forks import end, forked
from engine.tools.messages import receive, send


class Beside:
    """Work that another process does; `close` is to be called whatever happens."""

    def __init__(self, work: Callable[[], list[int] | None]) -> None:
        """Begins it.

        Args:
            work: Neither writes nor starts anything.
        """
        self._work = work
        self._process = 0
        self._answer, back = os.pipe()
        try:
            with contextlib.suppress(OSError):  # then it is done here
                self._process = forked(lambda: send(back, marshal.dumps(work())))
        finally:
            os.close(back)

    def close(self) -> None:
        """Ends it, whatever has come of it."""
        os.close(self._answer)
        if self._process:
            end(self._process)

    def result(self) -> list[int] | None:
        """Waits for what came of it; what the other process did not say is found out here."""
        with os.fdopen(os.dup(self._answer), "rb") as reader:
            said = receive(reader)
        if said is None:
            return self._work()
        found: list[int] | None = marshal.loads(said)  # noqa: S302 # from the fork
        return found
