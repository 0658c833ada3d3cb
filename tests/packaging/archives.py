"""Builds the wheel and the source archive of this tree, without network."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).parents[2]
EPOCH = "1735689600"


def setup_module() -> ModuleType:
    """Returns setup.py as a module."""
    spec = importlib.util.spec_from_file_location("diskwright_setup", PROJECT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copy_tree(target: Path) -> Path:
    """Copies what belongs to the project, and nothing that lies beside it."""
    for name in setup_module().sources(PROJECT):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, target / name, follow_symlinks=False)
    return target


def build(kind: str, source: Path, target: Path, *, umask: int = 0o022) -> Path:
    """Builds a `wheel` or `sdist` of a folder as a front end does.

    Returns:
        The archive, in `target`.
    """
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(target)!r}))"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code],
        cwd=source, env=environment, umask=umask, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return target / done.stdout.splitlines()[-1]
