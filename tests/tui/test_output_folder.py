"""The wizard and its output folder: what it lists, what it asks before it replaces."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from engine.cli.main import main
from engine.pipeline.build import build
from engine.planning import plan_spec
from engine.spec.model import Content, ImageSpec, Layout, Output, Size
from tests.support.folders import contents_of
from tests.tui.conftest import MakeApp, eventually, settled, type_text
from tui.app import DiskwrightApp
from tui.config import Config
from tui.screens.build import BuildScreen
from tui.screens.design import DesignScreen
from tui.screens.dialogs import ConfirmScreen
from tui.session import Session
from tui.widgets.labels import Plain

ROOMY = (160, 60)
BARE = ImageSpec(name="demo", layout=Layout(table="none"), size=Size(additional="4MiB"))
RECORDS = ("SHA256SUMS", "manifest.json", "build.jsonl")
NAMES = {
    **dict.fromkeys(
        ("demo.img", "demo.img.zst", "demo.img.bmap", *RECORDS),
        ImageSpec(
            name="demo", layout=Layout(table="none"), size=Size(additional="4MiB"),
            output=Output(compress="zst", bmap=True),
        ),
    ),
    "nixos.img": ImageSpec(compat="make-disk-image", size=Size(additional="4MiB")),
    "nix-support/hydra-build-products": ImageSpec(
        compat="make-disk-image", size=Size(additional="4MiB")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_that_is_not_ours_is_listed_and_asked_about(
    make_app: MakeApp, home: Path, name: str
) -> None:
    theirs = home / "out" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    before = contents_of(home / "out")
    app = make_app(NAMES[name])
    async with app.run_test(size=ROOMY) as pilot:
        screen = await settled(pilot)
        await pilot.press("f5")
        await pilot.pause()
        assert states(screen)[name] == "replaces a file that no build made: asked first"

        await pilot.press("f5")
        await until(pilot, ConfirmScreen)
        said = " ".join(str(plain.render()) for plain in app.screen.query(Plain))
        assert "already holds" in said
        assert "No build is known to have made" in said
        await pilot.press("escape")
        await pilot.pause()
        assert not app.builds.is_running
    assert contents_of(home / "out") == before


async def test_every_file_is_listed_and_a_failed_builds_record_needs_no_question(
    make_app: MakeApp, home: Path
) -> None:
    (home / "out").mkdir()
    (home / "out" / "build.jsonl").write_text('{"event":"build-started","time":0.0}\n')
    app = make_app(BARE)
    async with app.run_test(size=ROOMY) as pilot:
        screen = await settled(pilot)
        await pilot.press("f5")
        await pilot.pause()
        assert states(screen) == {
            **dict.fromkeys(("demo.img", *RECORDS), "new"),
            "build.jsonl": "replaces that of an earlier build",
        }

        await pilot.press("f5")
        await until(pilot, BuildScreen)
        await eventually(pilot, lambda: not app.builds.is_running)
    assert (home / "out" / "demo.img").exists()
    assert main(["verify", str(home / "out")]) == 0


async def test_what_an_update_takes_over_is_said_and_may_be_chosen(
    make_app: MakeApp, home: Path
) -> None:
    tree = home / "tree"
    tree.mkdir()
    for name in ("one", "two"):
        (tree / name).write_text(name)
    await asyncio.sleep(0.04)  # so that no file is recent
    contents = (Content(source=str(tree), target="/"),)
    spec = msgspec.structs.replace(BARE, contents=contents)
    plan = plan_spec(spec, base=home, outdir=home / "out")
    assert (await build(plan, lambda event: None, outdir=home / "out")).status == "ok"
    (tree / "two").write_text("TWO")
    app = make_app(spec)
    async with app.run_test(size=ROOMY) as pilot:
        await settled(pilot)
        await pilot.press("f5")
        await pilot.pause()
        await pilot.press("f5")
        await until(pilot, ConfirmScreen)
        said = " ".join(str(plain.render()) for plain in app.screen.query(Plain))
        assert "1 of 2 files are what the last build has read; 1 would be read again." in said
        await pilot.click("#answer-update")
        await until(pilot, BuildScreen)
        assert isinstance(app.screen, BuildScreen)
        screen = app.screen
        await eventually(pilot, lambda: screen.status == "ok")
        assert screen.build.state.steps["take-over"].status == "ok"
    assert main(["verify", str(home / "out")]) == 0


async def test_the_default_folder_is_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    app = DiskwrightApp(config=Config(home / "config.toml"), session=Session(home / "state"))

    assert app.outdir == home / "out"


async def test_the_folder_is_undone_and_marks_the_design_as_changed(
    make_app: MakeApp, home: Path
) -> None:
    app = make_app(BARE)
    async with app.run_test(size=ROOMY) as pilot:
        screen = await settled(pilot)
        assert screen.is_saved
        before = screen.outdir

        await screen.go_to("outdir")
        await pilot.pause()
        await pilot.press("end")
        await type_text(pilot, "put")
        await settled(pilot)
        assert screen.outdir == f"{before}put"
        assert not screen.is_saved

        await pilot.press("ctrl+z")
        await settled(pilot)
        assert screen.outdir == before
        assert screen.is_saved
        await pilot.press("ctrl+y")
        await settled(pilot)
        assert screen.outdir == f"{before}put"


@pytest.mark.parametrize("folder", ["/dev/sdx", "disk.img"])
async def test_a_folder_that_cannot_be_one_is_a_problem(make_app: MakeApp, folder: str) -> None:
    app = make_app(BARE)
    async with app.run_test(size=ROOMY) as pilot:
        screen = await settled(pilot)
        screen.outdir = folder
        await settled(pilot)

        (problem,) = screen.preview.errors
        assert problem.code in {"output-in-system", "output-named-like-image"}
        assert screen.preview.why_not_buildable()


def states(screen: DesignScreen) -> dict[str, str]:
    """Returns what Review says of each file that will be written."""
    folder, *lines = str(screen.query_one("#review-outputs", Plain).render()).splitlines()
    assert folder == f"in {screen.outdir}:"
    pairs = (line.strip().partition(" ") for line in lines)
    return {name: state.strip() for name, _, state in pairs}


async def until(pilot: Pilot[int], kind: type) -> None:
    """Waits until a screen of a kind stands, and what is on it."""
    await eventually(pilot, lambda: isinstance(pilot.app.screen, kind))
    await pilot.pause()
