"""SIGTERM and SIGKILL to the real command, in every step."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.scene import PLAIN, Scene, processes, tools_of

ROOT = Path(__file__).parents[2]
QUICK = ("populate-root", "convert")
STEPS = (
    "allocate", "table", "identifiers", "make-root", "make-esp", "populate-esp", "check-root",
    "check-esp", "hook", "checksum", "record", "publish",
)  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    scene = Scene(tmp_path_factory.mktemp("signals") / "scene", PLAIN)
    scene.build()
    clear(scene)
    return scene


def clear(scene: Scene) -> None:
    for path in sorted(scene.outdir.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def strike(scene: Scene, step: str, number: signal.Signals) -> tuple[int, str]:
    """Builds by the command and sends it a signal as a step begins; returns how it ended."""
    command = [sys.executable, "-m", "engine.cli", "build", str(scene.spec), "-o",
               str(scene.outdir), "--events", "-", "--quiet"]  # fmt: skip
    for override in scene.overrides:
        command += ["--set", override]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "step-started" and event["id"] == step:
                process.send_signal(number)
                break
        _, said = process.communicate()
    return process.returncode, said


def ended(scene: Scene) -> bool:
    """Whether all processes end soon: the kernel kills a tool when it learns of our death."""
    for _ in range(100):
        if not processes(scene.mark):
            return True
        time.sleep(0.05)
    return False


def check(scene: Scene, step: str, number: signal.Signals) -> None:
    """Strikes, and looks at what is left."""
    code, said = strike(scene, step, number)

    shown = [name for name in scene.left() if not name.startswith(".")]
    assert "Traceback" not in said
    if code != 0:  # otherwise it came to its end before the signal came to it
        assert code == (130 if number == signal.SIGTERM else -number)
        assert shown == (["build.jsonl"] if number == signal.SIGTERM else [])
    if number == signal.SIGTERM:
        assert [name for name in scene.left() if name.startswith(".")] == []
    assert ended(scene)
    for name in shown:
        if (scene.outdir / name).is_file():
            (scene.outdir / name).unlink()
    scene.build()
    assert not [name for name in scene.left() if name.startswith(".")]
    clear(scene)


def test_the_steps_above_are_all_there_are(scene: Scene) -> None:
    assert set(tools_of(scene.plan())) == {*QUICK, *STEPS}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("step", QUICK)
def test_some_steps(scene: Scene, step: str, number: signal.Signals) -> None:
    check(scene, step, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("step", STEPS)
def test_other_steps(scene: Scene, step: str, number: signal.Signals) -> None:
    check(scene, step, number)
