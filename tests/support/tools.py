"""Tools as tests run them: in the environment that builds run theirs in."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import pytest

from engine.tools import environment
from engine.tools.environment import tool_environment

MKE2FS_CONFIG = Path(__file__).with_name("mke2fs.conf")
"""What a plain mke2fs goes by: what it leaves open must not depend on the machine."""

EPOCH = 1_700_000_000
"""Seconds since 1970 that tools take for now."""


def run_tool(
    argv: Sequence[str | PathLike[str]],
    *,
    epoch: int = EPOCH,
    env: Mapping[str, str] | None = None,
    **options: Any,  # noqa: ANN401 - what subprocess.run takes
) -> subprocess.CompletedProcess[Any]:
    """Runs a tool as a build does, but with `MKE2FS_CONFIG`; see `subprocess.run`.

    Args:
        argv: The command.
        epoch: What it takes for now, as `identity.source_date_epoch`.
        env: More variables.
        options: Of `subprocess.run`.
    """
    ours = {"MKE2FS_CONFIG": str(MKE2FS_CONFIG), **(env or {})}
    return subprocess.run(argv, env=tool_environment(epoch) | ours, **options)


def hide_tools(monkeypatch: pytest.MonkeyPatch, path: Path | str = "/nowhere") -> None:
    """Has this machine lack every tool but those in the folder `path`."""
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setattr(environment, "_SYSTEM_FOLDERS", ())
