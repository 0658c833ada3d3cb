"""Traps that newcomers fell into: each test is one, with the input that showed it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Button, Input

from engine.planning import Sources
from engine.spec.model import Content, ImageSpec, Layout, Size
from tests.tui.conftest import PATIENCE, MakeApp, eventually, settled, shown, type_text
from tui import planner
from tui.app import DiskwrightApp
from tui.document import open_document
from tui.screens.build import BuildScreen
from tui.screens.design import DesignScreen
from tui.screens.dialogs import ConfirmScreen
from tui.screens.messages import BuildRequested
from tui.session import Session
from tui.widgets.labels import Plain
from tui.widgets.messages import SpecEdited
from tui.widgets.partition_table import PartitionTable


async def send(pilot: Pilot[int], data: str) -> None:
    """Feeds the bytes of a terminal: what a key press of the pilot leaves out, the character."""
    parser = XTermParser()
    found: Iterable[object] = [*parser.feed(data), *parser.feed("")]
    for event in found:
        if isinstance(event, Key):
            event.set_sender(pilot.app)
            assert pilot.app._driver is not None
            pilot.app._driver.send_message(event)
            await pilot.pause()


# ---- Alt with a digit, and digits alone


async def test_alt_and_a_digit_in_a_text_field_goes_to_the_step(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(size=Size(disk="67MiB")))
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+2", "tab")
        field = screen.query_one("#field-size-disk Input", Input)
        assert app.focused is field
        await send(pilot, "\x1b1")
        await eventually(pilot, lambda: screen.step == "layout")
        await send(pilot, "\x1b4")
        await eventually(pilot, lambda: screen.step == "contents")
        assert (field.value, screen.spec.size.disk) == ("67MiB", "67MiB")


async def test_alt_and_a_digit_is_not_typed_into_a_dialog(make_app: MakeApp) -> None:
    app = make_app(ImageSpec())
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        await pilot.press("alt+4", "a")
        await send(pilot, "\x1b4")
        assert app.screen.query_one("#entry-source", Input).value == ""
        await send(pilot, "4")
        assert app.screen.query_one("#entry-source", Input).value == "4"


async def test_a_digit_goes_to_its_step_where_no_text_is_typed(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(name="a"))
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await settled(pilot)
        await send(pilot, "6")
        await eventually(pilot, lambda: screen.step == "review")
        await send(pilot, "5")
        await eventually(pilot, lambda: screen.step == "output")
        name = screen.query_one("#field-name Input", Input)
        name.focus()
        await eventually(pilot, lambda: name.has_focus)
        await send(pilot, "4")
        await eventually(pilot, lambda: screen.spec.name == "4")
        assert screen.step == "output"


# ---- the table in full


@pytest.mark.parametrize(
    "size", [(40, 12), (60, 20), (80, 24), (80, 40), (80, 50), (100, 50), (110, 34), (115, 34)]
)
async def test_the_table_in_full_is_never_blank(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi")))
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("f7")
        await pilot.pause()
        table = screen.query_one("#table-widget", PartitionTable)
        assert screen.find_widget(table).visible_region.height >= min(4, size[1] - 9)
        assert "root" in shown(app)
        await pilot.press("f7")
        await pilot.pause()
        assert "UEFI" in shown(app)


# ---- what stands below a field


async def test_no_figures_of_an_earlier_plan_stand_below_a_field(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi"), size=Size(disk="798MiB")))
    async with app.run_test(size=(100, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+2", "tab")
        field = screen.query_one("#field-size-disk Input", Input)
        field.value = "100MiB"
        await settled(pilot)
        assert screen.preview.stale
        note = str(screen.query_one("#field-size-disk #note").render())
        assert "Error" in note
        assert app.focused is field
        assert "rounded" not in note
        boot = str(screen.query_one("#field-size-boot #note").render())
        assert boot == "= 256.0 MiB, 268,435,456 bytes"


async def test_text_that_is_not_a_size_has_no_figures_of_its_beginning(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(size=Size(disk="4GiB")))
    async with app.run_test(size=(100, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+2", "tab")
        screen.query_one("#field-size-disk Input", Input).value = ""
        await type_text(pilot, "2many")
        await settled(pilot)
        note = str(screen.query_one("#field-size-disk #note").render())
        assert "2,097,152" not in note
        await pilot.press("tab")
        note_of = screen.query_one("#field-size-disk #note").render
        await eventually(pilot, lambda: "Error" in str(note_of()))


@pytest.mark.parametrize("size", [(120, 40), (100, 30)])
async def test_an_error_below_a_field_is_whole(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(ImageSpec(size=Size(disk="4GiB")))
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+2", "tab")
        screen.query_one("#field-size-disk Input", Input).value = "many " * 12
        await pilot.press("tab")
        await eventually(pilot, lambda: screen.preview.problems)
        last = screen.preview.problems[0].message.split()[-1].rstrip(")")
        await eventually(pilot, lambda: last in " ".join(shown(app).split()))
        note = screen.query_one("#field-size-disk #note")
        assert note.virtual_size.height <= note.size.height


# ---- building while sources are scanned


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Holds the reading of sources until it is set."""
    opened, read = threading.Event(), planner.read

    def wait(*arguments: Any) -> Sources:  # noqa: ANN401
        opened.wait(2 * PATIENCE)
        return read(*arguments)

    monkeypatch.setattr(planner, "read", wait)
    yield opened
    opened.set()


