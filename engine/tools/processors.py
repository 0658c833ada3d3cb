"""How much this machine can do at once."""

from __future__ import annotations

import os


def processors() -> int:
    """Returns how many processors this process may use."""
    return len(os.sched_getaffinity(0))
