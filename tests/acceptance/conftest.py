"""A folder with contents and a spec, and the command as its users start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import ROOT, command


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.stdout)
        return answer


@dataclass(frozen=True)
class Desk:
    """A working folder and the command in it."""

    folder: Path

    def run(self, *argv: str | Path, **environment: str) -> Ran:
        """Runs the command; where the environment is part of the test, Python starts in it too."""
        whole = (sys.executable, "-P", "-m", "engine.cli")
        ended = subprocess.run(
            (*(whole if environment else command()), *argv),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in ended.stderr
        assert "internal error" not in ended.stderr
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def spec(self, text: str) -> Path:
        """Writes a spec of small sizes; `text` is added to it."""
        path = self.folder / "demo.toml"
        path.write_text(f'schema = 1\nname = "demo"\n{text}')
        return path

    def small(self, text: str = "") -> Path:
        """Writes a spec that builds fast, with the tree as its contents."""
        sizes = '[size]\nadditional = "4MiB"\nboot = "33MiB"\n'
        return self.spec(f'{sizes}[[contents]]\nsource = "tree"\ntarget = "/"\n{text}')

    def plan(self, spec: Path, *sets: str, contents: str = "") -> dict[str, Any]:
        """Returns what `plan --json` prints for a spec without errors."""
        words = [word for text in sets for word in ("--set", text)]
        more = ("--contents", contents) if contents else ()
        ran = self.run("plan", spec, "--json", *words, *more)
        assert ran.code == 0, ran.stderr + ran.stdout[-2000:]
        return ran.json

    def files(self) -> dict[str, bytes]:
        """Returns every file of the folder with its bytes."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    etc = tmp_path / "tree" / "etc"
    etc.mkdir(parents=True)
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\nalice:x:1000:100::/:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\nusers:x:100:\n")
    (etc / "motd").write_text("hello\n")
    (etc / "issue").symlink_to("motd")
    (etc / "same").hardlink_to(etc / "motd")
    (tmp_path / "tree" / ".profile").write_text("umask 022\n")
    return Desk(tmp_path)
