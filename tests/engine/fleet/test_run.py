"""A fleet in this process: what it leaves, what a second run does, and what becomes of faults."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.events import Emit, StepStarted
from engine.fleet import cluster, process, record
from engine.fleet.builder import InProcess
from engine.fleet.events import (
    FleetEvent,
    FleetFinished,
    FleetStarted,
    RowFinished,
    RowOutline,
    RowStarted,
    Said,
)
from engine.fleet.job import Job, Outcome
from engine.fleet.narration import FleetNarration
from engine.fleet.plan import AT_ONCE
from engine.fleet.prepare import prepare
from engine.fleet.read import read_fleet
from engine.fleet.replay import read_fleet_record
from engine.fleet.run import FleetResult, Run
from engine.problem import Refused
from tests.engine.fleet.conftest import Yard
from tests.support.full import in_small_tmpfs


async def build(
    yard: Yard, overrides: Sequence[str] = (), *, resume: bool = False, force: bool = False
) -> tuple[FleetResult, list[FleetEvent]]:
    prepared = prepare(read_fleet(yard.fleet, overrides), yard.out, resume=resume, force=force)
    events: list[FleetEvent] = []
    return await Run(prepared, InProcess(), events.append).run(), events


def states(result: FleetResult) -> dict[str, str]:
    return {row.image: row.state for row in result.rows}


def stamps(yard: Yard) -> dict[str, int]:
    return {path.name: path.stat().st_ctime_ns for path in yard.out.glob("*/*")}


def command(yard: Yard, *words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "engine.cli", "fleet", str(yard.fleet),
            "-o", str(yard.out), *words]  # fmt: skip


def test_every_image_is_what_a_build_of_its_own_makes(yard: Yard) -> None:
    yard.rows("1", "2")
    result, _ = asyncio.run(build(yard))

    alone = yard.folder / "alone"
    words = ["build", str(yard.folder / "base.toml"), "-o", str(alone), "--quiet"]
    assert main([*words, "--set", 'name="node-1"', "--set", "boot.cmdline=serial=1"]) == 0
    assert states(result) == {"node-1": "ok", "node-2": "ok"}
    assert (alone / "node-1.img").read_bytes() == yard.images()["node-1"]
    assert {path.name for path in (yard.out / "node-1").iterdir()} == {
        path.name for path in alone.iterdir()
    }
    written = json.loads((yard.out / "fleet.json").read_text())
    assert written["state"] == "ok"
    sums = (alone / "SHA256SUMS").read_text()
    assert written["rows"][0]["digest"].removeprefix("sha256:") in sums
    assert {path.name for path in yard.out.iterdir()} == {
        "node-1", "node-2", "fleet.json", "fleet.jsonl",
    }  # fmt: skip


async def test_the_second_run_touches_nothing_and_a_third_what_changed(yard: Yard) -> None:
    yard.write("own/1/x", "one")
    yard.write("own/2/x", "two")
    yard.rows("1", "2", more='[[row.contents]]\nsource = "own/{serial}/"\ntarget = "/"\n')
    await build(yard)
    before = stamps(yard)
    second, events = await build(yard)

    assert states(second) == {"node-1": "unchanged", "node-2": "unchanged"}
    assert stamps(yard) == before
    assert [event for event in events if isinstance(event, Said)] == []
    assert all(row.reused == row.bytes > 0 for row in second.rows)

    first = yard.images()
    yard.settle()
    yard.write("own/2/x", "TWO")
    third, _ = await build(yard)
    assert states(third) == {"node-1": "unchanged", "node-2": "ok"}
    assert yard.images()["node-1"] == first["node-1"]
    assert yard.images()["node-2"] != first["node-2"]


def test_where_nothing_is_to_be_built_no_worker_is_asked(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.rows("1")
    words = ["fleet", str(yard.fleet), "-o", str(yard.out), "--quiet"]
    assert main(words) == 0
    started: list[int] = []
    monkeypatch.setattr(process.LocalProcesses, "start", lambda self: started.append(1))
    monkeypatch.setattr(cluster, "local_workers", lambda *given: started.append(given[0]))

    assert main([*words, "--workers", "2"]) == 0
    assert main([*words, "--scheduler", "tcp://127.0.0.1:9"]) == 0
    assert started == []


@pytest.mark.parametrize(
    "change",
    [
        lambda yard: (yard.folder / "tree/etc/motd").chmod(0o600),
        lambda yard: (yard.folder / "tree/new").mkdir(),
        lambda yard: os.utime(yard.folder / "tree/etc", (1, 1)),
        lambda yard: (yard.folder / "tree/etc/motd").rename(yard.folder / "tree/etc/m"),
        lambda yard: (yard.folder / "tree/etc/l").symlink_to("motd"),
        lambda yard: os.setxattr(yard.folder / "tree/etc/motd", "user.a", b"1"),
        lambda yard: yard.rows("1", more='"size.additional" = "2MiB"\n'),
    ],
)
async def test_any_change_is_seen(yard: Yard, change: Callable[[Yard], object]) -> None:
    yard.rows("1")
    await build(yard)
    yard.settle()
    change(yard)

    assert states((await build(yard))[0]) == {"node-1": "ok"}


async def test_resume_leaves_what_is_done_and_builds_the_rest(yard: Yard) -> None:
    yard.rows("1", "2")
    await build(yard)
    yard.settle()
    yard.write("tree/etc/motd", "changed")
    shutil.rmtree(yard.out / "node-2")
    result, _ = await build(yard, resume=True)

    assert states(result) == {"node-1": "unchanged", "node-2": "ok"}
    # What it left as it was is not up to date for a run that looks.
    assert states((await build(yard))[0]) == {"node-1": "ok", "node-2": "unchanged"}


async def test_an_image_that_somebody_changed_is_not_replaced_unasked(yard: Yard) -> None:
    yard.rows("1")
    await build(yard)
    image = yard.out / "node-1/node-1.img"
    image.write_bytes(b"mine")
    prepared = prepare(read_fleet(yard.fleet), yard.out)

    assert [one.problem.code for one in prepared.errors] == ["output-exists"]
    with pytest.raises(Refused):
        await Run(prepared, InProcess(), lambda event: None).run()
    assert image.read_bytes() == b"mine"
    assert states((await build(yard, force=True))[0]) == {"node-1": "ok"}


@pytest.mark.parametrize("name", ["fleet.json", "fleet.jsonl"])
def test_what_is_not_a_fleets_is_not_replaced(yard: Yard, name: str) -> None:
    yard.rows("1")
    yard.write(f"out/{name}", '{"mine": 1}\n')

    with pytest.raises(Refused, match="is not the record of a fleet"):
        prepare(read_fleet(yard.fleet), yard.out)


async def test_a_row_that_fails_fails_alone(yard: Yard) -> None:
    yard.write("own/1/x", "1")
    yard.write("own/2/x", "2")
    yard.rows("1", "2", "3", more='[[row.contents]]\nsource = "own/*"\ntarget = "/"\n')
    prepared = prepare(read_fleet(yard.fleet), yard.out)

    class Spoiling(InProcess):
        slots: int | None = 1  # the others are not to see it spoiled

        async def build(self, job: Job, say: Emit, begun: Callable[[str], None]) -> Outcome:
            def spoil(event: object) -> None:
                if job.name == "node-2" and isinstance(event, StepStarted):
                    (yard.folder / "own/1/x").write_text("other")
                    (yard.folder / "own/1/x").touch()
                say(event)  # type: ignore[arg-type]

            outcome = await super().build(job, spoil, begun)
            if job.name == "node-2":
                (yard.folder / "own/1/x").write_text("1")
            return outcome

    events: list[FleetEvent] = []
    result = await Run(prepared, Spoiling(), events.append).run()

    assert result.status == "failed"
    assert states(result) == {"node-1": "ok", "node-2": "failed", "node-3": "ok"}
    (bad,) = [row for row in result.rows if row.state == "failed"]
    assert "changed" in str(bad.message)
    assert sorted(yard.images()) == ["node-1", "node-3"]
    assert [path.name for path in (yard.out / "node-2").iterdir()] == ["build.jsonl"]
    after, _ = await build(yard, resume=True)
    assert states(after) == {"node-1": "unchanged", "node-2": "ok", "node-3": "unchanged"}


async def test_a_row_is_tried_again_while_the_others_go_on(yard: Yard) -> None:
    yard.rows("1", "2")
    tried: list[str] = []

    class Flaky(InProcess):
        async def build(self, job: Job, say: Emit, begun: Callable[[str], None]) -> Outcome:
            tried.append(job.name)
            if tried == ["node-1"]:
                return Outcome(name=job.name, state="failed", message="no luck")
            return await super().build(job, say, begun)

    run: Run

    def again(event: FleetEvent) -> None:
        if isinstance(event, RowFinished) and event.state == "failed":
            assert run.retry(event.image)
            assert not run.retry(event.image)

    run = Run(prepare(read_fleet(yard.fleet), yard.out), Flaky(), again)
    assert states(await run.run()) == {"node-1": "ok", "node-2": "ok"}
    assert tried == ["node-1", "node-2", "node-1"]


async def test_a_cancel_ends_it_and_leaves_what_is_done(yard: Yard) -> None:
    yard.rows(*"12345")
    prepared = prepare(read_fleet(yard.fleet), yard.out)

    finished = []

    def emit(event: FleetEvent) -> None:
        match event:
            case RowFinished():
                finished.append(event.image)
            case Said(event=StepStarted()) if finished:  # and this one is at work
                task.cancel()

    task = asyncio.ensure_future(Run(prepared, InProcess(), emit).run())
    with pytest.raises(asyncio.CancelledError):
        await task

    assert list(yard.out.rglob("*part*")) == []
    rows = json.loads((yard.out / "fleet.json").read_text())["rows"]
    done = {row["image"] for row in rows if row["state"] == "ok"}
    assert done == yard.images().keys()
    assert 0 < len(done) < len(rows)
    assert {row["state"] for row in rows if row["image"] not in done} == {"cancelled"}
    after = states((await build(yard, resume=True))[0])
    assert after == {row["image"]: "unchanged" if row["image"] in done else "ok" for row in rows}


async def test_some_rows_are_built_at_a_time(yard: Yard) -> None:
    yard.rows(*"123456")
    running: set[str] = set()
    most = 0

    def emit(event: FleetEvent) -> None:
        nonlocal most
        match event:
            case RowStarted():
                running.add(event.image)
            case RowFinished():
                running.discard(event.image)
        most = max(most, len(running))

    prepared = prepare(read_fleet(yard.fleet), yard.out)
    assert states(await Run(prepared, InProcess(), emit).run()) == dict.fromkeys(
        yard.images(), "ok"
    )
    assert most == AT_ONCE


def ended_in_the_fifth(yard: Yard, number: signal.Signals) -> int:
    """Ends the command once its fifth row has begun, so that one is done; returns how it ended."""
    process = subprocess.Popen(command(yard, "--events", "-"), stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if b'"image":"node-5"' in line and b'"step-started"' in line:
            process.send_signal(number)
            break
    process.stdout.read()
    process.stdout.close()
    return process.wait(timeout=60)


def test_the_command_goes_on_after_it_was_killed(yard: Yard) -> None:
    yard.rows(*"12345")
    assert ended_in_the_fifth(yard, signal.SIGKILL) == -signal.SIGKILL
    told = read_fleet_record(yard.out / "fleet.jsonl")
    assert isinstance(told[-1], FleetFinished)
    ended = {one.image: one.state for one in told if isinstance(one, RowFinished)}
    done = [name for name, state in ended.items() if state == "ok"]
    assert done
    assert told[-1].states == {"ok": len(done), "lost": 5 - len(done)}
    before = {name: (yard.out / f"{name}/{name}.img").stat().st_ctime_ns for name in done}
    resumed = subprocess.run(command(yard, "--resume"), capture_output=True, text=True)

    assert resumed.returncode == 0, resumed.stderr
    assert f"{len(done)} of 5 images are up to date" in resumed.stderr
    assert [line.split("/")[-1] for line in resumed.stdout.split()[1::2]] == [
        f"node-{number}.img" for number in range(1, 6)
    ]
    for name in done:
        assert (yard.out / f"{name}/{name}.img").stat().st_ctime_ns == before[name]
    assert list(yard.out.rglob("*part*")) == []


def test_sigterm_cancels_the_command(yard: Yard) -> None:
    yard.rows(*"12345")

    assert ended_in_the_fifth(yard, signal.SIGTERM) == 130
    assert list(yard.out.rglob("*part*")) == []


def test_a_full_disk_is_told_before_and_while(yard: Yard) -> None:
    (yard.folder / "tree/big").write_bytes(os.urandom(3 << 20))
    yard.rows("1", "2", more='"size.additional" = "0"\n')
    small = yard.folder / "small"
    said = in_small_tmpfs(
        small, 4000, sys.executable, "-P", "-m", "engine.cli", "fleet", str(yard.fleet),
        "-o", str(small / "out"),
    )  # fmt: skip

    assert said.returncode == 2
    assert "are free" in said.stderr


async def test_two_fleets_do_not_write_to_one_folder(yard: Yard) -> None:
    yard.rows("1")
    prepared = prepare(read_fleet(yard.fleet), yard.out)
    second: list[BaseException] = []

    class Meeting(InProcess):
        async def build(self, job: Job, say: Emit, begun: Callable[[str], None]) -> Outcome:
            try:
                await Run(prepared, InProcess(), lambda event: None).run()
            except Refused as refused:
                second.append(refused)
            return await super().build(job, say, begun)

    await Run(prepared, Meeting(), lambda event: None).run()
    assert "in use by another build" in str(second[0])


def test_the_record_is_replayed_as_it_was_told(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    yard.rows("1", "2")
    assert main(["fleet", str(yard.fleet), "-o", str(yard.out)]) == 0
    live = capsys.readouterr()
    assert main(["replay", str(yard.out / "fleet.jsonl"), "--plain"]) == 0
    replayed = capsys.readouterr()

    assert live.out.split("/")[-1] == "node-2.img\n"
    assert replayed.out == live.err
    assert "node-2" in replayed.out


def test_a_broken_record_is_refused_or_ends(yard: Yard, tmp_path: Path) -> None:
    path = tmp_path / "fleet.jsonl"
    path.write_text('{"event":"fleet-started","fleet":"f","rows":[{"image":"a"}]}\n{"eve')
    assert isinstance(read_fleet_record(path)[-1], FleetFinished)
    path.write_text('{"event":"fleet-started","fleet":"f","rows":[]}\nx\n{}\n')
    with pytest.raises(Refused, match="line 2"):
        read_fleet_record(path)


async def test_a_repainted_line_is_wiped_at_the_end(yard: Yard) -> None:
    import io

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    yard.rows("1")
    screen = Screen()
    narration = FleetNarration(screen)
    await Run(prepare(read_fleet(yard.fleet), yard.out), InProcess(), narration).run()

    lines = screen.getvalue().rsplit("\r\x1b[K", 1)[-1].splitlines()
    assert lines[-1].endswith("1 ok")


def test_what_is_missing_is_named_once_more_at_the_end(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    yard.rows(*"123456789", more='"hooks.after_build" = "test {serial} -lt 3"\n')
    words = ["fleet", str(yard.fleet), "-o", str(yard.out)]

    assert main(words) == 1
    *_, missing, hint = capsys.readouterr().err.splitlines()
    named = ", ".join(f"node-{number}" for number in range(3, 8))
    assert missing == f"error: 7 of 9 images not built: {named} and 2 more"
    assert hint == "  hint: once that is mended, the same command builds what is missing"


def test_a_cancel_names_only_rows_that_had_begun() -> None:
    import io

    said = io.StringIO()
    narration = FleetNarration(said)
    narration(FleetStarted(fleet="f", rows=(RowOutline(image="a"), RowOutline(image="b"))))
    narration(RowStarted(image="a"))
    for image in "ab":
        narration(RowFinished(image=image, state="cancelled", seconds=0.1))
    narration(FleetFinished(status="cancelled", seconds=0.5, states={"cancelled": 2}))

    assert said.getvalue().splitlines() == [
        "==> a", "\u2717 a cancelled", "cancelled in 0.50 s: 2 cancelled",
    ]  # fmt: skip


def test_records_are_read_back_as_written(tmp_path: Path) -> None:
    row = record.RowRecord(image="a", state="ok", files={"a.img": "1"}, inputs="x")
    record.save(tmp_path, "fleet.toml", "ok", 1.5, [row])

    assert record.load(tmp_path, force=False) == {"a": row}


def kernel() -> bytes:
    """Returns what loaders take for an x86-64 kernel (Linux, arch/x86/boot/header.S)."""
    data = bytearray(1 << 20)
    data[0x1F1], data[0x211] = 4, 1
    data[0x1FE:0x200], data[0x202:0x206] = b"\x55\xaa", b"HdrS"
    data[0x206:0x208], data[0x236:0x238] = b"\x0f\x02", b"\x03\x00"
    return bytes(data)


async def test_a_row_with_a_loader_is_left_alone_and_changed_in_part(yard: Yard) -> None:
    (yard.folder / "tree/boot").mkdir()
    (yard.folder / "tree/boot/vmlinuz-6.1").write_bytes(kernel())
    yard.write("tree/boot/initrd.img-6.1", "initrd")
    yard.settle()
    yard.rows("1")
    overrides = ["boot.loader=grub", "layout.table=legacy"]
    await build(yard, overrides)
    before = stamps(yard)["node-1.img"]
    await build(yard, overrides)
    assert stamps(yard)["node-1.img"] == before

    yard.settle()
    yard.write("tree/etc/motd", "other")
    changed, _ = await build(yard, overrides)
    assert states(changed) == {"node-1": "ok"}
    image = yard.images()["node-1"]
    shutil.rmtree(yard.out)
    await build(yard, overrides)
    assert yard.images()["node-1"] == image
