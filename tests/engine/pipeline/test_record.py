"""The record of a build: complete up to a bound, and short beyond it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.events import (
    AnyEvent,
    BuildFinished,
    BuildStarted,
    Log,
    Progress,
    StepFinished,
    StepStarted,
)
from engine.pipeline import record
from engine.pipeline.build import build
from engine.pipeline.record import Recorder
from engine.pipeline.replay import read_record
from engine.plan.outputs import RECORD
from tests.support.specs import plan_of, write_spec

_FLOOD = "yes 0123456789abcdef | head -n 20000"


async def test_a_tool_that_floods_cannot_fill_the_disk_by_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "LIMIT", 200_000)
    plan = plan_of(write_spec(tmp_path), (f'hooks.after_build="""{_FLOOD}"""',))
    seen: list[AnyEvent] = []

    result = await build(plan, seen.append, outdir=tmp_path / "out")

    assert result.status == "ok"
    assert sum(isinstance(event, Log) for event in seen) > 20_000  # a front end gets it all
    path = tmp_path / "out" / RECORD
    kept = read_record(path)
    assert 200_000 < path.stat().st_size < 250_000
    (cut,) = (at for at, event in enumerate(kept) if "left out" in getattr(event, "text", ""))
    assert not any(isinstance(event, Log) for event in kept[cut + 1 :])
    for kind in (StepStarted, StepFinished, BuildFinished):
        assert [e for e in kept if isinstance(e, kind)] == [e for e in seen if isinstance(e, kind)]


def test_progress_without_end_is_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "LIMIT", 10_000)
    with Recorder(tmp_path / "record", lambda event: None) as recorder:
        for number in range(1000):
            recorder(Progress(id="x", done=number, total=1000))

    assert 10_000 < (tmp_path / "record").stat().st_size < 10_400


def test_below_the_bound_everything_is_kept(tmp_path: Path) -> None:
    seen: list[AnyEvent] = []
    with Recorder(tmp_path / "record", seen.append) as recorder:
        recorder(BuildStarted(plan={}))
        for number in range(1000):
            recorder(Log(id="x", stream="stdout", text=f"{number}"))
        recorder(BuildFinished(status="ok", seconds=1.0))

    assert list(read_record(tmp_path / "record")) == seen


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_record_that_cannot_be_written_ends_nothing_else() -> None:
    seen: list[AnyEvent] = []
    with Recorder(Path("/dev/full"), seen.append) as recorder:
        recorder(BuildStarted(plan={}))
        recorder(BuildFinished(status="ok", seconds=1.0))

    assert len(seen) == 2
