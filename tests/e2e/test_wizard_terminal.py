"""The wizard in a real terminal: designed, built, quit, by keys alone."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal
from tests.support.tools import run_tool

ROOT = Path(__file__).parents[2]
WIZARD = (sys.executable, "-m", "engine.cli")
RESTORED = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l")
"""The ordinary screen, a visible cursor, no mouse reports (xterm's control sequences)."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rootfs/etc").mkdir(parents=True)
    (tmp_path / "rootfs/etc/hostname").write_text("terminal\n")
    return tmp_path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONPATH": str(ROOT),
        "TEXTUAL_ANIMATIONS": "none",
    }


def processes_with(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in line:
                found.append(line)
    return found


def test_from_preset_to_image(folder: Path, environment: dict[str, str]) -> None:
    with Terminal(WIZARD, cwd=folder, env=environment) as terminal:
        before = terminal.attributes
        terminal.wait_for("Hybrid stick")
        terminal.press("enter")
        terminal.wait_for("No problems")
        terminal.resize(80, 24)
        terminal.wait_for("1 Layout")
        terminal.press("f5")
        terminal.wait_for("Ready to build")
        terminal.press("f5")
        terminal.wait_for("Built disk")
        assert re.search(r"sha256\s+[0-9a-f]{40}", terminal.text)
        terminal.press("ctrl+q")
        assert terminal.wait() == 0
        assert terminal.attributes == before
        for sequence in RESTORED:
            assert sequence in terminal.raw[-4000:], "the terminal is not as it was"
        # The title bar told how it went.
        assert b"\x1b]0;" in terminal.raw
    image = folder / "out" / "disk.img"
    table = json.loads(
        run_tool(("sfdisk", "--json", image), capture_output=True, text=True, check=True).stdout
    )["partitiontable"]
    assert table["label"] == "gpt"
    assert [part["type"][:8] for part in table["partitions"]] == ["C12A7328", "4F68BCE3"]


SLOW = """\
schema = 1
name = "slow"
[layout]
table = "none"
[size]
additional = "16MiB"
[hooks]
after_build = "exec sleep 7331"
"""


def _building(folder: Path, environment: dict[str, str]) -> Terminal:
    (folder / "slow.toml").write_text(SLOW)
    terminal = Terminal((*WIZARD, "slow.toml"), cwd=folder, env=environment)
    terminal.wait_for("No problems")
    terminal.press("f5")
    terminal.wait_for("Ready to build")
    terminal.press("f5")
    terminal.wait_for("still running")
    assert processes_with("sleep 7331")
    return terminal


def _nothing_left(folder: Path) -> None:
    assert not processes_with("sleep 7331")
    left = {path.name for path in folder.iterdir()} - {
        "rootfs", "slow.toml", "state", "config", "out", ".cache",
    }  # fmt: skip
    assert not left
    assert [path.name for path in (folder / "out").iterdir()] == ["build.jsonl"]
    assert json.loads((folder / "out" / "build.jsonl").read_text().splitlines()[-1])["status"] == (
        "cancelled"
    )


def test_quitting_during_a_build_asks_and_leaves_nothing(
    folder: Path, environment: dict[str, str]
) -> None:
    with _building(folder, environment) as terminal:
        terminal.press("ctrl+q")
        terminal.wait_for("A build is running")
        # The safe answer has the focus.
        terminal.press("enter")
        terminal.wait_for("still running")
        assert processes_with("sleep 7331")
        terminal.press("ctrl+q")
        terminal.wait_for("A build is running")
        terminal.press("tab", "enter")
        assert terminal.wait(20) == 130
    _nothing_left(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_during_a_build_cancel_it(
    folder: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    with _building(folder, environment) as terminal:
        os.kill(terminal.pid, number)
        assert terminal.wait() == 130
    _nothing_left(folder)
