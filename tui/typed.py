"""Paths as people type them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def typed_path(base: Path, text: str) -> Path:
    """Returns what a text names: `~` is somebody's home, relative paths count from `base`.

    The `~` of somebody nobody knows is a name as any other.
    """
    path = Path(text)
    with suppress(RuntimeError):
        path = path.expanduser()
    return base / path
