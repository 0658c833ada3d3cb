"""Every page at three sizes in three themes, as pictures that must not drift.

`DISKWRIGHT_UPDATE_SNAPSHOTS=1 pytest tests/tui/test_snapshots.py` writes them anew; look at what
changed before keeping it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from screenshots.scenes import make_app, make_tree, picture, tour
from tui.theme import DARK, LIGHT

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = bool(os.environ.get("DISKWRIGHT_UPDATE_SNAPSHOTS"))
SIZES = [(120, 40), (80, 24), (60, 20)]
THEMES = {"dark": DARK.name, "light": LIGHT.name, "ansi": "ansi-dark"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("design")
    make_tree(folder)
    return folder


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_page_looks_as_it_did(
    sources: Path, monkeypatch: pytest.MonkeyPatch, theme: str, size: tuple[int, int]
) -> None:
    monkeypatch.chdir(sources)
    app = make_app(sources, theme=THEMES[theme])
    drifted = []
    async with app.run_test(size=size) as pilot:
        async for scene in tour(app, pilot, sources):
            file = SNAPSHOTS / f"{scene}-{size[0]}x{size[1]}-{theme}.svg"
            svg = picture(app)
            if UPDATE:
                file.write_text(svg, encoding="utf-8")
            elif not file.exists() or file.read_text(encoding="utf-8") != svg:
                drifted.append(file.name)
    assert not drifted, "these pages look otherwise now"
