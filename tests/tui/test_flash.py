"""The page that writes an image to a disk: what it offers, how it asks, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.flash import flash as flashing
from engine.flash.medium import Medium
from engine.units import MIB
from tests.support.disks import FakeMachine, gpt_disk
from tests.tui.conftest import SIZES, MakeApp, eventually, shown
from tui.app import DiskwrightApp
from tui.looking import is_flashing
from tui.screens.dialogs import AskScreen, ConfirmScreen
from tui.screens.flash import FlashScreen
from tui.screens.image import ImageScreen
from tui.screens.messages import FlashRequested, ImageRequested
from tui.widgets.row_table import RowTable


@pytest.fixture
def image(home: Path) -> Path:
    return gpt_disk(home / "disk.img")


@pytest.fixture
def fake(home: Path) -> FakeMachine:
    fake = FakeMachine(home / "machine")
    fake.disk("sda", "8:0", bus="ata", model="Archive")
    fake.disk("sdb", "8:16", model="Ultra Fit", vendor="SanDisk", removable=True)
    fake.disk("sdc", "8:32", model="Old Stick", removable=True, size=4 * MIB)
    fake.disk("sdd", "8:48", model="Photos", removable=True)
    fake.disk("vda", "252:0", bus="nvme", model="System")
    fake.mount("8:48", "/media/photos")
    fake.mount("252:0", "/")
    for name in ("sda", "sdb", "sdc", "sdd"):
        (fake.machine.dev / name).write_bytes(b"old" * 1000)
        with (fake.machine.dev / name).open("r+b") as file:
            file.truncate(64 * MIB)
    return fake


async def opened(app: DiskwrightApp, pilot: Pilot[int], image: Path) -> FlashScreen:
    """Goes to the page and waits until it shows disks."""
    app.post_message(FlashRequested(image))
    await eventually(pilot, lambda: isinstance(app.screen, FlashScreen))
    screen = app.screen
    assert isinstance(screen, FlashScreen)
    await eventually(pilot, lambda: screen.query_one(RowTable).row_count)
    return screen


async def test_likely_disks_come_first_and_the_systems_own_is_not_there(
    make_app: MakeApp, image: Path, fake: FakeMachine
) -> None:
    app = make_app()
    app.machine = fake.machine
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await opened(app, pilot, image)
        assert [offer.device.name for offer in screen.flashing.offers] == [
            "sdb", "sdc", "sdd", "sda",
        ]  # fmt: skip
        assert [offer.state for offer in screen.flashing.offers] == ["", "too small", "in use", ""]
        await eventually(pilot, lambda: "By hand: sudo dd if=" in shown(app))
        text = shown(app)
        assert "SanDisk Ultra Fit" in text
        assert "System" not in text
        command = screen.flashing.offers[0].command
        assert command.startswith(f"sudo dd if={image} of=/dev/sdb bs=4M")
        await pilot.press("down")
        await eventually(pilot, lambda: "too few" in shown(app))
        await pilot.press("enter")  # nothing can be written there
        await pilot.pause()
        assert app.screen is screen
        await pilot.press("down")
        await eventually(pilot, lambda: "sdd is mounted at /media/photos" in shown(app))


async def named(app: DiskwrightApp, pilot: Pilot[int], name: str) -> None:
    """Answers the question for the disk's name."""
    await eventually(pilot, lambda: isinstance(app.screen, AskScreen))
    app.screen.query_one(Input).value = name
    await pilot.press("enter")


