"""A place that runs full soon."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def in_small_tmpfs(folder: Path, kib: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with a folder on a tmpfs of that size; skips where that is not allowed."""
    folder.mkdir()
    mount = f"mount -t tmpfs -o size={kib}K tmpfs {folder} || exit 77"
    ran = subprocess.run(
        ("unshare", "-rm", "sh", "-c", f'{mount}; exec "$@"', "sh", *command),
        capture_output=True,
        text=True,
    )
    if ran.returncode == 77 or ran.stderr.startswith("unshare"):
        pytest.skip("mounting needs user namespaces")
    return ran
