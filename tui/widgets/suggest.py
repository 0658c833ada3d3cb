"""Path completion: what of a folder begins as typed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from textual.suggester import Suggester

from tui.typed import typed_path


class PathSuggester(Suggester):
    """Suggests names of existing files; relative paths count from the spec's folder."""

    def __init__(self, base: Path) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.base = base

    async def get_suggestion(self, value: str) -> str | None:
        """Returns the first name that completes `value`, a folder with its slash."""
        if not value:
            return None
        return await asyncio.to_thread(complete, value, self.base)


def complete(value: str, base: Path) -> str | None:
    """Returns the completion of a path, or None where there is none or it cannot be read."""
    folder, _, prefix = value.rpartition("/")
    place = typed_path(base, f"{folder}/" if folder or value.startswith("/") else ".")
    try:
        with os.scandir(place) as found:
            names = sorted(
                entry.name + ("/" if entry.is_dir() else "")
                for entry in found
                if entry.name.startswith(prefix) and (prefix or not entry.name.startswith("."))
            )
    except (OSError, ValueError):
        return None
    if not names or not names[0].isprintable():
        return None
    return value[: len(value) - len(prefix)] + names[0]
