"""Processes that tests start, wait for and look for."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path


async def written_pid(path: Path) -> int:
    """Waits until a process has written its id to a file."""
    while not (pid := _read(path)):  # noqa: ASYNC110 - a file has no event to wait for
        await asyncio.sleep(0.01)
    return pid


def _read(path: Path) -> int:
    text = path.read_text().strip() if path.exists() else ""
    return int(text or 0)


def alive(pid: int) -> bool:
    """Whether a process still runs; one that is dead but not collected does not."""
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False


async def dies(pid: int, seconds: float = 120) -> bool:
    """Whether a process that was sent SIGKILL is gone before long: dying takes a moment."""
    deadline = asyncio.get_running_loop().time() + seconds
    while alive(pid):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def fake(folder: Path, tool: str, script: str) -> None:
    """Puts a tool in front of the real one, which still answers when asked for its version."""
    real = shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin")
    path = folder / tool
    path.write_text(
        f'#!/bin/sh\ncase "$1" in -V|--version|--help) exec {real} "$@";; esac\n{script}\n'
    )
    path.chmod(0o755)
