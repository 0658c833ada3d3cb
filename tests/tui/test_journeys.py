"""What a person does with the wizard, from key press to file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from engine.spec.model import Boot, Content, Hooks, ImageSpec, Layout, Size
from engine.units import GIB
from tests.tui.conftest import MakeApp, eventually, settled, shown, type_text
from tui.screens.build import BuildScreen
from tui.screens.dialogs import AskScreen, ConfirmScreen
from tui.screens.entry import EntryScreen
from tui.screens.problems import ProblemsScreen
from tui.screens.start import StartScreen
from tui.session import Session
from tui.widgets.partition_map import PartitionMap
from tui.widgets.partition_table import PartitionTable

BOTH = pytest.mark.parametrize(
    "size",
    [(80, 24), pytest.param((120, 40), marks=pytest.mark.slow)],
    ids=["normal", "wide"],
)
PLAIN = ImageSpec(layout=Layout(table="efi"), boot=Boot(loader="none"))


@BOTH
async def test_first_image_in_twenty_keys(
    make_app: MakeApp, home: Path, size: tuple[int, int]
) -> None:
    """Start, bare file system, a folder as contents, build: at most 20 key presses."""
    app = make_app()
    presses = 0
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert isinstance(app.screen, StartScreen)

        async def press(*keys: str) -> None:
            nonlocal presses
            presses += len(keys)
            await pilot.press(*keys)
            await pilot.pause()

        await press("down", "down", "down", "enter")  # bare file system
        await settled(pilot)
        await press("alt+4", "a")
        assert isinstance(app.screen, EntryScreen)
        await press("r", "right", "enter")  # completed to rootfs/
        screen = await settled(pilot)
        assert screen.spec.contents == (Content(source="rootfs/", target="/"),)
        assert screen.preview.plan is not None
        assert screen.preview.plan.counts.files == 3
        await press("f5")
        assert screen.step == "review"
        await press("f5")
        await eventually(
            pilot, lambda: isinstance(app.screen, BuildScreen) and app.screen.status != "running"
        )
        assert isinstance(app.screen, BuildScreen)
        assert app.screen.status == "ok"
    assert presses <= 20
    assert (home / "out" / "root.img").stat().st_size == screen.preview.plan.disk.bytes


@BOTH
async def test_fix_a_problem_by_its_key(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(PLAIN)
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("f6", "down", "space")
        await pilot.pause()
        disk = screen.query_one("#field-size-disk Input", Input)
        disk.focus()
        await pilot.press("ctrl+u")
        await type_text(pilot, "1M")
        await pilot.press("tab")
        await settled(pilot)
        problem = screen.preview.problem_at("size.disk")
        assert problem is not None
        assert problem.severity == "error"
        assert problem.fix is not None
        assert "Error" in shown(app)
        assert screen.preview.stale
        await pilot.press("f9")
        await settled(pilot)
        assert screen.preview.errors == ()
        assert screen.preview.plan is not None
        assert not screen.preview.stale
        fixed = screen.spec.size.disk
        assert fixed == dict(problem.fix.edits)["size.disk"]
        assert disk.value == str(fixed)
        await pilot.press("ctrl+z")
        await settled(pilot)
        assert screen.spec.size.disk == "1M"


async def test_problems_panel_jumps_and_fixes(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi"), size=Size(disk="2M")))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("f8")
        assert isinstance(app.screen, ProblemsScreen)
        await pilot.press("enter")
        await pilot.pause()
        await pilot.pause()
        assert screen.step == "size"
        assert screen._focused_path() == "size.disk"
        await pilot.press("f8", "f")
        await settled(pilot)
        assert screen.preview.errors == ()


@BOTH
async def test_edit_contents_and_undo_all(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(PLAIN)
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+4", "a")
        await type_text(pilot, "rootfs/etc/")
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("a")
        await type_text(pilot, "rootfs/boot/")
        app.screen.query_one("#entry-target").focus()
        await type_text(pilot, "/boot")
        await pilot.press("enter")
        await settled(pilot)
        first, second = screen.spec.contents
        assert (first.source, first.target) == ("rootfs/etc/", "/")
        assert (second.source, second.target) == ("rootfs/boot/", "/boot")
        assert screen.preview.counts[1].bytes == 8000
        table = screen.query_one("#entries")
        table.focus()
        await pilot.press("down", "k")
        await settled(pilot)
        assert screen.spec.contents == (second, first)
        await pilot.press("d")
        await settled(pilot)
        assert len(screen.spec.contents) == 3
        await pilot.press("x")
        await settled(pilot)
        assert len(screen.spec.contents) == 2
        await pilot.press("e")
        await eventually(pilot, lambda: isinstance(app.screen, EntryScreen))
        await pilot.press("tab", "tab")
        await type_text(pilot, "644")
        await pilot.press("enter")
        await settled(pilot)
        assert "644" in {entry.mode for entry in screen.spec.contents}
        for _ in range(6):
            await pilot.press("ctrl+z")
        await settled(pilot)
        assert screen.spec == PLAIN
        for _ in range(6):
            await pilot.press("ctrl+y")
        await settled(pilot)
        assert "644" in {entry.mode for entry in screen.spec.contents}


async def test_what_is_large(make_app: MakeApp) -> None:
    spec = ImageSpec(contents=(Content(source="rootfs/", target="/"),))
    app = make_app(spec)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("alt+4", "u")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "8,004 bytes" in shown(app)
        await pilot.press("enter")
        assert "/boot" in shown(app)
        assert shown(app).index("vmlinuz-6.1") < shown(app).index("initrd.img-6.1")
        await pilot.press("left")
        assert "8,004 bytes" in shown(app)


@BOTH
async def test_size_echoes_the_exact_value(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(PLAIN)
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("f6", "down", "space", "tab")
        await type_text(pilot, "1.5GiB")
        await settled(pilot)
        assert screen.preview.settings is not None
        assert screen.preview.settings.size.disk == 3 * GIB // 2
        assert "1,610,612,736 bytes" in shown(app)
        assert screen.design.history.undoable == "Disk size"
        await pilot.press("ctrl+z")
        await settled(pilot)
        # All that was typed in the field is one step; the one before was the choice of a size.
        assert isinstance(screen.spec.size.disk, str)
        await pilot.press("ctrl+z")
        await settled(pilot)
        assert screen.spec == PLAIN


async def test_bad_text_stays_where_it_was_typed(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(size=Size(disk="4GiB")))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("f6", "tab")
        field = screen.query_one("#field-size-disk Input", Input)
        assert app.focused is field
        await type_text(pilot, "many")
        await pilot.pause()
        assert "Error" not in shown(app).split("Disk size")[1].split("Boot size")[0]
        await pilot.press("tab")
        await pilot.pause()
        assert field.value == "many"
        assert "Error" in shown(app)
        assert screen.preview.why_not_buildable()
        assert screen.spec.size.disk == "4GiB"


async def test_fixed_size_fills_and_the_change_is_told(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi"), size=Size(disk="1GiB")))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("f6", "tab")
        await type_text(pilot, "2GiB")
        await settled(pilot)
        changes = {change.what: change.delta for change in screen.preview.changes}
        assert changes["disk"] == GIB
        assert changes["root"] == GIB
        assert "root +1.0 GiB" in shown(app)


async def test_map_and_table_are_one_selection(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="hybrid")))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("f4", "home")
        await pilot.pause()
        table = screen.query_one("#table-widget", PartitionTable)
        assert table.selected == 0
        await pilot.press("right")
        await pilot.pause()
        assert table.selected == 1
        await pilot.click("#map", offset=(1, 1))
        await pilot.pause()
        assert table.selected == 0
        table.focus()
        await pilot.press("down", "down")
        await pilot.pause()
        assert screen.query_one(PartitionMap).selected == 2


async def test_save_writes_the_spec_as_shown(make_app: MakeApp, home: Path) -> None:
    app = make_app(PLAIN)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("down", "space")
        await settled(pilot)
        assert not screen.document.is_saved(screen.spec)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert isinstance(app.screen, AskScreen)
        await pilot.press("enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert screen.document.is_saved(screen.spec)
        assert app.config.recent == [str(home / "disk.toml")]
    values = tomllib.loads((home / "disk.toml").read_text())
    assert values["layout"]["table"] == "hybrid"


async def test_quit_asks_and_escape_stays(make_app: MakeApp) -> None:
    app = make_app(PLAIN)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "space")
        await settled(pilot)
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, ConfirmScreen)
        await pilot.press("ctrl+q")
        await pilot.pause()
        await pilot.press("tab", "tab", "enter")
        await pilot.pause()
    assert app.return_code == 0


async def test_resume_after_a_crash(make_app: MakeApp, home: Path) -> None:
    gone = 2**22 + 1  # beyond the largest process id of Linux
    session = Session(home / "state", pid=gone)
    spec = ImageSpec(layout=Layout(table="legacy"), size=Size(disk="3GiB"))
    app = make_app(PLAIN)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        assert session.keep(screen.document, spec, "size", "out")
    again = make_app()
    async with again.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "Resume test" in shown(again)
        await pilot.press("enter")
        screen = await settled(pilot)
        assert screen.spec == spec
        assert screen.step == "size"
        assert not session.file.exists()
        assert session.file.with_suffix(".json.replayed").exists()
        assert not screen.document.is_saved(screen.spec)


async def test_a_broken_spec_is_told_in_full(make_app: MakeApp, home: Path) -> None:
    (home / "broken.toml").write_text("schema = 1\nlayuot = 3\n[size]\ndisk = [1]\n")
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        offers = app.screen.query_one(OptionList)
        offers.highlighted = offers.get_option_index("open:")
        await pilot.press("enter")
        await type_text(pilot, "broken.toml")
        await pilot.press("enter")
        await pilot.pause()
        text = shown(app)
        assert "layuot" in text
        assert "size.disk" in text.replace("\n", "")
        assert isinstance(app.screen, StartScreen)


async def test_cancelled_build_leaves_nothing(make_app: MakeApp, home: Path) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi"), hooks=Hooks(after_build="sleep 60")))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("f5", "f5")
        await eventually(
            pilot, lambda: isinstance(app.screen, BuildScreen) and "hook" in shown(app)
        )
        screen = app.screen
        assert isinstance(screen, BuildScreen)
        app.builds.cancel()
        await eventually(pilot, lambda: screen.status != "running")
        assert screen.status == "cancelled"
    left = {path.name for path in (home / "out").iterdir()}
    assert left <= {"build.jsonl"}
