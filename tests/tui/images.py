"""Images for the tests of the wizard, and the way to a page that shows them."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import OptionList

from engine.pipeline.build import build
from engine.plan.model import Plan
from engine.planning import plan_spec
from engine.spec.model import Content, ImageSpec, Layout, Size
from tests.tui.conftest import eventually, type_text
from tui.app import DiskwrightApp
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
    plan = plan_spec(spec, base=home, outdir=home / "made", force=True)
    assert not [p for p in plan.problems if p.severity == "error"]
    await build(plan, lambda _event: None, outdir=home / "made", force=True)
    return plan


async def take(app: DiskwrightApp, pilot: Pilot[int], offer: str, *answers: str) -> None:
    """Takes an offer of the start page, answers its questions, and waits for the page."""
    await pilot.pause()
    assert isinstance(app.screen, StartScreen)
    offers = app.screen.query_one(OptionList)
    offers.highlighted = offers.get_option_index(offer)
    await pilot.press("enter")
    for answer in answers:
        await pilot.pause()
        await type_text(pilot, answer)
        await pilot.press("enter")
    await eventually(pilot, lambda: isinstance(app.screen, (ImageScreen, CompareScreen)))
    if isinstance(app.screen, ImageScreen):
        await read(pilot, app.screen)


async def read(pilot: Pilot[int], screen: ImageScreen) -> None:
    """Waits until an image was read, or could not be."""
    await eventually(pilot, lambda: screen.summary or screen.has_class("-unread"))
    await pilot.pause()
    await pilot.pause()
