"""Half of some work in a fork of this process, which knows all that this one does."""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

from engine.tools.messages import receive, send
from engine.tools.processors import processors

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def may_fork() -> bool:
    """Whether there is a processor for another process, and no thread that would be cut off."""
    return processors() > 1 and threading.active_count() == 1


class Beside:
    """Work that another process does; a context that ends it."""

    def __init__(self, work: Callable[[], list[int] | None]) -> None:
        """Begins it.

        Args:
            work: Neither writes nor starts anything.
        """
        self._work = work
        self._process = 0
        self._answer, back = os.pipe()
        # What a signal raises must not run this process's own code to its end in the other one.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            with contextlib.suppress(OSError):  # then it is done here
                self._process = os.fork()
                if not self._process:
                    _serve(work, back)
        finally:
            os.close(back)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        os.close(self._answer)
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._process, 0)

    def result(self) -> list[int] | None:
        """Waits for what came of it; what the other process did not say is found out here."""
        with os.fdopen(os.dup(self._answer), "rb") as reader:
            said = receive(reader)
        if said is None:
            return self._work()
        found: list[int] | None = marshal.loads(said)  # noqa: S302 # from `_serve`
        return found


def _serve(work: Callable[[], list[int] | None], answer: int) -> NoReturn:
    """What the other process does; it never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the other, which ends this
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        send(answer, marshal.dumps(work()))
    finally:
        os._exit(0)