async def test_the_disk_is_named_then_written_and_there_is_a_verdict(
    make_app: MakeApp, image: Path, fake: FakeMachine
) -> None:
    def on_stick() -> bytes:
        return (fake.machine.dev / "sdb").read_bytes()

    before = on_stick()
    app = make_app()
    app.machine = fake.machine
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await opened(app, pilot, image)
        await pilot.press("enter")
        await named(app, pilot, "sda")
        await eventually(pilot, lambda: "the disk was not named" in shown(app))
        assert on_stick() == before
        await pilot.press("w")
        await named(app, pilot, "sdb")
        await eventually(pilot, lambda: "is the image, bit for bit" in shown(app))
        with image.open("rb") as file:
            assert on_stick()[: 16 * MIB] == file.read()
        assert screen.flashing.outcome is not None
        await pilot.press("escape")
        await eventually(pilot, lambda: app.screen is not screen)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Has a disk take its time until the event is set."""
    go_on = threading.Event()

    class Slow(Medium):
        def write(self, offset: int, data: bytes | memoryview) -> None:
            if offset >= MIB:
                go_on.wait(60)
            super().write(offset, data)

    monkeypatch.setattr(flashing, "Medium", Slow)
    yield go_on
    go_on.set()


async def begun(app: DiskwrightApp, pilot: Pilot[int], image: Path) -> FlashScreen:
    """Goes to the page and has the image written to sdb."""
    screen = await opened(app, pilot, image)
    await pilot.press("enter")
    await named(app, pilot, "sdb")
    await eventually(pilot, lambda: screen.is_writing)
    return screen


async def test_it_is_stopped_on_request_and_says_what_is_left(
    make_app: MakeApp, image: Path, fake: FakeMachine, slow: threading.Event
) -> None:
    app = make_app()
    app.machine = fake.machine
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await begun(app, pilot, image)
        assert is_flashing(app)
        await pilot.press("escape")
        await eventually(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("tab", "enter")
        await eventually(pilot, lambda: screen.flashing.stopped)
        slow.set()
        await eventually(pilot, lambda: "has no partition table" in shown(app))
        assert not is_flashing(app)


async def test_quitting_asks_while_a_disk_is_written(
    make_app: MakeApp, image: Path, fake: FakeMachine, slow: threading.Event
) -> None:
    app = make_app()
    app.machine = fake.machine
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await begun(app, pilot, image)
        await pilot.press("ctrl+q")
        await eventually(pilot, lambda: "A disk is being written" in shown(app))
        await pilot.press("escape")
        await pilot.pause()
        assert screen.is_writing
        slow.set()
        await eventually(pilot, lambda: "bit for bit" in shown(app))


async def test_it_is_reached_from_an_image_and_looks_again(
    make_app: MakeApp, image: Path, home: Path
) -> None:
    fake = FakeMachine(home / "machine")
    app = make_app()
    app.machine = fake.machine
    async with app.run_test(size=(120, 36)) as pilot:
        app.post_message(ImageRequested(image))
        await eventually(pilot, lambda: isinstance(app.screen, ImageScreen))
        await eventually(pilot, lambda: "GPT" in shown(app))
        await pilot.press("w")
        await eventually(pilot, lambda: "There is no disk to write to" in shown(app))
        fake.disk("sdb", "8:16", model="Ultra Fit", removable=True)
        (fake.machine.dev / "sdb").touch()
        await pilot.press("r")
        await eventually(pilot, lambda: "Ultra Fit" in shown(app))


async def test_the_palette_asks_for_the_image(make_app: MakeApp, image: Path) -> None:
    app = make_app()
    async with app.run_test(size=(120, 36)) as pilot:
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert "Write an image to a disk" in titles
        app.post_message(FlashRequested())
        await eventually(pilot, lambda: "Write an image to a disk" in shown(app))
        app.screen.query_one(Input).value = image.name
        await pilot.press("enter")
        await eventually(pilot, lambda: isinstance(app.screen, FlashScreen))


async def test_an_image_that_cannot_be_read_says_why(
    make_app: MakeApp, home: Path, fake: FakeMachine
) -> None:
    (home / "odd.img").write_bytes(b"QED\0" + bytes(4096))
    app = make_app()
    app.machine = fake.machine
    async with app.run_test(size=(120, 36)) as pilot:
        app.post_message(FlashRequested(home / "odd.img"))
        await eventually(pilot, lambda: "qemu-img convert" in shown(app))


@pytest.mark.parametrize("size", SIZES)
async def test_it_works_at_any_size(
    make_app: MakeApp, image: Path, fake: FakeMachine, size: tuple[int, int]
) -> None:
    app = make_app()
    app.machine = fake.machine
    async with app.run_test(size=size) as pilot:
        screen = await opened(app, pilot, image)
        await pilot.press("down", "down", "up", "up")
        await pilot.pause()
        table = screen.query_one(RowTable)
        assert table.cursor == 0
        assert table.size.height >= 2
        assert "sdb" in shown(app)
