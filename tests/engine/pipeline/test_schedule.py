"""Steps run side by side where they may, begin in order, and end together where one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from engine.pipeline import schedule
from engine.pipeline.schedule import StepsFailed, run_all, waits
from engine.plan.model import StepPlan


def step(verb: str, volume: str = "", *argv: str) -> StepPlan:
    """Returns a step of a plan."""
    key = f"{verb}-{volume}" if volume else verb
    commands = (argv,) if argv else ()
    return StepPlan(id=key, verb=verb, volume=volume, title=key, bytes=0, argv=commands)


ORDER = (
    step("allocate"), step("make", "a"), step("populate", "a"), step("make", "b"),
    step("check", "a"), step("check", "b"), step("checksum"), step("publish"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("later", "earlier", "hashed", "expected"),
    [
        (step("make", "b"), step("populate", "a"), False, False),
        (step("make", "b"), step("populate", "a"), True, True),
        (step("populate", "a"), step("make", "a"), False, True),
        (step("check", "b"), step("populate", "a"), False, False),
        (step("check", "b"), step("populate", "a"), True, True),
        (step("check", "a"), step("populate", "a"), False, True),
        (step("check", "b"), step("check", "a"), True, False),
        (step("checksum"), step("check", "a"), True, False),
        (step("checksum"), step("populate", "a"), False, True),
        (step("checksum"), step("pack"), False, True),
        (step("pack"), step("convert"), False, True),
        (step("convert"), step("check", "a"), False, False),
        (step("checksum"), step("sbom"), False, False),
        (step("hook"), step("check", "a"), False, True),
        (step("populate", "b", "qemu"), step("make", "a"), False, True),
        (step("checksum"), step("hook"), False, True),
        (step("prove"), step("check", "a"), False, True),
        (step("loader-boot-code"), step("populate", "a"), False, True),
        (step("check", "a"), step("nixos-guest"), False, True),
        (step("record"), step("checksum"), False, True),
    ],
)
def test_what_waits_for_what(
    later: StepPlan, earlier: StepPlan, *, hashed: bool, expected: bool
) -> None:
    assert waits(later, earlier, hashed=hashed) is expected


class Run:
    """Carries out steps by waiting, and notes what began and ended."""

    def __init__(self, steps: Sequence[StepPlan], fails: str = "") -> None:
        self.steps = steps
        self.fails = fails
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.most: set[frozenset[str]] = set()
        self.three = asyncio.Event()

    async def __call__(self, position: int, earlier: Callable[[], Awaitable[None]]) -> None:
        key = self.steps[position].id
        self.begun.append(key)
        self.most.add(frozenset(self.begun) - frozenset(self.ended))
        if max(map(len, self.most)) == 3:
            self.three.set()
        try:
            if key == "checksum":
                await earlier()
            # Those that begin first end last, as far as the order allows.
            for _ in range(4 * (len(self.steps) - position)):
                await asyncio.sleep(0)
            if key == self.fails:
                raise OSError(key)
        finally:
            self.ended.append(key)


@pytest.mark.parametrize("processors", [1, 2, 9])
async def test_steps_begin_in_order(processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "processors", lambda: processors)
    run = Run(ORDER)
    await run_all(ORDER, run, hashed=False)
    assert run.begun == [each.id for each in ORDER]
    assert sorted(run.ended) == sorted(run.begun)
    assert max(map(len, run.most)) == min(processors, 3)
    assert run.ended.index("checksum") > run.ended.index("check-b")
    if processors == 1:
        assert run.ended == run.begun


async def test_a_failure_ends_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "processors", lambda: 3)
    run = Run(ORDER, fails="check-b")
    with pytest.raises(StepsFailed) as failed:
        await run_all(ORDER, run, hashed=False)
    assert failed.value.step == "check-b"
    assert isinstance(failed.value.error, OSError)
    assert sorted(run.ended) == sorted(run.begun)
    assert "publish" not in run.begun


async def test_a_cancel_ends_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "processors", lambda: 3)
    run = Run(ORDER)
    task = asyncio.ensure_future(run_all(ORDER, run, hashed=False))
    await run.three.wait()
    first = next(key for key in run.begun if key not in run.ended)
    task.cancel()
    with pytest.raises(StepsFailed) as failed:
        await task
    assert failed.value.step == first
    assert isinstance(failed.value.error, asyncio.CancelledError)
    assert sorted(run.ended) == sorted(run.begun)
