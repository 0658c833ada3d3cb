"""SHA-256 of a large file, computed by a process of its own.

A thread would do, as hashing lets other threads run. But it reads a piece, hashes it and takes the
next, and each time waits for the interpreter while that works on what else is left at the end of a
build.
"""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Callable
from pathlib import Path

from engine.tools.failure import StepFailed
from engine.tools.processors import processors
from engine.tools.program import isolated_command

_WORTH_IT = 128 << 20
"""Bytes on disk from which a process gains more than it takes to begin."""
_PATIENCE = 0.05
"""Seconds between two looks at whether to end."""


def pays(path: Path) -> bool:
    """Whether there is more than one processor, and enough in a file."""
    return processors() > 1 and path.stat().st_blocks * 512 >= _WORTH_IT


def sha256(path: Path, report: Callable[[int, int], None], cancelled: Callable[[], bool]) -> str:
    """Returns the sum of a file, in hexadecimal; "" if it was cancelled.

    Raises:
        StepFailed: The process ended early.
        OSError: The file cannot be read, or no process can be started.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        process = subprocess.Popen(
            isolated_command(f"{__package__}.summer", str(file.fileno())),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            pass_fds=(file.fileno(),), bufsize=0, process_group=0,
        )  # fmt: skip
        try:
            return _followed(process, path, lambda done: report(done, size), cancelled)
        finally:
            process.kill()
            process.communicate()


def _followed(
    process: subprocess.Popen[bytes],
    path: Path,
    report: Callable[[int], None],
    cancelled: Callable[[], bool],
) -> str:
    """Returns the sum that a process says, once it does."""
    assert process.stdout is not None
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not cancelled():
            if not selector.select(_PATIENCE):
                continue
            data = os.read(process.stdout.fileno(), 4096)
            if not data:
                status = process.wait()
                raise StepFailed(f"the process that computes SHA-256 ended with status {status}")
            *lines, said = (said + data).split(b"\n")
            for line in lines:
                word, _, value = line.decode().partition(" ")
                if word == "sum":
                    return value
                if word == "failed":
                    raise OSError(int(value), os.strerror(int(value)), str(path))
                report(int(value))
    return ""