def asked(app: DiskwrightApp) -> bool:
    """Whether a question stands on the screen, its answers too."""
    return isinstance(app.screen, ConfirmScreen) and len(app.screen.query("Button")) > 1


async def test_a_build_asked_for_while_sources_are_scanned_starts_when_they_are_read(
    make_app: MakeApp, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(ImageSpec(contents=(Content(source="rootfs/", target="/"),)))
    wanted: list[BuildRequested] = []
    async with app.run_test(size=(100, 30)) as pilot:
        await eventually(
            pilot, lambda: app.designing is not None and app.designing.preview.scanning
        )
        screen = app.designing
        assert screen is not None
        monkeypatch.setattr(screen, "post_message", _keep(screen, wanted))
        await pilot.press("f5")
        await pilot.pause()
        text = shown(app)
        assert "Scanning sources" in text
        assert "Cannot build" not in text
        assert "No problems so far" in text
        await pilot.press("f5")
        await pilot.pause()
        assert not wanted
        assert "starts when" in shown(app)
        gate.set()
        await eventually(pilot, lambda: bool(wanted))
        assert len(wanted) == 1


async def test_an_edit_ends_the_waiting_of_a_build(
    make_app: MakeApp, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(ImageSpec(contents=(Content(source="rootfs/", target="/"),)))
    wanted: list[BuildRequested] = []
    async with app.run_test(size=(100, 30)) as pilot:
        await eventually(
            pilot, lambda: app.designing is not None and app.designing.preview.scanning
        )
        screen = app.designing
        assert screen is not None
        await pilot.press("f5")
        await pilot.pause()
        await pilot.press("f5")
        screen.post_message(SpecEdited("name", "other", "name"))
        await pilot.pause()
        monkeypatch.setattr(screen, "post_message", _keep(screen, wanted))
        gate.set()
        await settled(pilot)
        assert not wanted


def _keep(screen: DesignScreen, wanted: list[BuildRequested]) -> Callable[[Message], bool]:
    post = screen.post_message

    def keep(message: Message) -> bool:
        if isinstance(message, BuildRequested):
            wanted.append(message)
            return True
        return post(message)

    return keep


# ---- a disk that nothing boots from


async def test_a_disk_that_nothing_boots_from_is_noted_and_asked_about(make_app: MakeApp) -> None:
    app = make_app(
        ImageSpec(layout=Layout(table="efi"), size=Size(boot="33MiB", additional="8MiB"))
    )
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        await pilot.press("f5")
        await settled(pilot)
        await pilot.pause()
        assert "Nothing boots from this disk" in shown(app)
        await pilot.press("f5")
        await eventually(pilot, lambda: isinstance(app.screen, BuildScreen))
        screen = app.screen
        assert isinstance(screen, BuildScreen)
        await eventually(pilot, lambda: screen.build.state.status == "ok")
        await pilot.pause()
        screen.action_verb("boot")
        await eventually(pilot, lambda: asked(app))
        await eventually(pilot, lambda: "no boot loader" in shown(app))
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is screen


# ---- unsaved work, and files that others change


def spec_file(home: Path, text: str = 'schema = 1\n# mine\nname = "one"\n') -> Path:
    path = home / "good.toml"
    path.write_text(text)
    return path


def orphan(home: Path, path: Path) -> Session:
    """Leaves unsaved work on a spec file behind, of a process that is gone."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = open_document(path)
    session = Session(home / "state", pid=gone.pid)
    session.keep(left, msgspec.structs.replace(left.spec, name="unsaved"), "output", "there")
    return session


async def test_work_that_a_session_left_unsaved_is_offered_with_its_file(
    make_app: MakeApp, home: Path
) -> None:
    path = spec_file(home)
    orphan(home, path)
    app = make_app(document=open_document(path))
    async with app.run_test(size=(100, 30)) as pilot:
        await eventually(pilot, lambda: asked(app))
        assert "Unsaved changes from" in shown(app)
        await pilot.click("#answer-compare")
        await eventually(pilot, lambda: bool(app.screen.query("#differences-lines")))
        assert '-name = "one"' in shown(app)
        assert '+name = "unsaved"' in shown(app)
        await pilot.press("escape")
        await eventually(pilot, lambda: asked(app))
        await pilot.press("escape")
        screen = await settled(pilot)
        assert (screen.spec.name, screen.step, screen.outdir) == ("unsaved", "output", "there")
        assert screen.document.path == path
        assert not screen.is_saved


async def test_work_left_unsaved_can_be_discarded(make_app: MakeApp, home: Path) -> None:
    path = spec_file(home)
    session = orphan(home, path)
    app = make_app(document=open_document(path))
    async with app.run_test(size=(100, 30)) as pilot:
        await eventually(pilot, lambda: asked(app))
        await pilot.click("#answer-discard")
        screen = await settled(pilot)
        assert screen.spec.name == "one"
        assert not session.file.exists()


@pytest.mark.parametrize("answer", ["stay", "reload", "overwrite"])
async def test_a_file_that_others_changed(make_app: MakeApp, home: Path, answer: str) -> None:
    path = spec_file(home)
    app = make_app(document=open_document(path))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        screen.post_message(SpecEdited("name", "here", "name"))
        await settled(pilot)
        theirs = 'schema = 1\nname = "theirs"\n'
        path.write_text(theirs)
        await pilot.press("ctrl+s")
        await eventually(pilot, lambda: asked(app))
        await pilot.click("#answer-compare")
        await eventually(pilot, lambda: '+name = "here"' in shown(app))
        await pilot.press("escape")
        await eventually(pilot, lambda: asked(app))
        await pilot.click(f"#answer-{answer}")
        await eventually(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
        wanted = {"stay": "here", "reload": "theirs", "overwrite": "here"}[answer]
        await eventually(
            pilot, lambda: app.designing is not None and app.designing.spec.name == wanted
        )
        screen = await settled(pilot)
        assert screen.is_saved == (answer != "stay")
        assert ('name = "here"' in path.read_text()) == (answer == "overwrite")


async def test_the_comparison_is_headed_by_the_other_rules(make_app: MakeApp) -> None:
    for compat, other in (("none", "make-disk-image's"), ("make-disk-image", "Diskwright's")):
        app = make_app(ImageSpec(compat=compat))
        async with app.run_test(size=(100, 60)) as pilot:
            screen = await settled(pilot)
            await pilot.press("6")
            await settled(pilot)
            head = screen.query_one("#review-other-rules", Plain)
            assert str(head.render()) == f"Compared with {other} rules"


# ---- sizes and paths as people type them


@pytest.mark.parametrize(
    ("path", "before", "typed", "after"),
    [
        ("size.disk", "2GiB", "+2GiB", "4GiB"),
        ("size.disk", 1024, "+1GiB", "2GiB"),
        ("size.disk", "2GiB", " + 512 MiB", "2560MiB"),
    ],
)
async def test_a_plus_adds_to_a_size(
    make_app: MakeApp, path: str, before: int | str, typed: str, after: str
) -> None:
    app = make_app(ImageSpec(size=Size(disk=before)))
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+2", "tab")
        field = screen.query_one("#field-size-disk Input", Input)
        assert app.focused is field
        for end in range(1, len(typed) + 1):
            field.value = typed[:end]
            await pilot.pause()
        await settled(pilot)
        assert screen.spec.size.disk == after
        assert field.value == typed
        await pilot.press("tab")
        await settled(pilot)
        assert field.value == after


async def test_tab_completes_a_path_and_then_goes_on(make_app: MakeApp, home: Path) -> None:
    app = make_app(ImageSpec())
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        await pilot.press("alt+4", "a")
        source = app.screen.query_one("#entry-source", Input)
        await type_text(pilot, "roo")
        await eventually(pilot, lambda: source._suggestion == "rootfs/")
        await pilot.press("tab")
        assert source.value == "rootfs/"
        assert app.focused is source
        await type_text(pilot, "e")
        await eventually(pilot, lambda: source._suggestion == "rootfs/etc/")
        await pilot.press("tab")
        assert source.value == "rootfs/etc/"
        await eventually(pilot, lambda: source._suggestion == "rootfs/etc/hostname")
        source.cursor_position = 0
        await pilot.press("tab")
        assert app.focused is not source


async def test_a_source_that_is_not_there_is_told_before_it_is_accepted(
    make_app: MakeApp, home: Path
) -> None:
    app = make_app(ImageSpec())
    async with app.run_test(size=(100, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+4", "a")
        app.screen.query_one("#entry-source", Input).value = "rotfs/"
        await pilot.click("#entry-ok")
        await eventually(pilot, lambda: "is not there now" in shown(app))
        app.screen.query_one("#entry-ok", Button).press()  # the warning moved it
        await eventually(pilot, lambda: screen.spec.contents)
        assert [entry.source for entry in screen.spec.contents] == ["rotfs/"]
