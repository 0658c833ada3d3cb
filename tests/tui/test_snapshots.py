"""Every page at three sizes in three themes reads and looks as it was recorded.

`.venv/bin/python -m tests.tui.snapshots` records them anew. The pictures of the documentation are
taken on the same walks: they prove that what has these styles is drawn in these colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from screenshots.make import drifted
from screenshots.scenes import make_tree
from tests.tui.snapshots.drift import drift
from tests.tui.snapshots.page import NOTHING, Look, read, written
from tests.tui.snapshots.walks import PAGES, THEMES, WALKS, Walk, walk


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _walks() -> Iterator[ParameterSet]:
    """Each size and each theme once is quick; a theme does not ask how large the terminal is."""
    for one in WALKS:
        quick = one.theme == "dark" or one.size == (80, 24)
        name = f"{one.size[0]}x{one.size[1]}-{one.theme}"
        yield pytest.param(one, id=name, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize("one", list(_walks()))
async def test_every_page_looks_as_it_did(sources: Path, one: Walk) -> None:
    reports, pictures, files = [], dict[str, str](), set()
    async for scene, look, taken in walk(one, sources):
        file = one.file(scene)
        files.add(file)
        recorded = read(file.read_text(encoding="utf-8")) if file.exists() else {}
        if report := drift(recorded.get(one.theme, NOTHING), look):
            reports.append(f"{file.name}, {one.theme}:\n{report}")
        pictures |= taken
    if reports:
        command = "if this is right, python -m tests.tui.snapshots records it"
        pytest.fail("\n\n".join([*reports, command]), pytrace=False)
    assert files == set(PAGES.glob(one.file("*").name)), "pages no walk comes by"
    assert not drifted(pictures), "take them anew: python -m screenshots.make"


@pytest.mark.parametrize("file", sorted(PAGES.iterdir()), ids=lambda file: file.stem)
def test_a_recorded_page_is_whole(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    page = read(text)
    assert written(page) == text
    assert list(page) == list(THEMES)


def test_what_drifts_is_shown_side_by_side() -> None:
    before = Look(("one", "two", "three", "four"), "a/b", ("", "0-2 c", "0-3 c", ""))
    after = Look(("one", "2", "three", "four"), "a/b", ("", "0 c", "0-3 c bold", ""))

    assert drift(before, before) == ""
    assert drift(before, after).splitlines() == [
        "     expected │ seen",
        "   1 one      │ one",
        "≠  2 two      ≠ 2",
        "   3 three    │ three",
        "style of row 3: three",
        "  expected 0-3 c",
        "      seen 0-3 c bold",
    ]
    assert "≠  1          ≠ one" in drift(NOTHING, before)
