"""The spec as it would be saved stands beside the form, or on a key; the last edit stands out."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.spec.model import ImageSpec, Layout, Size
from engine.spec.save import dumps
from tests.tui.conftest import MakeApp, resized, settled, shown
from tui.document import open_document
from tui.listing import listed
from tui.widgets.spec_view import SpecView

SPEC = ImageSpec(name="lab", layout=Layout(table="efi"), size=Size(additional="8MiB"))
LINES = st.lists(st.text("ab", max_size=2), max_size=8).map("\n".join)


@given(LINES, LINES)
def test_what_is_not_marked_was_there_before(text: str, before: str) -> None:
    found = listed(text, before)
    assert list(found.lines) == text.splitlines()
    kept = [line for at, line in enumerate(found.lines) if at not in found.new]
    there = iter(before.splitlines())
    assert all(any(line == other for other in there) for line in kept)
    changed = text.splitlines() != before.splitlines()
    assert bool(found.new or found.gone) == changed
    assert found.first is None or 0 <= found.first <= max(len(found.lines) - 1, 0)


def marked(view: SpecView) -> list[str]:
    """Returns the lines that the last edit wrote."""
    return [view.listing.lines[at] for at in sorted(view.listing.new)]


async def test_the_last_edit_stands_out_with_the_comments_of_the_file(
    make_app: MakeApp, home: Path
) -> None:
    path = home / "lab.toml"
    path.write_text("# A lab's disk\n" + dumps(SPEC))
    app = make_app(document=open_document(path))
    async with app.run_test(size=(170, 40)) as pilot:
        screen = await settled(pilot)
        view = screen.query_one(SpecView)
        assert view.display
        assert "# A lab's disk" in shown(app)
        assert marked(view) == []
        await pilot.press("a", "down", "enter", "ctrl+s")  # swap
        screen = await settled(pilot)
        assert "[[volume]]" in marked(view)
        assert 'size = "1GiB"' in marked(view)
        assert tomllib.loads("\n".join(view.listing.lines))["volume"] == [
            {"id": "swap", "size": "1GiB"}
        ]
        await pilot.press("ctrl+z")
        await settled(pilot)
        assert marked(view) == []
        assert view.listing.gone
        # Where there is no room beside the form, the key puts one in the other's place.
        await resized(pilot, 80, 24)
        assert not view.display
        await pilot.press("ctrl+l")
        await pilot.pause()
        assert view.display
        assert not screen.query_one("#form").display
        assert 'name = "lab"' in shown(app)
        await pilot.press("escape")
        await pilot.pause()
        assert not view.display
        assert screen.query_one("#form").display
