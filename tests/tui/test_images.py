"""Images that are there already: the same figures as their plan, their files, a spec of them."""

from __future__ import annotations

import asyncio
import os
import stat
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input
from textual.widgets.tree import TreeNode

from engine.filesystems.ext4.reader import ExtFilesystem
from engine.image.reading import Node
from engine.inspect.image import open_image
from engine.pipeline.build import build
from engine.plan.regions import view
from engine.planning import Planner
from engine.spec.model import ImageSpec
from tests.tui.conftest import PATIENCE, SIZES, MakeApp, eventually, settled, shown, type_text
from tests.tui.images import made, read, take
from tui.app import DiskwrightApp
from tui.image_summary import summarize
from tui.screens.dialogs import ConfirmScreen
from tui.screens.extract import ExtractScreen
from tui.screens.image import FileTree, ImageScreen
from tui.screens.paths import PathScreen
from tui.screens.picker import PickerScreen
from tui.screens.start import StartScreen
from tui.screens.take import TakeScreen
from tui.screens.view import FileView, ViewScreen
from tui.widgets.labels import Plain
from tui.widgets.messages import SpecEdited

HOSTILE = "[red]x[@click=quit]\n\x1b[31m\udcff"
SHOWN = "[red]x[@click=quit]\\x0a\\x1b[31m\\xff"


@pytest.mark.parametrize("table", ["none", "legacy", "legacy+gpt", "efi", "hybrid"])
async def test_an_image_is_seen_as_it_was_planned(home: Path, table: str) -> None:
    plan = await made(home, "seen", table)
    image = open_image(home / "made" / "seen.img")
    try:
        opened = summarize(image)
    finally:
        image.disk.close()
    planned = view(plan)
    # Only a plan knows what its spec calls the volumes.
    nameless = tuple(replace(partition, id="") for partition in planned.partitions)
    planned = replace(planned, partitions=nameless)
    assert replace(opened.view, breakdown=()) == replace(planned, breakdown=())
    assert sum(share.bytes for share in opened.view.breakdown) == plan.disk.bytes
    again = Planner(home, {})
    resolved = again.resolve(opened.spec)
    assert resolved.problems == ()
    assert resolved.settings.layout.table == table
    sources = again.read(resolved.settings)
    like = again.plan(resolved, sources, home / "made", force=True)
    assert [(p.start, p.sectors) for p in like.partitions] == [
        (p.start, p.sectors) for p in plan.partitions
    ]


async def opened(app: DiskwrightApp, pilot: Pilot[int], path: Path) -> ImageScreen:
    """Opens an image; the cursor stands on its first partition."""
    screen = ImageScreen(path)
    await app.push_screen(screen)
    await read(pilot, screen)
    return screen


async def child(pilot: Pilot[int], node: TreeNode[Any], name: str) -> TreeNode[Any]:
    """Waits until a folder shows what starts with a name; returns it."""

    def found() -> list[TreeNode[Any]]:
        return [one for one in node.children if str(one.label).startswith(name)]

    await eventually(pilot, found)
    return found()[0]


async def go_to(pilot: Pilot[int], screen: ImageScreen, *names: str) -> None:
    """Opens folder after folder and puts the cursor on the last name."""
    tree = screen.query_one(FileTree)
    node = tree.root
    for position, name in enumerate(names, start=1):
        node = await child(pilot, node, name)
        await pilot.pause()
        tree.move_cursor(node)
        if position < len(names):
            node.expand()
    await pilot.pause()


def words(screen: ImageScreen) -> str:
    """Returns what stands below the files, on one line."""
    return str(screen.query_one("#image-node", Plain).render()).replace("\n", " ")


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def become(folder: Path, names: set[str]) -> bool:
    """Waits until a folder holds just these names; whether it does before patience ends."""
    end = time.monotonic() + PATIENCE
    while names_in(folder) != names:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


async def wait_for(pilot: Pilot[int], kind: type) -> None:
    """Waits until a page of some kind is on top."""
    await eventually(pilot, lambda: isinstance(pilot.app.screen, kind))
    await pilot.pause()


async def test_a_file_is_looked_at_as_text_and_as_bytes(make_app: MakeApp, home: Path) -> None:
    (home / "rootfs" / "etc" / "motd").write_bytes(b"[bold]hi\n\x1b[31mred\n" + b"z" * 70_000)
    await made(home, "one", "none")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, home / "made" / "one.img")
        await go_to(pilot, screen, "disk", "etc", "motd")
        await pilot.press("enter")
        await wait_for(pilot, ViewScreen)
        text = shown(app)
        assert "[bold]hi" in text
        assert "\\x1b[31mred" in text
        assert "\x1b" not in text
        assert "Only the first 64.0 KiB" in text
        await pilot.press("t")
        assert "000000  5b 62 6f 6c 64 5d 68 69  0a 1b 5b" in shown(app)
        await pilot.press("t", "slash", *"red", "enter")
        await pilot.pause()
        assert app.screen.query_one(FileView).cursor == 1
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is screen
        await go_to(pilot, screen, "disk", "boot", "vmlinuz-6.1")
        await pilot.press("enter")
        await wait_for(pilot, ViewScreen)


