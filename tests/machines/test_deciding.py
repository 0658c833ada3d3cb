"""What decides, on machines that are not there: each answers a phase as it is told to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.machines import __main__ as machines
from tests.machines.machine import CannotMake

Answers = dict[str, list[int | None]]
"""Exit statuses by phase, None where it takes too long; 0 once they are used up."""


@dataclass
class Pretended:
    """Stands in for a machine."""

    answers: Answers
    phases: list[str] = field(default_factory=list)

    def run(
        self, argv: Sequence[str], *, cwd: str, timeout: float, output: int | None
    ) -> subprocess.CompletedProcess[str]:
        del cwd, output
        phase = argv[1]
        self.phases.append(phase)
        waiting = self.answers.get(phase, [])
        status = waiting.pop(0) if waiting else 0
        if status is None:
            raise subprocess.TimeoutExpired(argv, timeout)
        return subprocess.CompletedProcess(argv, status, stdout=f"{'a' * 64} hello/hello.img\n")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Pretended]:
    """The machines by suite; a suite without one cannot be made."""
    pretended: dict[str, Pretended] = {
        suite: Pretended({}) for suite in ("bookworm", "trixie", "testing")
    }

    @contextmanager
    def machine(suite: str, packages: Sequence[str], cache: Path) -> Iterator[Pretended]:
        del packages, cache
        if suite not in pretended:
            raise CannotMake("mmdebstrap is not installed")
        yield pretended[suite]

    monkeypatch.setattr(machines, "machine", machine)
    monkeypatch.setattr(machines, "_clone", lambda made: None)
    return pretended


@pytest.mark.parametrize(
    ("suite", "answers", "code", "said"),
    [
        ("trixie", {}, 0, "Debian 13: works"),
        ("trixie", {"tests": [1]}, 1, "Debian 13: FAILED: tests ended with status 1"),
        ("trixie", {"examples": [2]}, 1, "Debian 13: FAILED: examples ended with status 2"),
        ("trixie", {"examples": [None]}, 1, "Debian 13: FAILED: examples took more than 900 s"),
        ("trixie", {"tests": [None]}, 0, "Debian 13: NOT DECIDED, as tests took more than"),
        ("trixie", {"setup": [1]}, 0, "Debian 13: works"),
        ("trixie", {"setup": [1, 1]}, 1, "Debian 13: FAILED: setup ended with status 1"),
        ("trixie", {"setup": [1], "network": [1]}, 0, "Debian 13: NOT TRIED"),
        ("trixie", {"setup": [1], "network": [None]}, 0, "Debian 13: NOT TRIED"),
        ("trixie", {"setup": [None]}, 0, "Debian 13: NOT DECIDED, as setup took more than"),
        (
            "testing",
            {"tests": [1]},
            0,
            "Debian testing: FAILED: tests ended with status 1; see above. It changes",
        ),
        (
            "testing",
            {"setup": [1, 1]},
            0,
            "Debian testing: FAILED: setup ended with status 1; see above. It changes",
        ),
    ],
)
def test_what_a_phase_decides(
    suite: str, answers: Answers, code: int, said: str,
    made: dict[str, Pretended], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made[suite].answers = {phase: list(waiting) for phase, waiting in answers.items()}

    assert machines.main([]) == code

    told = capsys.readouterr().out
    assert told.count(f"machines: {said}") == 2  # when it ends, and once more at the end of all
    assert all(other.phases[-1] == "tests" for name, other in made.items() if name != suite)


def test_a_machine_that_moves_decides_when_it_is_asked_for(made: dict[str, Pretended]) -> None:
    made["testing"].answers = {"tests": [1]}

    assert machines.main(["testing"]) == 1
    assert made["trixie"].phases == []


def test_a_machine_that_cannot_be_made_is_named(
    made: dict[str, Pretended], capsys: pytest.CaptureFixture[str]
) -> None:
    del made["bookworm"]

    assert machines.main([]) == 0
    assert (
        "Debian 12: NOT TRIED, as this computer could not make it: mmdebstrap is not installed"
        in capsys.readouterr().out
    )
