"""Forks of this process that do a part of its work; they know all that it does."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from typing import NoReturn

from engine.tools.processors import processors

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def may_fork() -> bool:
    """Whether there is a processor for another process, and no thread that would be cut off."""
    return processors() > 1 and threading.active_count() == 1


def forked(serve: Callable[[], object]) -> int:
    """Begins a fork; returns its number, for `end`.

    Args:
        serve: All that it does; it neither writes files nor starts programs.

    Raises:
        OSError: There can be no further process.
    """
    # What a signal raises must not run this process's own code to its end in the other one.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        process = os.fork()
        if not process:
            _run(serve)
        return process
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end(process: int) -> None:
    """Ends a fork at once, and waits for that."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process, 0)


def _run(serve: Callable[[], object]) -> NoReturn:
    """What a fork does; it never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the other, which ends this
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        serve()
    finally:
        os._exit(0)