async def test_names_of_an_image_are_text(make_app: MakeApp, home: Path) -> None:
    folder = home / "rootfs" / HOSTILE
    folder.mkdir()
    (folder / HOSTILE).write_bytes(b"data")
    (folder / "link").symlink_to(HOSTILE)
    await made(home, "one", "none")
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot, home / "made" / "one.img")
        await go_to(pilot, screen, "disk", SHOWN, SHOWN)
        assert words(screen).startswith(f"/{SHOWN}/{SHOWN}")
        assert f"link → {SHOWN}" in shown(app)
        await pilot.press("enter")
        await wait_for(pilot, ViewScreen)
        assert SHOWN in shown(app)
        await pilot.press("escape", "x")
        await wait_for(pilot, PathScreen)
        app.screen.query_one(Input).value = "copy"
        await pilot.press("enter")
        await wait_for(pilot, ImageScreen)
    assert (home / "copy").read_bytes() == b"data"


async def test_a_folder_is_extracted_and_nothing_is_replaced(make_app: MakeApp, home: Path) -> None:
    await made(home, "one", "efi")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, home / "made" / "one.img")
        await go_to(pilot, screen, "partition 2", "etc")
        for _ in range(2):
            await pilot.press("x")
            await wait_for(pilot, PathScreen)
            assert "Extract /etc" in shown(app)
            await pilot.press("enter")
            await pilot.pause()
            await eventually(pilot, lambda: not isinstance(app.screen, PathScreen))
            await eventually(pilot, lambda: not {"Writing", "Beginning"} & {*shown(app).split()})
        assert isinstance(app.screen, ExtractScreen)
        assert "Error" in shown(app)
        await pilot.press("enter")
        await wait_for(pilot, ImageScreen)
        assert (home / "etc" / "hostname").read_text() == "lab\n"
        await go_to(pilot, screen, "partition 2")
        await pilot.press("x")
        await wait_for(pilot, PathScreen)
        assert app.screen.query_one(Input).value == "one-partition-2.tar"
        await pilot.press("enter")
        await wait_for(pilot, ImageScreen)
        assert "one-partition-2.tar" in words(screen)
    with tarfile.open(home / "one-partition-2.tar") as archive:
        assert "etc/hostname" in [member.name for member in archive]


@pytest.mark.parametrize("key", ["escape", "ctrl+q"])
async def test_an_extraction_is_stopped_and_nothing_is_left(
    make_app: MakeApp, home: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (home / "rootfs" / "large").write_bytes(os.urandom(1 << 20) * 32)
    await made(home, "one", "none")
    read_data = ExtFilesystem.data

    def slowly(self: ExtFilesystem, node: Node) -> Iterator[tuple[int, bytes]]:
        for piece in read_data(self, node):
            time.sleep(0.5)
            yield piece

    monkeypatch.setattr(ExtFilesystem, "data", slowly)
    app = make_app()
    before = names_in(home)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, home / "made" / "one.img")
        await pilot.press("x")
        await wait_for(pilot, PathScreen)
        await pilot.press("enter")
        await wait_for(pilot, ExtractScreen)
        await eventually(pilot, lambda: "Writing" in shown(app))
        await pilot.press(key)
        if key == "escape":
            await wait_for(pilot, ImageScreen)
    assert await asyncio.to_thread(become, home, before)


async def test_an_image_becomes_a_spec_that_builds_with_its_files(
    make_app: MakeApp, home: Path
) -> None:
    secret = home / "rootfs" / "etc" / "secret"
    secret.write_text("s\n")
    secret.chmod(0o600)
    await made(home, "one", "efi")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await take(app, pilot, "image:", "made/one.img")
        assert "does not start" in shown(app)
        await pilot.press("s")
        await wait_for(pilot, TakeScreen)
        assert "one-root.tar" in shown(app)
        await pilot.press("enter")
        screen = await settled(pilot)
        assert screen.spec.layout.label == "lab"
        assert [(entry.source, entry.extract) for entry in screen.spec.contents] == [
            ("one-root.tar", True)
        ]
        assert not [p for p in screen.preview.problems if p.severity == "error"]
        plan, base = screen.preview.plan, screen.document.base
        assert plan is not None
        assert base == home / "made"
        await build(plan, lambda _event: None, outdir=home / "again")
    image = open_image(home / "again" / "one.img")
    try:
        filesystem = image.parts[1].filesystem
        assert filesystem is not None
        node = filesystem.lookup(b"etc/secret")
        assert node is not None
        assert stat.S_IMODE(node.mode) == 0o600
    finally:
        image.disk.close()


