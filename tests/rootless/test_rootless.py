"""Every layout and every format, built by root and by nobody: the same bytes, nothing mounted."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.rootless.builder import TOOLS_OF_ROOT
from tests.support.specs import write_spec

ROOT = Path(__file__).parents[2]
LAYOUTS = ("none", "legacy", "legacy+gpt", "efi", "hybrid")
FORMATS = ("qcow2", "qcow2-compressed", "vdi", "vpc")
BUILDS = tuple(f"layout.table={layout}" for layout in LAYOUTS) + tuple(
    f"output.format={format_}" for format_ in FORMATS
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can get at, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="diskwright-rootless-") as at:
        Path(at).chmod(0o755)
        yield Path(at)


def images(out: Path) -> dict[str, str]:
    """Returns the digest of every output but the records of a build."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.iterdir()
        if path.name.startswith("demo.")
    }


def loops() -> set[str]:
    """Returns the files that loop devices have of ours."""
    found = set()
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found.add(backing.read_text().strip())
        except OSError:  # another's, gone since
            continue
    return {file for file in found if "diskwright-rootless" in file}


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test shows it: they run without root")
def test_nobody_makes_what_root_makes(folder: Path) -> None:
    sources, theirs, ours = folder / "sources", folder / "theirs", folder / "ours"
    spec = write_spec(sources)
    theirs.mkdir()
    command = [sys.executable, "-m", "tests.rootless.builder", str(theirs), str(spec), *BUILDS]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr
    lines = (line for line in ran.stdout.splitlines() if line.startswith("{"))
    results = [json.loads(line) for line in lines]
    assert [result["code"] for result in results] == [0] * len(BUILDS), ran.stderr
    for number, overrides in enumerate(BUILDS):
        out = ours / str(number)
        assert main(["build", str(spec), "-o", str(out), "--quiet", "--set", overrides]) == 0
        assert images(out) == images(Path(results[number]["out"])) != {}, overrides
    assert loops() == set()


def test_no_command_of_a_plan_needs_root_and_no_device_is_opened(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    traced = tmp_path / "traced.py"
    traced.write_text(
        "import sys\n"
        "seen = []\n"
        "def hook(event, args):\n"
        "    if event == 'open' and str(args[0]).startswith(('/dev/loop', '/dev/mapper')):\n"
        "        seen.append(args[0])\n"
        "sys.addaudithook(hook)\n"
        "from engine.cli.main import main\n"
        f"code = main(['build', {str(spec)!r}, '-o', {str(tmp_path / 'out')!r}])\n"
        "assert not seen, seen\n"
        "sys.exit(code)\n"
    )

    ran = subprocess.run(
        (sys.executable, traced), cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    plan = json.loads((tmp_path / "out" / "manifest.json").read_text())["plan"]
    commands = {command[0] for step in plan["steps"] for command in step["commands"]}
    assert commands.isdisjoint({*TOOLS_OF_ROOT, "dmsetup", "qemu-nbd"})
