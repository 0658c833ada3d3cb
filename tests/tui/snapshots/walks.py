"""The walks through the wizard whose pages are recorded: three sizes in three themes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from screenshots.make import LOOKS
from screenshots.scenes import make_app, picture, tour
from screenshots.waiting import PATIENCE, quiet
from tests.engine.filesystems.btrfs.record import RECORDINGS as BTRFS
from tests.engine.filesystems.xfs.record import RECORDINGS as XFS
from tests.tui.snapshots.page import Look, seen
from tui.screens.image import FileTree, ImageScreen
from tui.theme import DARK, LIGHT

PAGES = Path(__file__).parent / "pages"
SIZES = ((120, 36), (80, 24), (60, 20))
THEMES = {"dark": DARK.name, "light": LIGHT.name, "ansi": "ansi-dark"}

RECORDED = (("image-xfs", XFS, "newer"), ("image-btrfs", BTRFS, "other"))
"""Pages of images that no build of ours makes: name, recordings, which of them; no pictures."""
_RECORDED = {scene for scene, *_ in RECORDED}


class Walk(NamedTuple):
    """One walk: a size and a theme, whole."""

    size: tuple[int, int]
    theme: str

    def file(self, scene: str) -> Path:
        """Returns where a page is recorded; the themes of one size share a file."""
        return PAGES / f"{scene}-{self.size[0]}x{self.size[1]}.txt"

    def pictures(self, scene: str) -> tuple[str, ...]:
        """Returns the names of the documentation's pictures that this walk comes by."""
        return tuple(
            f"{scene}{look.suffix}.svg"
            for look in LOOKS
            if (look.size, look.theme, look.ascii_only) == (self.size, THEMES[self.theme], False)
            and scene not in _RECORDED
            and (not look.scenes or scene in look.scenes)
        )


WALKS = tuple(Walk(size, theme) for size in SIZES for theme in THEMES)


async def walk(one: Walk, folder: Path) -> AsyncIterator[tuple[str, Look, dict[str, str]]]:
    """Yields every page's name, its look, and the documentation's pictures (SVG) of it, by name.

    `folder` holds what `screenshots.scenes.make_tree` makes, and is the current folder.
    """
    app = make_app(folder, theme=THEMES[one.theme])
    async with app.run_test(size=one.size) as pilot:
        async for scene in tour(app, pilot, folder):
            names = one.pictures(scene)
            yield scene, seen(app), dict.fromkeys(names, picture(app)) if names else {}
        for scene, recordings, name in RECORDED:
            screen = ImageScreen(recordings.unpacked(name, Path("images")), app.glyphs)
            await app.push_screen(screen)
            async with asyncio.timeout(PATIENCE):
                while not any(part.children for part in screen.query_one(FileTree).root.children):
                    await pilot.pause(0.02)
            await quiet(pilot)
            yield scene, seen(app), {}
            await pilot.press("escape")
