"""What is noted of entries while their data is still being copied, as if it had all been there."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from engine.manifest.datasums import DataSums
from engine.pipeline import ahead
from engine.pipeline.ahead import Ahead
from engine.pipeline.remembering import Noted, note
from engine.pipeline.reusing import Reuse
from engine.plan.model import Plan
from engine.provenance.inputs import read_sums
from tests.support.specs import plan_of, write_spec


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Returns the plan of a small tree."""
    return plan_of(write_spec(tmp_path), ("layout.table=none",))


def reuse_for(plan: Plan) -> Reuse:
    return Reuse(plan=plan, asked="this")


async def versions() -> dict[str, str]:
    return {"mke2fs": "1"}


def wanted(plan: Plan) -> Noted | None:
    """Returns what is noted once all data is there."""
    return note(reuse_for(plan), read_sums(plan.root.manifest), lambda: True)


def test_sums_are_taken_as_they_come(plan: Plan) -> None:
    manifest = plan.root.manifest
    known = read_sums(manifest).of(manifest)
    reuse, sums = reuse_for(plan), DataSums()

    async def run() -> Noted | None:
        work = Ahead(reuse, sums, versions)
        work.begin()
        work.laid_out()
        for entry in reversed(list(manifest)):
            if id(entry) in known:
                await asyncio.sleep(0.02)
                sums.adopt(entry, known[id(entry)])
        try:
            return await work.noted()
        finally:
            await work.end()

    assert asyncio.run(run()) == wanted(plan)
    assert reuse.versions == {"mke2fs": "1"}


def test_what_does_not_begin_ahead_is_noted_when_it_is_asked_for(plan: Plan) -> None:
    async def run() -> Noted | None:
        return await Ahead(reuse_for(plan), read_sums(plan.root.manifest), versions).noted()

    assert asyncio.run(run()) == wanted(plan)


@pytest.mark.parametrize("laid_out", [False, True])
def test_it_ends_while_it_waits_for_data(plan: Plan, *, laid_out: bool) -> None:
    before = threading.active_count()

    async def run() -> None:
        work = Ahead(reuse_for(plan), DataSums(), versions)
        work.begin()
        await asyncio.sleep(0)
        if laid_out:
            work.laid_out()
        await asyncio.sleep(0.1)
        await work.end()

    begun = time.monotonic()
    asyncio.run(run())

    assert time.monotonic() - begun < 5
    assert threading.active_count() == before


def test_a_fault_in_it_is_told_by_who_asks(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Noted:
        raise ZeroDivisionError

    monkeypatch.setattr(ahead, "note", broken)

    async def run() -> None:
        work = Ahead(reuse_for(plan), DataSums(), versions)
        work.begin()
        try:
            await work.noted()
        finally:
            await work.end()

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())
