"""Images that are there already: the same figures as their plan, their files, their differences."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, OptionList

from engine.inspect.image import open_image
from engine.pipeline.build import build
from engine.plan.model import Plan
from engine.spec.model import Content, ImageSpec, Layout, Size
from tests.tui.conftest import MakeApp, settled, shown, type_text
from tui.app import DiskwrightApp
from tui.opened import look
from tui.planner import Planner
from tui.screens.compare import CompareScreen
from tui.screens.image import ImageScreen
from tui.screens.start import StartScreen

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
        rows = {where: (here, there) for where, here, there in app.screen.rows}
        assert any("/etc/hostname" in where for where in rows)
        assert "They differ" in shown(app)
        table = app.screen.query_one(DataTable)
        assert table.row_count == len(app.screen.rows)
        assert table.virtual_size.width <= table.size.width
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, StartScreen)
