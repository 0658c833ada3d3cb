"""How many rows go into one task: where they are small, a round trip for each costs too much."""

from __future__ import annotations

from collections.abc import Sequence

from engine.fleet.identity import files_alone
from engine.fleet.job import Job

_SECONDS = 1.0
"""What a task takes at the most, by estimate: as much is lost with a worker, or waited for at the
end."""

_ROW_SECONDS = 0.06
_BYTES_A_SECOND = 400 << 20
"""Of a build on one processor, about: what it takes of the output folder, in a second."""

_TASKS = 4
"""Tasks that are left for each worker, so that all of them have work until the end."""


def first(jobs: Sequence[Job], waiting: int, workers: int) -> int:
    """Returns how many of the jobs, from the first on, the next task takes; at least one.

    Args:
        jobs: Those that it may take.
        waiting: How many jobs are left in all.
        workers: How many there are.
    """
    most = min(max(waiting // (_TASKS * workers), 1), len(jobs))
    seconds = 0.0
    for count, job in enumerate(jobs[:most]):
        seconds += _expected(job)
        if count and seconds > _SECONDS:
            return count
    return most


def _expected(job: Job) -> float:
    """Returns how many seconds a build may take; nobody knows of a loader, a system or a hook."""
    if not files_alone(job.spec):
        return _SECONDS
    return _ROW_SECONDS + job.room / _BYTES_A_SECOND
