"""Builds that fail, are cancelled or killed: what they say, and that they leave nothing."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from engine.events import AnyEvent, BuildFinished, StepFinished, StepStarted
from engine.pipeline.build import BuildResult, build
from engine.problem import Refused
from tests.support.full import in_small_tmpfs
from tests.support.processes import alive, dies, fake, written_pid
from tests.support.specs import plan_of, write_spec

STEPS = (
    "allocate", "table", "identifiers", "make-root", "populate-root", "make-esp", "populate-esp",
    "check-root", "check-esp", "convert", "hook", "checksum", "record", "publish",
)  # fmt: skip
OVERRIDES = ("output.format=qcow2", "hooks.after_build=true")


def left(outdir: Path) -> list[str]:
    """Returns what is in the output folder, hidden or not."""
    return sorted(str(path.relative_to(outdir)) for path in outdir.rglob("*"))


async def attempt(spec: Path, outdir: Path, *overrides: str) -> BuildResult:
    return await build(plan_of(spec, overrides), lambda event: None, outdir=outdir)


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fakes"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_the_steps_above_are_all_there_are(tmp_path: Path) -> None:
    plan = plan_of(write_spec(tmp_path, esp=True), OVERRIDES)

    assert tuple(step.id for step in plan.steps) == STEPS


@pytest.mark.parametrize("step", STEPS)
async def test_cancel_in_any_step_leaves_only_the_record(tmp_path: Path, step: str) -> None:
    plan = plan_of(write_spec(tmp_path, esp=True), OVERRIDES)
    events: list[AnyEvent] = []

    def emit(event: AnyEvent) -> None:
        events.append(event)
        if isinstance(event, StepStarted) and event.id == step:
            task.cancel()

    task = asyncio.ensure_future(build(plan, emit, outdir=tmp_path / "out"))
    with pytest.raises(asyncio.CancelledError):
        await task

    assert left(tmp_path / "out") == ["build.jsonl"]
    ends = [event for event in events if isinstance(event, (StepFinished, BuildFinished))]
    assert ends[-1].status == "cancelled"
    begun = [event.id for event in events if isinstance(event, StepStarted)]
    assert sorted(end.id for end in ends if isinstance(end, StepFinished)) == sorted(begun)
    at_once = step in (STEPS[0], "record")  # over before a cancel comes to them
    assert at_once or ends[-2].status == "cancelled"


@pytest.mark.parametrize(
    ("tool", "step"),
    [
        ("sfdisk", "identifiers"),
        ("mke2fs", "make-root"),
        ("e2fsck", "check-root"),
        ("fsck.fat", "check-esp"),
        ("qemu-img", "convert"),
    ],
)
async def test_a_tool_that_fails_is_told_and_leaves_nothing(
    tmp_path: Path, fakes: Path, tool: str, step: str
) -> None:
    spec = write_spec(tmp_path, esp=True)
    plan = plan_of(spec, OVERRIDES)
    fake(fakes, tool, "echo on purpose >&2; exit 8")

    result = await build(plan, lambda event: None, outdir=tmp_path / "out")

    assert (result.status, result.step) == ("failed", step)
    assert result.message == f"{tool} exited with status 8: on purpose"
    assert left(tmp_path / "out") == ["build.jsonl"]


@pytest.mark.parametrize(
    ("tool", "script", "step", "message"),
    [
        ("sfdisk", "head -c 100000 /dev/urandom", "identifiers", "printed no partition table"),
        ("mke2fs", "exit 0", "populate-root", "no ext file system|opening|superblock|magic"),
        ("debugfs", "echo Filesystem UUID: x", "check-root", "not as planned: .*UUID is x"),
        ("qemu-img", "exit 0", "convert", "output.part"),
    ],
)
async def test_a_tool_that_lies_is_found_out(
    tmp_path: Path, fakes: Path, tool: str, script: str, step: str, message: str
) -> None:
    plan = plan_of(write_spec(tmp_path, esp=True), OVERRIDES)
    fake(fakes, tool, script)

    result = await build(plan, lambda event: None, outdir=tmp_path / "out")

    assert (result.status, result.step) == ("failed", step)
    assert left(tmp_path / "out") == ["build.jsonl"]
    assert re.search(message, result.message or ""), result.message


async def test_a_tool_that_hangs_ends_with_the_cancel(tmp_path: Path, fakes: Path) -> None:
    plan = plan_of(write_spec(tmp_path))
    fake(fakes, "mke2fs", f"echo $$ > {tmp_path}/pid; exec sleep 100")
    task = asyncio.ensure_future(build(plan, lambda event: None, outdir=tmp_path / "out"))
    pid = await written_pid(tmp_path / "pid")

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not alive(pid)
    assert left(tmp_path / "out") == ["build.jsonl"]


async def test_a_hook_that_fails_leaves_nothing(tmp_path: Path) -> None:
    result = await attempt(write_spec(tmp_path), tmp_path / "out", "hooks.after_build=exit 5")

    assert (result.step, result.message) == ("hook", "bash exited with status 5")
    assert left(tmp_path / "out") == ["build.jsonl"]


async def test_a_hook_that_removes_the_image_is_told(tmp_path: Path) -> None:
    hook = 'hooks.after_build=rm "$DISK_IMAGE"'

    result = await attempt(write_spec(tmp_path), tmp_path / "out", hook)

    assert result.message == "demo.img is gone before it could be moved into place"
    assert left(tmp_path / "out") == ["build.jsonl"]


async def test_a_failure_keeps_the_outputs_of_an_earlier_build(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    await attempt(spec, tmp_path / "out")
    before = (tmp_path / "out" / "demo.img").read_bytes()

    plan = plan_of(spec, ["hooks.after_build=exit 1"])
    result = await build(plan, lambda event: None, outdir=tmp_path / "out", force=True)

    assert result.status == "failed"
    assert (tmp_path / "out" / "demo.img").read_bytes() == before
    assert (tmp_path / "out" / "manifest.json").exists()


async def test_a_source_that_changes_after_the_plan_is_named(tmp_path: Path) -> None:
    plan = plan_of(write_spec(tmp_path))
    (tmp_path / "tree" / "a b\n*").write_bytes(b"other")

    result = await build(plan, lambda event: None, outdir=tmp_path / "out")

    assert result.step == "populate-root"
    assert "tree/a b" in (result.message or "")
    assert left(tmp_path / "out") == ["build.jsonl"]


async def test_outputs_that_exist_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "demo.img").write_text("mine")

    with pytest.raises(Refused, match=r"demo\.img exists"):
        await attempt(write_spec(tmp_path), out)

    assert left(out) == ["demo.img"]


async def test_two_builds_into_one_folder_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    handle = os.open(out, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)

    with pytest.raises(Refused, match="in use by another build"):
        await attempt(write_spec(tmp_path), out)

    os.close(handle)
    assert left(out) == []


async def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")

    with pytest.raises(Refused, match="cannot be used: File exists"):
        await attempt(write_spec(tmp_path), tmp_path / "out")


async def test_a_build_killed_outright_is_swept_up_by_the_next(tmp_path: Path, fakes: Path) -> None:
    spec = write_spec(tmp_path)
    fake(fakes, "e2fsck", f"echo $$ > {tmp_path}/pid; exec sleep 100")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine.cli", "build", str(spec), "-o", str(tmp_path / "out"),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    pid = await written_pid(tmp_path / "pid")

    process.kill()
    await process.wait()

    assert await dies(pid)
    assert [name for name in left(tmp_path / "out") if not name.startswith(".")] == []
    assert left(tmp_path / "out") != []
    (fakes / "e2fsck").unlink()
    result = await attempt(spec, tmp_path / "out")
    assert result.status == "ok"
    assert not [name for name in left(tmp_path / "out") if name.startswith(".")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_cancels_the_command(
    tmp_path: Path, fakes: Path, number: signal.Signals
) -> None:
    spec = write_spec(tmp_path)
    fake(fakes, "mke2fs", f"echo $$ > {tmp_path}/pid; exec sleep 100")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine.cli", "build", str(spec), "-o", str(tmp_path / "out"),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await written_pid(tmp_path / "pid")

    process.send_signal(number)
    _, said = await process.communicate()

    assert process.returncode == 130
    assert b"cancelled in step make-root" in said
    assert left(tmp_path / "out") == ["build.jsonl"]


_FULL = """
import asyncio, os, sys
from pathlib import Path
from engine.pipeline.build import build
from tests.support.specs import plan_of
plan = plan_of(Path({spec!r}), ["output.format=qcow2"])
result = asyncio.run(build(plan, lambda event: None, outdir=Path({out!r})))
print(result.step, result.message, result.hint, sorted(os.listdir({out!r})), sep="\\n")
"""


@pytest.mark.parametrize(
    ("kib", "steps"),
    [
        (8, "table"),
        (60, "make-root"),
        (100, "populate-root make-esp"),
        (210, "populate-root make-esp populate-esp check-root"),
        (280, "check-esp check-root"),
        (600, "convert"),
    ],
)
def test_a_disk_that_runs_full_is_told_by_its_figures(tmp_path: Path, kib: int, steps: str) -> None:
    small = tmp_path / "small"
    script = _FULL.format(spec=str(write_spec(tmp_path, esp=True)), out=str(small / "out"))

    ran = in_small_tmpfs(small, kib, sys.executable, "-c", script)

    lines = ran.stdout.splitlines()
    assert lines[0] in steps.split(), ran.stderr
    assert re.search(
        r"is full: the build takes up to .* \([0-9,]+ bytes\), .* were written", lines[1]
    )
    assert lines[2].startswith("free at least ")
    assert lines[3] == "['build.jsonl']"


def test_too_little_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    small = tmp_path / "small"
    spec = write_spec(tmp_path)
    argv = ("-m", "engine.cli", "build", str(spec), "-o", str(small / "out"))

    ran = in_small_tmpfs(small, 64, sys.executable, *argv)

    assert ran.returncode == 2
    assert re.search(r"error: .*the build takes up to .* bytes\).* are free", ran.stderr)
