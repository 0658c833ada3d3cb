"""What images of a fleet share is written once, and never differs from a build on its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine.cli.main import main
from engine.events import Log, StepStarted
from engine.fleet import builder
from engine.fleet.builder import InProcess
from engine.fleet.events import FleetEvent, Said
from engine.fleet.job import StoreUse
from engine.fleet.prepare import prepare
from engine.fleet.read import read_fleet
from engine.fleet.run import FleetResult, Run
from engine.pipeline.build import build as build_image
from engine.pipeline.repeats import Part
from engine.pipeline.sharing import Sharing
from engine.pipeline.store import Store
from engine.pipeline.work import Work
from engine.plan.model import StepPlan
from engine.planning import plan_spec
from tests.engine.fleet.conftest import Yard

SEED = "identity.seed=0d5b7a3e-9a56-4c57-8f0e-2f6f3a0c6b11"
SQUASHFS = ("layout.table=gpt", "volume[0].id=root", "volume[0].format=squashfs")


@pytest.fixture
def shared(yard: Yard) -> Yard:
    """A yard whose rows share a root that is worth it."""
    (yard.folder / "tree/big").write_bytes(os.urandom(2 << 20))
    yard.settle()
    yard.rows("1", "2", "3")
    return yard


def build(
    yard: Yard, *overrides: str, store: StoreUse | None = None, out: str = "out"
) -> tuple[FleetResult, list[str]]:
    """Builds the fleet; returns what the builds noted."""
    events: list[FleetEvent] = []
    prepared = prepare(read_fleet(yard.fleet, [SEED, *overrides]), yard.folder / out)
    result = asyncio.run(Run(prepared, InProcess(), events.append, store).run())
    notes = [
        f"{one.image}: {one.event.text}"
        for one in events
        if isinstance(one, Said) and isinstance(one.event, Log) and one.event.stream == "note"
    ]
    return result, notes


def alone(yard: Yard, name: str, *overrides: str) -> bytes:
    out = yard.folder / "alone"
    words = ["build", str(yard.folder / "base.toml"), "-o", str(out), "--quiet"]
    for override in (f'name="{name}"', "boot.cmdline=serial=1", SEED, *overrides):
        words += ["--set", override]
    assert main(words) == 0
    return (out / f"{name}.img").read_bytes()


@pytest.mark.parametrize("overrides", [(), SQUASHFS], ids=["ext4", "squashfs"])
def test_a_root_that_rows_share_is_made_once(shared: Yard, overrides: tuple[str, ...]) -> None:
    result, notes = build(shared, *overrides)

    assert [row.state for row in result.rows] == ["ok"] * 3
    assert sorted(row.reused >= 2 << 20 for row in result.rows) == [False, True, True]
    assert sum("put into the store" in note for note in notes) == 1
    assert sorted(path.name for path in shared.out.iterdir()) == [
        "fleet.json", "fleet.jsonl", "node-1", "node-2", "node-3",
    ]  # fmt: skip
    images = shared.images()
    assert images["node-3"] == alone(shared, "node-3", *overrides)


def test_rows_with_volumes_of_their_own_are_what_builds_of_their_own_make(shared: Yard) -> None:
    """What is known of the shared root is kept from row to row; the images are the same."""
    for serial in "123":
        shared.write(f"own/{serial}/x", serial)
    contents = '[[row.contents]]\nsource = "own/{serial}/"\ntarget = "/own"\n'
    volume = '[[row.volume]]\nid = "own"\nmount = "/own"\nsize = "8MiB"\n'
    root = '[[volume]]\nid = "root"\n'
    base = (shared.folder / "base.toml").read_text()
    shared.write("base.toml", base.replace("serial={serial}", "quiet") + root)
    shared.settle()
    shared.rows("1", "2", "3", more=contents + volume)
    overrides = ("layout.table=gpt", "size.disk=auto")
    result, notes = build(shared, *overrides)

    assert sum("put into the store" in note for note in notes) == 1
    assert sorted(row.reused > 0 for row in result.rows) == [False, True, True]
    for row in read_fleet(shared.fleet, [SEED, *overrides]).rows:
        out = shared.folder / "alone" / row.name
        plan = plan_spec(row.spec, base=row.base, outdir=out)
        made = asyncio.run(build_image(plan, lambda event: None, outdir=out))
        assert made.status == "ok"
        theirs = shared.out / row.name
        for name in (f"{row.name}.img", "SHA256SUMS"):
            assert (out / name).read_bytes() == (theirs / name).read_bytes()
        inputs = [
            json.loads((one / "manifest.json").read_text())["inputs"] for one in (out, theirs)
        ]
        assert inputs[0] == inputs[1]


async def test_who_waits_for_a_volume_gives_way_to_the_next_row(
    shared: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "AT_ONCE", 1)
    prepared = prepare(read_fleet(shared.fleet, [SEED]), shared.out)
    use = StoreUse(shared.folder / "store")
    claim = Store(shared.folder / "store", stays=False).claim(
        prepared.plan.rows[0].volumes[0].likeness
    )
    assert claim is not None
    begun: list[str] = []
    waiting: list[str] = []

    def emit(event: FleetEvent) -> None:
        match event:
            case Said(event=Log(text="waiting: another build makes the root file system")):
                waiting.append(event.image)
            case Said(event=StepStarted(id="make-root")):
                begun.append(event.image)
                if len(begun) == 3:
                    asyncio.get_running_loop().call_later(0.05, claim.release)

    result = await Run(prepared, InProcess(), emit, use).run()
    assert waiting == begun
    assert [row.state for row in result.rows] == ["ok"] * 3
    assert begun == ["node-1", "node-2", "node-3"]
    assert sorted(row.reused > 0 for row in result.rows) == [False, True, True]


async def test_who_waits_for_the_digest_of_a_part_gives_way_too() -> None:
    went: list[str] = []

    @contextlib.asynccontextmanager
    async def aside() -> AsyncIterator[None]:
        went.append("aside")
        yield
        went.append("back")

    async def step(work: Work) -> None:
        went.append("step")

    part = Part("key", 0, 4096)
    sharing = Sharing(aside=aside)
    sharing.repeats.parts.append(part)
    work = cast("Work", SimpleNamespace(step=SimpleNamespace(verb="checksum", volume="")))
    await sharing.perform(work, step)
    assert went == ["step"]
    sharing.repeats.hashed.reading.add(part)
    asyncio.get_running_loop().call_later(0.05, sharing.repeats.hashed.reading.clear)
    await sharing.perform(work, step)
    assert went == ["step", "aside", "back", "step"]


def test_what_another_row_makes_comes_after_what_is_the_rows_own() -> None:
    def step(verb: str, volume: str = "", *argv: str) -> StepPlan:
        name = f"{verb}-{volume}".removesuffix("-")
        commands = (argv,) if argv else ()
        return StepPlan(id=name, verb=verb, volume=volume, title=name, bytes=0, argv=commands)

    steps = [
        step("table"), step("make", "root"), step("populate", "root"), step("make", "own"),
        step("populate", "own"), step("hook"), step("check", "root"), step("check", "own"),
        step("checksum"),
    ]  # fmt: skip

    def ordered(*later: str, steps: list[StepPlan] = steps) -> list[str]:
        return [one.id for one in Sharing(later=later).ordered(steps)]

    assert ordered() == [one.id for one in steps]
    assert ordered("root") == [
        "table", "make-own", "populate-own", "make-root", "populate-root", "hook", "check-own",
        "check-root", "checksum",
    ]  # fmt: skip
    guest = [*steps[:2], step("populate", "root", "qemu"), *steps[3:]]
    assert ordered("root", steps=guest) == [one.id for one in guest]


def test_a_store_that_stays_serves_the_next_fleet(shared: Yard) -> None:
    use = StoreUse(shared.folder / "store", stays=True)
    build(shared, store=use)
    result, _ = build(shared, store=use, out="again")

    assert all(row.reused >= 2 << 20 for row in result.rows)
    first = shared.folder / "again/node-1/node-1.img"
    assert first.read_bytes() == shared.images()["node-1"]


def test_a_poisoned_entry_costs_its_making_and_nothing_else(shared: Yard) -> None:
    use = StoreUse(shared.folder / "store", stays=True)
    build(shared, store=use)
    (data,) = (shared.folder / "store/volumes").glob("*/*/data")
    with data.open("r+b") as stream:
        stream.seek(1 << 20)
        stream.write(b"poison")
    result, notes = build(shared, store=use, out="again")

    thrown = "the store's root file system was damaged and is thrown out: "
    assert sum(thrown in note for note in notes) == 1
    assert sorted(row.reused > 0 for row in result.rows) == [False, True, True]
    for name, image in shared.images().items():
        assert (shared.folder / f"again/{name}/{name}.img").read_bytes() == image


def test_a_changed_source_is_not_taken_for_what_it_was(shared: Yard) -> None:
    use = StoreUse(shared.folder / "store", stays=True)
    build(shared, store=use)
    shared.settle()
    shared.write("tree/etc/motd", "other\n")
    result, _ = build(shared, store=use, out="again")

    assert sorted(row.reused > 0 for row in result.rows) == [False, True, True]
    image = (shared.folder / "again/node-2/node-2.img").read_bytes()
    assert image != shared.images()["node-2"]
    assert image == alone(shared, "node-2")


def test_a_store_that_is_full_costs_its_use_and_nothing_else(
    shared: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> bool:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Store, "put", full)
    result, notes = build(shared)

    assert [row.state for row in result.rows] == ["ok"] * 3
    assert sum("not put into the store: No space left" in note for note in notes) == 3


def test_the_command_names_a_store_and_its_limit(
    shared: Yard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fleet", str(shared.fleet), "-o", str(shared.out), "--set", SEED]
    store = tmp_path / "store"
    assert main([*words, "--store", str(store), "--store-limit", "1GiB"]) == 0
    assert "taken over" in capsys.readouterr().err
    assert len(list(store.glob("volumes/*/*"))) == 1
    assert main([*words, "--store", str(shared.folder / "tree")]) == 2
    assert "is not a store" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--store", str(store), "--store-limit", "much"])
