"""SIGTERM and SIGKILL to the real command, in every step."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.scene import (
    CLOUD,
    DELIVERY,
    GUEST,
    INSTALLER,
    LOADER,
    PLAIN,
    STEP_IDS,
    UPDATE,
    Scene,
    all_end,
)

ROOT = Path(__file__).parents[2]
QUICK = ("populate-root", "convert", "prove")
KIND_OF = {
    "loader-boot-code": LOADER, "efi-variables": LOADER, "prove": DELIVERY, "pack": DELIVERY,
    "sign": DELIVERY, "wrap": CLOUD, "nixos-loader": INSTALLER, "nixos-guest": GUEST,
    "compare": UPDATE, "take-over": UPDATE,
}  # fmt: skip
"""Where a step is found that a plain build has not."""

SceneOf = Callable[[str], Scene]


@pytest.fixture(scope="module")
def scene_of(tmp_path_factory: pytest.TempPathFactory) -> SceneOf:
    """Makes the scene of a step when it is first asked for."""

    made: dict[str, Scene] = {}

    def of(step: str) -> Scene:
        kind = KIND_OF.get(step, PLAIN)
        if kind.name not in made:
            scene = Scene(tmp_path_factory.mktemp("signals") / kind.name, kind)
            with scene.entered():
                scene.build()
            clear(scene)
            made[kind.name] = scene
        return made[kind.name]

    return of


def clear(scene: Scene) -> None:
    for path in sorted(scene.outdir.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def strike(scene: Scene, step: str, number: signal.Signals) -> tuple[int, str]:
    """Builds by the command and sends it a signal as a step begins; returns how it ended."""
    command = [sys.executable, "-m", "engine.cli", "build", str(scene.spec), "-o",
               str(scene.outdir), "--events", "-", "--quiet"]  # fmt: skip
    command += ["--update"] if scene.kind.update else []
    for override in scene.overrides:
        command += ["--set", override]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        events = map(json.loads, process.stdout)
        assert any(e["event"] == "step-started" and e["id"] == step for e in events)
        process.send_signal(number)
        _, said = process.communicate()
    return process.returncode, said


def check(scene: Scene, step: str, number: signal.Signals) -> None:
    """Strikes, and looks at what is left."""
    with scene.entered():
        _check(scene, step, number)


def _check(scene: Scene, step: str, number: signal.Signals) -> None:
    scene.prepare()
    code, said = strike(scene, step, number)

    shown = [name for name in scene.left() if not name.startswith(".")]
    assert "Traceback" not in said, said
    if code != 0:  # otherwise it came to its end before the signal came to it
        assert code == (130 if number == signal.SIGTERM else -number)
        if not scene.kind.update:
            assert shown == (["build.jsonl"] if number == signal.SIGTERM else [])
        elif number == signal.SIGTERM:
            assert scene.outputs() == scene.earlier
    if number == signal.SIGTERM:
        assert [name for name in scene.left() if name.startswith(".")] == []
    assert all_end(scene.mark)
    for name in shown:
        if (scene.outdir / name).is_file() and not scene.kind.update:
            (scene.outdir / name).unlink()
    assert list(scene.temporary.iterdir()) == []
    scene.build()
    assert not [name for name in scene.left() if name.startswith(".")]
    clear(scene)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("step", QUICK)
def test_some_steps(scene_of: SceneOf, step: str, number: signal.Signals) -> None:
    check(scene_of(step), step, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("step", sorted(STEP_IDS - set(QUICK)))
def test_other_steps(scene_of: SceneOf, step: str, number: signal.Signals) -> None:
    check(scene_of(step), step, number)
