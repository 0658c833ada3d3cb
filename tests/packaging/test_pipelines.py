"""The steps of the action, of the GitLab component and of the hook, run as a runner runs them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

PROJECT = Path(__file__).parents[2]
HELLO = PROJECT / "examples/hello.toml"
IMAGE = PROJECT / ".ci/image"


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """A `diskwright` of this tree that writes down what it was called with."""
    path = tmp_path / "diskwright"
    path.write_text(
        f'#!/bin/sh\necho "$*" >>{shlex.quote(str(tmp_path))}/calls\n'
        f'PYTHONPATH={shlex.quote(str(PROJECT))} exec {sys.executable} -m engine.cli "$@"\n'
    )
    path.chmod(0o755)
    return path


def run(script: str, folder: Path, launcher: Path, **variables: str) -> str:
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=folder, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "DISKWRIGHT": str(launcher),
             **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def filled(text: object, pattern: str, values: dict[str, str]) -> str:
    """Returns a text with the expressions of a pipeline replaced by the values of its inputs."""
    return re.sub(pattern, lambda found: values[found[1]], str(text))


def inputs_of(declared: dict[str, Any], given: dict[str, str]) -> dict[str, str]:
    defaults = {name: each.get("default", "") for name, each in declared.items()}
    assert set(given) <= set(defaults)
    missing = [name for name, each in declared.items() if each.get("required")]
    assert set(missing) <= set(given)
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in (defaults | given).items()
    }


def test_the_action_builds_and_verifies(tmp_path: Path, launcher: Path) -> None:
    action = yaml.safe_load((PROJECT / "action.yml").read_text())
    values = inputs_of(
        action["inputs"],
        {"spec": str(HELLO), "prove": "false", "set": "name=other\nsize.additional=20MiB\n"},
    )
    step, upload = action["runs"]["steps"]
    expression = r"\$\{\{ inputs\.(\w+) \}\}"
    variables = {name: filled(text, expression, values) for name, text in step["env"].items()}

    run(
        step["run"], tmp_path, launcher, **variables, GITHUB_ACTION_PATH=str(PROJECT),
        GITHUB_OUTPUT=str(tmp_path / "outputs"), GITHUB_STEP_SUMMARY=str(tmp_path / "summary"),
    )  # fmt: skip

    assert (tmp_path / "outputs").read_text() == "folder=image\nimage=image/other.img\n"
    assert (tmp_path / "summary").read_text().startswith("### image/other.img\n\n```text\nother: ")
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "image", check=True)
    assert filled(upload["with"]["path"], expression, values) == "image"
    assert {
        found
        for value in action["outputs"].values()
        for found in re.findall(r"outputs\.(\w+)", value["value"])
    } == {"folder", "image"}


def test_the_component_builds_and_verifies(tmp_path: Path, launcher: Path) -> None:
    head, body = yaml.safe_load_all((PROJECT / "templates/image.yml").read_text())
    values = inputs_of(head["spec"]["inputs"], {"spec": str(HELLO), "prove": "false"})
    expression = r"\$\[\[ inputs\.(\w+) \]\]"
    ((name, job),) = body.items()
    variables = {key: filled(text, expression, values) for key, text in job["variables"].items()}
    (line,) = job["script"]

    run(line.replace("/opt/diskwright", str(PROJECT)), tmp_path, launcher, **variables)

    assert filled(name, expression, values) == "disk-image"
    (folder,) = (filled(path, expression, values) for path in job["artifacts"]["paths"])
    assert (tmp_path / folder / "hello.img").exists()
    for each in job["before_script"]:
        subprocess.run(["sh", "-n", "-c", filled(each, expression, values)], check=True)


def test_a_proof_is_asked_for_and_a_wrong_spec_stops_before_it(
    tmp_path: Path, launcher: Path
) -> None:
    done = subprocess.run(
        [IMAGE], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DISKWRIGHT": str(launcher),
             "SPEC": str(HELLO), "SETTINGS": "layout.table=efj", "PROVE": "true"},
    )  # fmt: skip

    assert done.returncode == 2
    assert (tmp_path / "calls").read_text() == (
        f"plan {HELLO} --set layout.table=efj --set boot.prove=true\n"
    )
    assert not (tmp_path / "image").exists()


def test_the_hook_checks_specs_without_their_sources(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text())
    command = [sys.executable, "-P", "-m", "engine.cli", *shlex.split(hook["entry"])[1:]]
    good, bad = tmp_path / "a.diskwright.toml", tmp_path / "diskwright.toml"
    good.write_text('schema = 1\n[[contents]]\nsource = "not-built-yet/"\ntarget = "/"\n')
    bad.write_text('schema = 1\n[layout]\ntable = "efj"\n')

    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    fine = subprocess.run([*command, good, good], env=environment, capture_output=True, text=True)
    wrong = subprocess.run([*command, good, bad], env=environment, capture_output=True, text=True)

    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "", "")
    assert wrong.returncode == 2
    assert f"{bad}:3: layout.table" in wrong.stderr
    names = ("diskwright.toml", "images/web.diskwright.toml", "pyproject.toml", "diskwright.tomls")
    assert [bool(re.search(hook["files"], name)) for name in names] == [True, True, False, False]
