"""Builds specs as an ordinary user: `python -m tests.rootless.builder FOLDER SPEC [OVERRIDES]...`.

The folder becomes the user's. Each further argument is one build: its overrides, separated by
blanks. Prints a line of JSON for each, and fails where the user could mount or use a loop device.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from engine.cli.main import main as command
from tests.support.ordinary import become_ordinary

TOOLS_OF_ROOT = ("mount", "umount", "losetup", "kpartx", "partprobe", "sudo", "su", "guestmount")


def forbid(folder: Path) -> Path:
    """Puts tools that an ordinary user has no use of in front of PATH; returns where they tell."""
    called = folder / "called"
    fakes = folder / "fakes"
    fakes.mkdir()
    for tool in TOOLS_OF_ROOT:
        (fakes / tool).write_text(f'#!/bin/sh\necho "{tool} $*" >> "{called}"\nexit 99\n')
        (fakes / tool).chmod(0o755)
    os.environ["PATH"] = f"{fakes}:{os.environ['PATH']}"
    return called


def main(folder: Path, spec: str, builds: list[str]) -> None:
    """Builds, one after the other."""
    called = forbid(folder)
    become_ordinary(folder)
    assert not os.access("/dev/loop-control", os.R_OK | os.W_OK)
    for number, overrides in enumerate(builds):
        out = folder / f"out-{number}"
        arguments = [word for override in overrides.split() for word in ("--set", override)]
        code = command(["build", spec, "-o", str(out), "--quiet", *arguments])
        sys.stdout.write(json.dumps({"code": code, "out": str(out)}) + "\n")
    assert not called.exists(), called.read_text()
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
