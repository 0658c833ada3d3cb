"""What a process of `summing` runs: computes SHA-256 of an open file.

Its argument is the file's descriptor. On standard input it is told up to which byte it may read,
again and again, a line each time. On standard output it says how far it is, then the sum, or the
number of the error that kept it from that, each a line. It ends where its input does.
"""

from __future__ import annotations

import os
import signal
import sys

from engine.pipeline.taking import Sum, take_range

REPORT_EVERY = 32 << 20
"""Bytes between two lines that say how far it is."""


def main() -> None:
    """Serves the process that started this one, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the build, which ends this
    descriptor, told, at, digest = int(sys.argv[1]), 0, 0, Sum()

    def report(done: int, total: int) -> None:
        nonlocal told
        if done - told >= REPORT_EVERY:
            told = done
            _say(f"at {done}")

    try:
        size = os.fstat(descriptor).st_size
        while at < size:
            line = sys.stdin.buffer.readline()
            if not line:
                return
            end = int(line)
            take_range(descriptor, (at, end), [digest], lambda: False, report)
            at = end
        _say(f"sum {digest.digest()}")
    except BrokenPipeError:
        os._exit(1)  # nobody is left to be told
    except OSError as error:
        _say(f"failed {error.errno or 0}")


def _say(line: str) -> None:
    os.write(1, line.encode() + b"\n")
