"""Faults of the step before the plan, in which nix builds the system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.faults.scene import MARK, all_end
from tests.support.nixos import Lab, make_lab

ROOT = Path(__file__).parents[2]
SPEC = """\
schema = 1
[size]
additional = "8MiB"
[layout]
table = "none"
[nix]
system = "{system}"
store = "{store}"
"""
# The real one still answers what a plan asks.
NIX = """\
#!/bin/sh
for word; do
  if [ "$word" = build ]; then
    {script}
    exit
  fi
done
exec {real} "$@"
"""
FAULTS = {
    "fails": ("echo on purpose >&2; exit 7", 1, "nix exited with status 7: on purpose"),
    "killed": ("kill -KILL $$", 1, "nix was killed by SIGKILL"),
    "floods": ("yes 2>/dev/null | head -c 300000; exit 7", 1, "nix exited with status 7"),
    "garbage": ("head -c 100000 /dev/urandom", 2, "is not built"),
    "hangs": ("kill -TERM $(cat $BUILD); exec sleep 1000", 130, "cancelled"),
    "dies with the build": ("kill -KILL $(cat $BUILD); exec sleep 1000", -9, ""),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return make_lab(tmp_path_factory.mktemp("lab"))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_system_that_is_not_built_leaves_nothing(lab: Lab, tmp_path: Path, name: str) -> None:
    script, code, told = FAULTS[name]
    fresh = Lab(tmp_path / "store", lab.sources, lab.environment)
    spec = tmp_path / "lab.toml"
    spec.write_text(SPEC.format(system=f"path:{lab.sources}#lab", store=fresh.folder))
    (tmp_path / "bin").mkdir()
    nix, pid, real = tmp_path / "bin" / "nix", tmp_path / "pid", shutil.which("nix")
    nix.write_text(NIX.format(script=script.replace("$BUILD", str(pid)), real=real))
    nix.chmod(0o755)
    mark = uuid.uuid4().hex
    environment = {
        **os.environ, **lab.environment, MARK: mark,
        "PATH": f"{nix.parent}:{os.environ['PATH']}",
    }  # fmt: skip

    with subprocess.Popen(
        build(spec, tmp_path / "out"), cwd=ROOT, env=environment, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        pid.write_text(str(process.pid))
        _, said = process.communicate()

    assert process.returncode == code, said
    assert told in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
    assert all_end(mark)
    nix.unlink()
    again = subprocess.run(build(spec, tmp_path / "out"), cwd=ROOT, env=environment)
    assert again.returncode == 0


def build(spec: Path, outdir: Path) -> list[str]:
    return [sys.executable, "-m", "engine.cli", "build", str(spec), "-o", str(outdir), "--quiet"]
