"""Builds need no root: the same bytes come out for an ordinary user without capabilities."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.specs import write_spec

NOBODY = 65534
ORDINARY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
    "--bounding-set=-all", "--inh-caps=-all",
)  # fmt: skip
ROOT = Path(__file__).parents[2]


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A folder that another user may enter, though pytest's own are private."""
    folder = Path("/var/tmp") / f"diskwright-{tmp_path.name}-{os.getpid()}"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def build(spec: Path, out: Path, *prefix: str, table: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (
            *prefix, sys.executable, "-m", "engine.cli", "build", str(spec), "-o", str(out),
            "--set", f"layout.table={table}",
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


@pytest.mark.skipif(os.getuid() != 0, reason="the other tests run as an ordinary user already")
@pytest.mark.parametrize("table", ["none", "legacy", "legacy+gpt", "efi", "hybrid"])
def test_an_ordinary_user_gets_the_same_image(tmp_path: Path, shared: Path, table: str) -> None:
    spec = write_spec(shared, esp=table in ("efi", "hybrid"))
    probe = subprocess.run((*ORDINARY, sys.executable, "-c", "import engine, msgspec"), cwd=ROOT)
    if probe.returncode:
        pytest.skip("an ordinary user cannot start this Python")

    as_root = build(spec, tmp_path / "out", table=table)
    as_nobody = build(spec, shared / "out", *ORDINARY, table=table)

    assert as_root.returncode == 0, as_root.stderr
    assert as_nobody.returncode == 0, as_nobody.stderr
    assert (shared / "out" / "demo.img").stat().st_uid == NOBODY
    assert (tmp_path / "out/demo.img").read_bytes() == (shared / "out/demo.img").read_bytes()


def test_no_mount_and_no_loop_device_is_in_sight(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    trace = tmp_path / "trace.py"
    trace.write_text(
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
    mounts = Path("/proc/self/mountinfo").read_text()

    ran = subprocess.run(
        (sys.executable, trace), cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    assert Path("/proc/self/mountinfo").read_text() == mounts
    plan = json.loads((tmp_path / "out" / "manifest.json").read_text())["plan"]
    commands = {command[0] for step in plan["steps"] for command in step["commands"]}
    assert not commands & {"mount", "losetup", "sudo", "kpartx", "dmsetup", "qemu-nbd"}
