"""Running tools: their output, their ends, and what is left of them."""

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from engine.events import AnyEvent, Log, Progress
from engine.pipeline.steps.convert import parse_progress
from engine.tools import runner
from engine.tools.environment import search_path, tool_environment
from engine.tools.failure import StepFailed
from tests.support.processes import alive, dies, written_pid

ENV = tool_environment(0)


async def shell(text: str, events: list[AnyEvent] | None = None) -> runner.ToolResult:
    emit = (events if events is not None else []).append
    return await runner.run(("sh", "-c", text), step="s", emit=emit, env=ENV)


async def test_both_streams_become_log_events() -> None:
    events: list[AnyEvent] = []

    result = await shell("echo out; echo err >&2", events)

    assert result.stdout == "out"
    assert {(e.stream, e.text) for e in events if isinstance(e, Log)} == {
        ("stdout", "out"),
        ("stderr", "err"),
    }


async def test_much_output_on_both_streams_does_not_deadlock() -> None:
    text = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789;"
    result = await shell(f"{text} echo x >&2; i=$((i+1)); done")

    assert result.stdout.count("\n") == 2999
    assert len(result.tail) == 20


async def test_repainted_lines_become_progress() -> None:
    events: list[AnyEvent] = []

    await runner.run(
        ("printf", r"    (12.50/100%%)\r    (100.00/100%%)\r\n"),
        step="s",
        emit=events.append,
        env=ENV,
        progress=lambda text: parse_progress(text, 1000),
    )

    assert events == [
        Progress(id="s", done=125, total=1000),
        Progress(id="s", done=1000, total=1000),
    ]


async def test_the_environment_is_an_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKE2FS_CONFIG", "/nowhere")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")

    result = await runner.run(("env",), step="s", emit=lambda event: None, env=tool_environment(7))

    seen = dict(line.partition("=")[::2] for line in result.stdout.splitlines())
    assert seen["MKE2FS_CONFIG"] == "/dev/null"
    assert (seen["LC_ALL"], seen["TZ"], seen["SOURCE_DATE_EPOCH"]) == ("C.UTF-8", "UTC0", "7")


def test_system_folders_are_searched_after_the_callers() -> None:
    assert search_path({"PATH": "/mine::/bin"}).startswith("/mine:/bin:/usr/local/sbin:/usr/sbin")


async def test_standard_input_is_closed_or_fed() -> None:
    assert (await shell("cat")).stdout == ""

    fed = await runner.run(
        ("cat",), step="s", emit=lambda event: None, env=ENV, feed=[b"a\n", memoryview(b"b\n")]
    )

    assert fed.stdout == "a\nb"


async def test_a_tool_that_stops_reading_reports_its_own_status() -> None:
    feed = (bytes(1 << 16) for _ in range(64))
    with pytest.raises(StepFailed, match=r"sh exited with status 9: full"):
        await runner.run(
            ("sh", "-c", "echo full >&2; exit 9"), step="s", emit=print, env=ENV, feed=feed
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo first; echo why >&2; exit 3", r"sh exited with status 3: .*why"),
        ("kill -SEGV $$", r"sh was killed by SIGSEGV"),
    ],
)
async def test_a_bad_end_is_told_with_the_last_lines(text: str, message: str) -> None:
    with pytest.raises(StepFailed, match=message) as failed:
        await shell(text)

    assert "the command was: sh -c" in failed.value.hint


async def test_a_missing_tool_is_named() -> None:
    with pytest.raises(StepFailed, match="no-such-tool is not installed") as failed:
        await runner.run(("no-such-tool",), step="s", emit=print, env=ENV)

    assert "doctor" in failed.value.hint


async def test_a_file_that_is_no_program_is_told(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_bytes(b"\x7fELFgarbage")
    tool.chmod(0o755)

    with pytest.raises(StepFailed, match="tool "):
        await runner.run((str(tool),), step="s", emit=lambda event: None, env=ENV)


async def test_what_a_tool_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    await shell(f"sleep 100 & echo $! > {tmp_path}/pid")

    assert not alive(int((tmp_path / "pid").read_text()))


async def test_the_dead_that_nobody_collects_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GRACE", 30.0)
    prctl, reaper = ctypes.CDLL(None).prctl, 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
    pid = tmp_path / "pid"
    prctl(reaper, 1)
    try:
        async with asyncio.timeout(240):
            await shell(f"sleep 1000 & echo $! > {pid}")
        dead = int(pid.read_text())
        # It was there all the time.
        assert os.waitpid(dead, os.WNOHANG)[0] == dead  # noqa: ASYNC222 - does not wait
    finally:
        prctl(reaper, 0)


async def test_a_tool_whose_status_was_taken_is_not_waited_for() -> None:
    over = await asyncio.create_subprocess_exec("true")
    await over.wait()
    # asyncio's wait goes on for as long as somebody holds the tool's pipes.
    process = Mock(pid=over.pid, wait=asyncio.Event().wait)

    async with asyncio.timeout(60):
        await runner._ended(process)


async def test_a_daemon_that_holds_the_pipes_is_not_waited_for(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    daemon = f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 100' &"

    result = await shell(f"{daemon} until [ -s {pid_file} ]; do sleep 0.01; done; echo on")

    pid = await written_pid(pid_file)

    os.kill(pid, signal.SIGKILL)
    assert result.stdout == "on"


async def test_cancel_while_the_tool_is_being_started(tmp_path: Path) -> None:
    task = asyncio.ensure_future(shell(f"sleep 100 & echo $! > {tmp_path}/pid; wait"))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    pid = tmp_path / "pid"
    started = pid.read_text() if pid.exists() else ""
    assert not started or not alive(int(started))


async def test_cancel_ends_the_whole_group(tmp_path: Path) -> None:
    task = asyncio.ensure_future(shell(f"sleep 100 & echo $! > {tmp_path}/pid; wait"))
    pid = await written_pid(tmp_path / "pid")

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not alive(pid)


async def test_cancel_kills_what_ignores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GRACE", 0.2)
    pid = tmp_path / "pid"
    task = asyncio.ensure_future(
        shell(f"trap '' TERM INT; echo $$ > {pid}; while :; do sleep 0.05; done")
    )
    tool = await written_pid(pid)

    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()  # a second Ctrl+C must not leave the tool behind
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not alive(tool)


async def test_a_tool_dies_with_us(tmp_path: Path) -> None:
    """SIGKILL leaves no time to clean up: the kernel must end the tool."""
    script = (
        "import asyncio\n"
        "from engine.tools.runner import run\n"
        "from engine.tools.environment import tool_environment\n"
        f"text = 'echo $$ > {tmp_path}/pid; exec sleep 100'\n"
        "asyncio.run(run(('sh', '-c', text), step='s', emit=print, env=tool_environment(0)))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    pid = await written_pid(tmp_path / "pid")

    process.kill()
    await process.wait()

    assert await dies(pid)
