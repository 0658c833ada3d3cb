"""Images that are there already: the same figures as their plan, their files, their differences."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import OptionList

from engine.compare.diff import ByteRange, Comparison
from engine.compare.fields import Difference
from engine.compare.ranges import Reached
from engine.inspect.image import open_image
from engine.pipeline.build import build
from engine.plan.model import Plan
from engine.spec.model import Content, ImageSpec, Layout, Size
from tests.tui.conftest import SIZES, MakeApp, settled, shown, type_text
from tui.app import DiskwrightApp
from tui.differences import told_apart
from tui.opened import look
from tui.planner import Planner
from tui.screens.compare import CompareScreen
from tui.screens.image import ImageScreen
from tui.screens.start import StartScreen
from tui.widgets.proportions import fitted
from tui.widgets.row_table import RowTable

SMALL = Size(additional="4MiB", boot="34MiB")


async def made(home: Path, name: str, table: str) -> Plan:
    """Builds an image of the folder `rootfs` below `home`/made; returns its plan."""
    spec = ImageSpec(
        name=name,
        layout=Layout(table=table, label="lab"),
        size=SMALL,
        contents=(Content(source="rootfs/", target="/"),),
    )
    planner = Planner(home, {})
    resolved = planner.resolve(spec)
    found = planner.scan(resolved.settings, lambda _entries, _bytes: None, lambda: False)
    plan = planner.plan(resolved, found, home / "made")
    assert not [p for p in plan.problems if p.severity == "error"]
    await build(plan, lambda _event: None, outdir=home / "made", force=True)
    return plan


@pytest.mark.parametrize("table", ["none", "legacy", "legacy+gpt", "efi", "hybrid"])
async def test_an_image_is_seen_as_it_was_planned(home: Path, table: str) -> None:
    plan = await made(home, "seen", table)
    image = open_image(home / "made" / "seen.img")
    try:
        opened = look(image)
    finally:
        image.disk.close()
    assert opened.plan.disk == plan.disk
    seen = [(p.number, p.start, p.sectors, p.guid) for p in opened.plan.partitions]
    assert seen == [(p.number, p.start, p.sectors, p.guid) for p in plan.partitions]
    assert opened.plan.root.free_bytes == plan.root.free_bytes
    assert sum(share.bytes for share in opened.plan.breakdown) == plan.disk.bytes
    again = Planner(home, {})
    resolved = again.resolve(opened.spec)
    assert resolved.problems == ()
    assert resolved.settings.table == table
    found = again.scan(resolved.settings, lambda _entries, _bytes: None, lambda: False)
    like = again.plan(resolved, found, home / "made")
    assert [(p.start, p.sectors) for p in like.partitions] == [
        (p.start, p.sectors) for p in plan.partitions
    ]


def flat(app: DiskwrightApp) -> str:
    """Returns what the screen shows without spaces: where lines wrap depends on paths."""
    return "".join(shown(app).split())


async def take(
    app: DiskwrightApp, pilot: Pilot[int], offer: str, *answers: str, until: str = ""
) -> None:
    """Takes an offer of the start page, answers its questions, and waits for a page or a text."""
    await pilot.pause()
    assert isinstance(app.screen, StartScreen)
    offers = app.screen.query_one(OptionList)
    offers.highlighted = offers.get_option_index(offer)
    await pilot.press("enter")
    for answer in answers:
        await pilot.pause()
        await type_text(pilot, answer)
        await pilot.press("enter")
    for _ in range(1500):
        await pilot.pause(0.02)
        if isinstance(app.screen, (ImageScreen, CompareScreen)) or (until and until in flat(app)):
            break
    await pilot.pause()


async def test_an_image_is_browsed_and_becomes_a_spec(make_app: MakeApp, home: Path) -> None:
    await made(home, "one", "efi")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await take(app, pilot, "image:", "made/one.img")
        assert isinstance(app.screen, ImageScreen)
        assert "No boot loader was found" in shown(app)
        await pilot.press("down", "enter")
        await pilot.pause(0.2)
        text = shown(app)
        assert "etc/" in text
        assert "lost+found/" in text
        await pilot.press("s")
        screen = await settled(pilot)
        assert screen.spec.layout.table == "efi"
        assert screen.spec.layout.label == "lab"


async def test_what_is_no_image_is_told(make_app: MakeApp, home: Path) -> None:
    (home / "odd").write_bytes(b"QFI\xfb" + b"\xff" * 600)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await take(app, pilot, "image:", "odd", until="oddcannotbeopened")
        assert "oddcannotbeopened" in flat(app)
        await take(app, pilot, "image:", "gone", until="gone'")
        assert "gone'" in flat(app)  # the system's own words end in the path, in quotes


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


HOSTILE = "[red]x[/]\n\x1b[31m\udcff"


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
        assert table.row_count == count + 1
        assert "[red]x[/]\\x0a\\x1b" in shown(app) or size[0] < 60
        await pilot.press("end")
        assert table.cursor == count
        await pilot.pause()
        assert f"{(count - 1) * 4096:,}" in shown(app)
        await pilot.press("pageup", "up", "home")
        assert table.cursor == 0
        await pilot.press("slash", *"free", "enter")
        await app.workers.wait_for_complete()
        assert table.row_count == count // 2
        assert screen.rows is not None
        assert all("free" in screen.rows.cells(row) for row in screen.rows.having("free")[:100])


async def test_leaving_ends_the_comparison(make_app: MakeApp, home: Path) -> None:
    ended = threading.Event()

    def endless(_a: Path, _b: Path, reached: Reached) -> Comparison:
        try:
            while True:
                reached(1, 2)
                time.sleep(0.01)
        finally:
            ended.set()

    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(CompareScreen(home / "a", home / "b", comparing=endless))
        await pilot.pause(0.1)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, StartScreen)
        assert await asyncio.to_thread(ended.wait, 20)


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
