"""A verb under conditions of `check`: `python -m engine.cli.perturbed CONDITIONS VERB ...`.

Everything that could seep from the surroundings into an image differs here from an ordinary
process: the umask, the number of processors, the clock, the order in which directories list.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Self

AnyPath = int | str | bytes | os.PathLike[str] | os.PathLike[bytes]


class _Shuffled:
    """What os.scandir returns, in another order."""

    def __init__(self, entries: list[os.DirEntry[Any]]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[os.DirEntry[Any]]:
        return self._entries

    def __next__(self) -> os.DirEntry[Any]:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the listing."""


def perturb(*, umask: int, cpu: int, ahead: int, shuffle: int) -> None:
    """Changes this process.

    Args:
        umask: The umask.
        cpu: The only processor to run on.
        ahead: Seconds to put the clock forward.
        shuffle: Seed of the order of directory listings.
    """
    os.umask(umask)
    os.sched_setaffinity(0, {cpu})
    draw = random.Random(shuffle)  # noqa: S311 - an order, not a secret
    listdir, scandir, now, now_ns = os.listdir, os.scandir, time.time, time.time_ns

    def shuffled_names(path: AnyPath = ".") -> list[Any]:
        names: list[Any] = listdir(path)
        draw.shuffle(names)
        return names

    def shuffled_entries(path: AnyPath = ".") -> _Shuffled:
        with closing(scandir(path)) as listing:
            entries: list[os.DirEntry[Any]] = list(listing)
        draw.shuffle(entries)
        return _Shuffled(entries)

    changed: dict[str, Callable[..., Any]] = {
        "listdir": shuffled_names,
        "scandir": shuffled_entries,
    }
    for name, function in changed.items():
        setattr(os, name, function)
    setattr(time, "time", lambda: now() + ahead)  # noqa: B010 - no assignment to a module
    setattr(time, "time_ns", lambda: now_ns() + ahead * 1_000_000_000)  # noqa: B010


def main(words: Sequence[str]) -> int:
    """Runs a verb under the conditions that the first word gives as JSON."""
    perturb(**json.loads(words[0]))
    from engine.cli.main import main as command

    return command(words[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
