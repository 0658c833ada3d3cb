"""What the pictures show: one design and two recorded builds, always the same.

The snapshots of the tests and the pictures of the documentation walk through the same scenes.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

from textual.app import App
from textual.pilot import Pilot

from engine.events import AnyEvent, Emit, Progress
from engine.pipeline.replay import read_record
from engine.problem import Problem
from engine.spec.model import Content, ImageSpec, Layout, Size
from screenshots.fleets import fleet_tour
from screenshots.images import image_tour
from screenshots.machine import make_machine
from screenshots.waiting import PATIENCE, quiet
from tui.app import DiskwrightApp
from tui.config import Config, load_config
from tui.document import Document
from tui.replay import ReplayJob
from tui.screens.build import BuildScreen
from tui.session import Session
from tui.widgets.log_pane import LogPane

FOLDER = Path(__file__).parent
BUILT = FOLDER / "build.jsonl"
FAILED = FOLDER / "failed.jsonl"
ENVIRONMENT = {"TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}

SPEC = ImageSpec(
    name="web-server",
    layout=Layout(table="efi", label="web"),
    size=Size(additional="2GiB", boot="256MiB"),
    contents=(
        Content(source="rootfs/", target="/"),
        Content(source="site/", target="/srv/www", mode="D755,F644", user="33", group="33"),
        Content(source="motd", target="/etc/motd", mode="644", user="root", group="root"),
    ),
)

_TREE = {
    "rootfs/usr/lib/libcrypto.so.3": 5_100_000,
    "rootfs/usr/lib/libc.so.6": 2_150_000,
    "rootfs/usr/lib/modules/6.1.0/kernel.tar": 14_800_000,
    "rootfs/usr/bin/nginx": 1_320_000,
    "rootfs/usr/bin/busybox": 1_010_000,
    "rootfs/usr/share/locale/de.mo": 640_000,
    "rootfs/var/lib/dpkg/status": 98_000,
    "rootfs/etc/hostname": 4,
    "site/index.html": 18_300,
    "site/logo.svg": 9_400,
    "site/film.webm": 7_900_000,
    "motd": 61,
}
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/srv/www:/bin/false\n"
_GROUP = "root:x:0:\nwww-data:x:33:\n"


def make_tree(folder: Path) -> None:
    """Writes the sources of the design."""
    for name, size in _TREE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"d" * size)
    (folder / "images").mkdir()
    (folder / "images/web-server.qcow2").touch()
    (folder / "rootfs/etc/passwd").write_text(_PASSWD)
    (folder / "rootfs/etc/group").write_text(_GROUP)
    make_recent(folder).save()


_DAY = 24 * 3600
_RECENT = {"appliance.toml": ("hybrid", 2 * _DAY), "sensor.toml": ("legacy", 30 * _DAY)}
_LAB = 1_610_612_736


def make_recent(folder: Path) -> Config:
    """Writes the files that the start page remembers; returns what remembers them."""
    now, specs, built = time.time(), folder / "specs", folder / "built"
    specs.mkdir()
    built.mkdir()
    config = Config(folder / "images" / "state" / "wizard.toml", images=[str(built / "lab.img")])
    for name, (table, age) in _RECENT.items():
        spec = specs / name
        spec.write_text(f'schema = 1\n[layout]\ntable = "{table}"\n')
        os.utime(spec, (now - age - 60, now - age - 60))
        config.recent.append(str(spec))
        config.sizes[str(spec)] = _LAB * (1 + len(config.sizes))
    with (built / "lab.img").open("wb") as image:
        image.truncate(_LAB)
    proof = {"firmware": "uefi", "seen": True, "seconds": 7.3}
    outputs = [{"path": "lab.img", "bytes": _LAB}]
    plan = {"boot": {"expect": "login:"}}
    manifest = {"outputs": outputs, "plan": plan, "proofs": [proof]}
    (built / "manifest.json").write_text(json.dumps(manifest))
    for name in ("lab.img", "manifest.json"):
        os.utime(built / name, (now - 3 * 3600 - 60,) * 2)
    return config


def make_app(folder: Path, *, theme: str, ascii_only: bool = False) -> DiskwrightApp:
    """Returns a wizard whose state stands in `folder`, which must be the current folder."""
    config = load_config(folder / "images" / "state" / "wizard.toml")
    config.theme = theme
    app = DiskwrightApp(
        outdir=Path("images"),
        config=config,
        session=Session(folder / "images" / "state", pid=1),
        environment=ENVIRONMENT,
        ascii_only=ascii_only,
    )
    app.machine = make_machine(folder / "images" / "state" / "machine")
    return app


class Held:
    """A build that stands still after its first events, so that it can be looked at."""

    outdir: Path | None = Path("images")
    title = "web-server"
    pace = 0.0

    def __init__(self, events: tuple[AnyEvent, ...]) -> None:
        self.events = events
        self.refused: tuple[Problem, ...] = ()

    async def run(self, emit: Emit) -> None:
        """Emits the events; waits for ever unless the build is over."""
        await ReplayJob(self.events, pace=0).run(emit)
        if self.events[-1].__class__.__name__ != "BuildFinished":
            await asyncio.Event().wait()


def running_events() -> tuple[AnyEvent, ...]:
    """Returns the recorded build up to the middle of its conversion."""
    events = read_record(BUILT)
    amounts = [
        (index, event.done * 100 // event.total)
        for index, event in enumerate(events)
        if isinstance(event, Progress) and event.id == "convert"
    ]
    end = next(index for index, percent in amounts if percent >= 62)
    return events[: end + 1]


STEPS = ("layout", "size", "boot", "contents", "output", "review")


async def tour(app: DiskwrightApp, pilot: Pilot[int], folder: Path) -> AsyncIterator[str]:
    """Walks through every page of the wizard; yields the name of each when it stands still."""
    await quiet(pilot)
    yield "start"
    app.design(Document(spec=SPEC, base=folder, title="web-server.toml"))
    await _planned(app, pilot)
    for number, step in enumerate(STEPS, start=1):
        await pilot.press(f"alt+{number}")
        await _planned(app, pilot)
        yield step
        if step == "contents":
            await pilot.press("p")
            await quiet(pilot)
            yield "panes"
            await pilot.press("escape")
            await quiet(pilot)
    async for name in volume_tour(app, pilot):
        yield name
    async for name in image_tour(app, pilot, folder):
        yield name
    async for name in fleet_tour(app, pilot):
        yield name
    async for name in build_tour(app, pilot):
        yield name


async def volume_tour(app: DiskwrightApp, pilot: Pilot[int]) -> AsyncIterator[str]:
    """Adds a home, swap and a second root, shows the form for one more, and takes all back."""
    await pilot.press("alt+1")
    for down in (0, 1, 3):
        await pilot.press("a", *["down"] * down, "enter")
        await quiet(pilot)
        if down == 3:
            await _from_its_top(app, pilot)
            yield "volume"
        await pilot.press("ctrl+s")
        await _planned(app, pilot)
    assert app.designing is not None
    app.designing.pane.scroll_home(animate=False)  # as in _from_its_top
    await quiet(pilot)
    app.designing.show_fields()
    await quiet(pilot)
    yield "volumes"
    await pilot.press("ctrl+l")
    await quiet(pilot)
    yield "spec"
    await pilot.press("escape")
    await pilot.press("ctrl+z", "ctrl+z", "ctrl+z")
    await _planned(app, pilot)


async def _from_its_top(app: DiskwrightApp, pilot: Pilot[int]) -> None:
    """Scrolls a form down to its focus: where it stood depends on which line came first."""
    app.screen.query_one(".dialog-form").scroll_home(animate=False)
    await quiet(pilot)
    assert app.screen.focused is not None
    app.screen.focused.scroll_visible(animate=False)
    await quiet(pilot)


async def build_tour(app: DiskwrightApp, pilot: Pilot[int]) -> AsyncIterator[str]:
    """Walks through the pages of a build."""
    for name, events in (
        ("build", running_events()),
        ("built", read_record(BUILT)),
        ("failed", read_record(FAILED)),
    ):
        await app.builds.show(Held(events), clock=lambda: 0.0)
        screen = app.screen
        assert isinstance(screen, BuildScreen)
        async with asyncio.timeout(PATIENCE):
            while screen.build.state.time < events[-1].time:
                await pilot.pause(0.02)
        if name == "build":
            await pilot.press("home", "slash", *"pass")
            await pilot.press("enter")
            screen.query_one(LogPane).view.follow()
            screen.query_one(LogPane).view.needle = ""
        await quiet(pilot)
        yield name
        await app.builds.end()


async def _planned(app: DiskwrightApp, pilot: Pilot[int]) -> None:
    """Waits until the design screen has planned and compared."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await pilot.pause(0.02)
            screen = app.designing
            if screen is None or not screen.is_mounted or screen.preview.plan is None:
                continue
            busy = {"scan", "plan", "differences"}
            if screen.preview.scanning or any(
                worker.is_running and worker.group in busy for worker in app.workers
            ):
                continue
            break
    await quiet(pilot)


_ID = re.compile(r"terminal-\d+-")
_FONT_FACE = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)
_FAMILY = re.compile(r"font-family:[^;]*;")


def picture(app: App[int], title: str = "Diskwright") -> str:
    """Returns the screen as an SVG that is the same every time and fetches nothing."""
    return cleaned(_ID.sub("terminal-", app.export_screenshot(title=title, simplify=True)))


def cleaned(svg: str) -> str:
    """Returns a picture of a terminal that fetches no font."""
    svg = _FONT_FACE.sub("", svg)
    svg = _FAMILY.sub('font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace;', svg)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"
