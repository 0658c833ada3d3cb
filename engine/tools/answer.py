"""Runs a tool that is over in no time, for what it prints; a build's own steps use `runner`."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from engine.tools.environment import tool_environment


def answer(
    argv: Sequence[str],
    *,
    feed: bytes = b"",
    env: Mapping[str, str] | None = None,
    limit: float | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Returns a tool's output and exit status, whatever that is.

    Args:
        argv: The command; its first word is looked up in the PATH of its environment.
        feed: What it reads on standard input, which is /dev/null where this is empty.
        env: Its whole environment; `tool_environment()` if None.
        limit: Seconds until it is killed.
        descriptors: Open files that it inherits.

    Raises:
        OSError: It cannot be started.
        subprocess.TimeoutExpired: Time was up.
    """
    return subprocess.run(
        argv,
        stdin=None if feed else subprocess.DEVNULL,
        input=feed or None,
        capture_output=True,
        check=False,
        env=tool_environment() if env is None else dict(env),
        timeout=limit,
        pass_fds=descriptors,
    )
