"""Records the wizard's pages anew, and says what changed.

    .venv/bin/python -m tests.tui.snapshots           every page
    .venv/bin/python -m tests.tui.snapshots review    the pages whose name has this

Look at what it says, or at `git diff`, before keeping it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from screenshots.scenes import make_tree
from tests.tui.snapshots.drift import drift
from tests.tui.snapshots.page import NOTHING, Page, read, written
from tests.tui.snapshots.walks import PAGES, WALKS, walk


async def pages() -> dict[Path, Page]:
    """Returns every page in all themes, by the file it belongs in."""
    found: dict[Path, Page] = {}
    for one in WALKS:
        with tempfile.TemporaryDirectory() as name:
            make_tree(Path(name))
            os.chdir(name)
            async for scene, look, _ in walk(one, Path(name)):
                found.setdefault(one.file(scene), {})[one.theme] = look
            os.chdir(PAGES)
    return found


def record(wanted: str) -> None:
    """Writes the pages whose name has `wanted`; deletes those that no walk comes by."""
    PAGES.mkdir(exist_ok=True)
    found = asyncio.run(pages())
    for file in PAGES.iterdir():
        if file not in found and wanted in file.stem:
            file.unlink()
            print(f"{file.name}: deleted, no walk comes by it")
    for file, page in found.items():
        if wanted not in file.stem:
            continue
        before = read(file.read_text(encoding="utf-8")) if file.exists() else {}
        said = ""
        for theme, look in page.items():
            changes = drift(before.get(theme, NOTHING), look) if before else "  new"
            if changes not in {"", said}:
                print(f"{file.name}, {theme}:\n{changes}\n")
                said = changes
        file.write_text(written(page), encoding="utf-8")


record("".join(sys.argv[1:2]))
