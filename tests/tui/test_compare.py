"""Two images side by side: every difference can be seen, however many there are."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.compare.diff import ByteRange, Comparison
from engine.compare.fields import Difference
from engine.compare.ranges import Reached
from tests.tui.conftest import PATIENCE, SIZES, MakeApp, eventually, shown
from tests.tui.images import made, take
from tui.differences import Differences, told_apart
from tui.screens.compare import CompareScreen
from tui.screens.start import StartScreen
from tui.widgets.labels import Plain
from tui.widgets.proportions import fitted
from tui.widgets.row_table import RowTable

HOSTILE = "[red]x[/]\n\x1b[31m\udcff"


async def test_two_images_side_by_side(make_app: MakeApp, home: Path) -> None:
    await made(home, "one", "efi")
    (home / "rootfs" / "etc" / "hostname").write_text("other\n")
    await made(home, "two", "efi")
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await take(app, pilot, "compare:", "made/one.img", "made/two.img")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen)
        assert app.screen.rows is not None
        places = [app.screen.rows.cells(row)[0] for row in range(len(app.screen.rows))]
        assert any("/etc/hostname" in place for place in places)
        text = shown(app)
        assert "They differ" in text
        assert "one.img" in text
        assert "two.img" in text
        table = app.screen.query_one(RowTable)
        assert table.row_count == len(places)
        await pilot.press("slash", *"hostname, size", "enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert 0 < table.row_count < len(places)
        assert app.focused is table
        await pilot.press("escape")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert table.row_count == len(places)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, StartScreen)


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_every_differing_range_can_be_gone_to(
    make_app: MakeApp, home: Path, size: tuple[int, int]
) -> None:
    count = 65_536
    ranges = tuple(
        ByteRange(at * 4096, at * 4096 + 1 + at % 9, HOSTILE, HOSTILE if at % 2 else "free")
        for at in range(count)
    )
    found = Comparison((Difference("path", HOSTILE, HOSTILE, ""),), ranges, 9, cut=3)
    app = make_app()
    async with app.run_test(size=size) as pilot:
        screen = CompareScreen(home / "a", home / "b", comparing=lambda _a, _b, _reached: found)
        await app.push_screen(screen)
        await app.workers.wait_for_complete()
        await pilot.pause()
        table = screen.query_one(RowTable)
        assert table.row_count == count + 3  # and two headings
        assert "[red]x[/]\\x0a\\x1b" in shown(app) or size[0] < 60
        await pilot.press("end")
        assert table.cursor == count + 2
        await pilot.pause()
        assert f"{(count - 1) * 4096:,}" in shown(app)
        await pilot.press("pageup", "up", "home")
        assert table.cursor == 1
        await pilot.press("slash", *"free", "enter")
        await app.workers.wait_for_complete()
        assert table.row_count == count // 2 + 1
        assert screen.rows is not None
        heading, *kept = screen.rows.having("free")[:100]
        assert screen.rows.is_heading(heading)
        assert all("free" in screen.rows.cells(row) for row in kept)
        await pilot.press("escape", "f")
        await app.workers.wait_for_complete()
        assert table.row_count == 2  # the heading and the only file
        await pilot.press("f")
        await app.workers.wait_for_complete()
        assert table.row_count == count + 3


async def test_what_a_log_may_hold_back_is_told(make_app: MakeApp, home: Path) -> None:
    note = "a.img, disk: its log has not been replayed; files may be older than what a mount shows"

    def noted(_a: Path, _b: Path, _reached: Reached) -> Comparison:
        return Comparison((), (), 0, notes=(note,))

    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = CompareScreen(home / "a", home / "b", comparing=noted)
        await app.push_screen(screen)
        told = "its log has not been replayed; files may be older"
        await eventually(pilot, lambda: told in " ".join(shown(app).split()))
        assert "Identical" in shown(app)


async def test_leaving_ends_the_comparison(make_app: MakeApp, home: Path) -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless(_a: Path, _b: Path, reached: Reached) -> Comparison:
        begun.set()
        try:
            while True:
                reached(1, 2)
                time.sleep(0.01)
        finally:
            ended.set()

    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(CompareScreen(home / "a", home / "b", comparing=endless))
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, StartScreen)
        assert await asyncio.to_thread(ended.wait, PATIENCE)


def test_differences_stand_under_headings_files_first() -> None:
    fields = (
        Difference("superblock", "partition 2, superblock, inodes", "1234567", "89", counts=True),
        Difference("table", "table, disk GUID", "A", "B"),
        Difference("path", "partition 2, /init, mode", "4755", "0755"),
    )
    rows = Differences(Comparison(fields, (ByteRange(0, 1, "a", "b"),), 1), ("one", "two"))
    assert [rows.cells(row)[0] for row in range(len(rows)) if rows.is_heading(row)] == [
        "Files: 1",
        "Table and partitions: 1",
        "Bookkeeping of file systems: 1",
        "Raw bytes: 1",
    ]
    assert rows.cells(1) == ("partition 2, /init, mode", "4755", "0755")
    assert rows.cells(5)[1:] == ("1,234,567", "89")


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("/out/a.img", "/out/b.img", ("a.img", "b.img")),
        ("/out/1/a.img", "/out/2/a.img", ("1/a.img", "2/a.img")),
        ("a.img", "b/a.img", ("a.img", "b/a.img")),
        ("a.img", "a.img", ("a.img", "a.img")),
    ],
)
def test_images_of_one_name_are_told_apart(first: str, second: str, names: tuple[str, str]) -> None:
    assert told_apart(Path(first), Path(second)) == names


@given(st.lists(st.integers(0, 300), min_size=1, max_size=5), st.integers(-5, 400))
def test_columns_never_take_more_than_there_is(wanted: list[int], room: int) -> None:
    got = fitted(wanted, room)
    assert sum(got) <= max(room, 0)
    assert all(cells <= wish for cells, wish in zip(got, wanted, strict=True))
    if sum(wanted) <= room:
        assert got == wanted


async def test_an_image_that_is_not_there_is_named(make_app: MakeApp, home: Path) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await app.push_screen(CompareScreen(home / "a.img", home / "b.img"))
        await app.workers.wait_for_complete()
        await pilot.pause()
        text = str(app.screen.query_one("#compare-verdict", Plain).render())
        assert text.endswith("a.img: No such file or directory")
