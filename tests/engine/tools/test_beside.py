"""Work in a fork: its answer, or the same found out here where the fork gave none."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.tools.beside import Beside


def children() -> set[str]:
    return set(Path("/proc/thread-self/children").read_text().split())


@pytest.fixture(autouse=True)
def _leaves_no_process() -> Iterator[None]:
    """Other tests of the same process may have left some that stay, such as a resource tracker."""
    before = children()
    yield
    assert children() <= before


@pytest.mark.parametrize("answer", [[], list(range(100_000)), None])
def test_what_the_other_process_found_comes_back(answer: list[int] | None) -> None:
    here = os.getpid()
    with contextlib.closing(Beside(lambda: answer if os.getpid() != here else [-1])) as other:
        assert other.result() == answer


def test_what_the_other_process_does_not_say_is_found_out_here() -> None:
    here = os.getpid()

    def work() -> list[int]:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return [7]

    with contextlib.closing(Beside(work)) as other:
        assert other.result() == [7]


def test_closing_it_ends_it() -> None:
    def work() -> list[int]:
        time.sleep(60)
        return []

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), contextlib.closing(Beside(work)):
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 30