async def test_a_spec_without_files_and_nothing_at_all(make_app: MakeApp, home: Path) -> None:
    await made(home, "one", "efi")
    app = make_app()
    async with app.run_test(size=(60, 20)) as pilot:
        await take(app, pilot, "image:", "made/one.img")
        await pilot.press("s")
        await wait_for(pilot, TakeScreen)
        await pilot.press("escape")
        await wait_for(pilot, ImageScreen)
        await pilot.press("s")
        await wait_for(pilot, TakeScreen)
        await pilot.press("shift+tab", "shift+tab", "down", "space")
        await pilot.press("tab", "enter")
        screen = await settled(pilot)
        assert screen.spec.contents == ()
        assert screen.spec.layout.table == "efi"
    assert not list((home / "made").glob("*.tar"))


async def test_unsaved_work_is_asked_about(make_app: MakeApp, home: Path) -> None:
    plan = await made(home, "one", "none")
    app = make_app(ImageSpec(name="mine"))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        screen.post_message(SpecEdited("name", "changed", "name"))
        await settled(pilot)
        await opened(app, pilot, home / "made" / f"{plan.name}.img")
        await pilot.press("s")
        await wait_for(pilot, TakeScreen)
        await pilot.press("enter")
        await wait_for(pilot, ConfirmScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert (await settled(pilot)).spec.name == "changed"


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_the_pages_of_an_image_work_at_any_size(
    make_app: MakeApp, home: Path, size: tuple[int, int]
) -> None:
    await made(home, "one", "efi")
    app = make_app(ascii_only=size[0] < 80)
    async with app.run_test(size=size) as pilot:
        screen = await opened(app, pilot, home / "made" / "one.img")
        assert "1 ESP" in shown(app)
        for widget in screen.focus_chain:
            assert app.focused is not None
            assert screen.region.overlaps(app.focused.region), widget
            await pilot.press("tab")
        for key, kind in (("x", PathScreen), ("s", TakeScreen)):
            screen.query_one(FileTree).focus()
            await pilot.press(key)
            await wait_for(pilot, kind)
            for button in app.screen.query(Button):
                assert app.screen.region.contains_region(button.region)
            await pilot.press("escape")
            await wait_for(pilot, ImageScreen)
        for width, height in ((20, 5), (1, 1), size):
            await pilot.resize_terminal(width, height)
            await pilot.pause()


@pytest.mark.parametrize("damage", ["head", "cut", "noise", "tables"])
async def test_damaged_images_are_told_of_or_shown(
    make_app: MakeApp, home: Path, damage: str
) -> None:
    await made(home, "one", "efi")
    path = home / "made" / "one.img"
    data = bytearray(path.read_bytes())
    if damage == "head":
        path.write_bytes(b"QFI\xfb" + b"\xff" * 600)
    elif damage == "cut":
        path.write_bytes(data[: len(data) * 2 // 3])
    elif damage == "noise":
        path.write_bytes(os.urandom(100_000))
    else:
        start = 36 * 1024 * 1024
        data[start : start + 600_000] = os.urandom(600_000)
        path.write_bytes(data)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, path)
        assert damage != "head" or "cannot be opened" in shown(app)
        for key in ("down", "enter", "down", "enter", "down", "enter"):
            await pilot.press(key)
            await pilot.pause()
        assert app.screen in {screen, *app.screen_stack}
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert isinstance(app.screen, (StartScreen, ImageScreen))


async def test_what_is_not_there_is_told(make_app: MakeApp, home: Path) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await take(app, pilot, "image:", "~nobody-here/gone")
        assert "cannot be opened" in str(app.screen.query_one("#image-state", Plain).render())
        await pilot.press("s", "x", "enter")
        assert isinstance(app.screen, ImageScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, StartScreen)


async def test_a_folder_that_cannot_be_is_told(make_app: MakeApp, home: Path) -> None:
    await made(home, "one", "efi")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, home / "made" / "one.img")
        await pilot.press("s")
        await wait_for(pilot, TakeScreen)
        app.screen.query_one(Input).value = "long" * 2000
        await pilot.pause()
        await pilot.press("enter")
        await wait_for(pilot, ExtractScreen)
        await eventually(pilot, lambda: "Error" in shown(app))
        await pilot.press("escape")
        await wait_for(pilot, ImageScreen)
        await pilot.press("x")
        await wait_for(pilot, PathScreen)
        app.screen.query_one(Input).value = "long" * 2000
        await pilot.press("f2")
        await wait_for(pilot, PickerScreen)
        await pilot.press("escape")
        await wait_for(pilot, PathScreen)


async def test_the_palette_leads_to_images_from_anywhere(make_app: MakeApp, home: Path) -> None:
    plan = await made(home, "one", "none")
    app = make_app(ImageSpec(name="mine"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("f2")
        await eventually(pilot, lambda: "Search for commands" in shown(app))
        await pilot.press(*"look into")
        await eventually(
            pilot, lambda: "Look into" in shown(app) and "List every" not in shown(app)
        )
        await pilot.press("enter")
        await wait_for(pilot, PathScreen)
        await type_text(pilot, f"made/{plan.name}.img")
        await pilot.press("enter")
        await wait_for(pilot, ImageScreen)
