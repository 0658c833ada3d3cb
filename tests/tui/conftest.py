"""The wizard under test: real engine, folders of its own, no terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from engine.spec.model import ImageSpec
from tui.app import DiskwrightApp
from tui.config import Config
from tui.document import Document
from tui.preview import Preview
from tui.screens.design import DesignScreen
from tui.session import Session
from tui.stylesheet import COLUMNS, ROWS, class_for

SIZES = [(120, 40), (100, 30), (80, 24), (60, 20), (40, 12)]
ENVIRONMENT = {"TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}

MakeApp = Callable[..., DiskwrightApp]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a small tree of sources in `rootfs`."""
    root = tmp_path / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "boot").mkdir()
    (root / "etc" / "hostname").write_text("lab\n")
    (root / "boot" / "vmlinuz-6.1").write_bytes(b"k" * 5000)
    (root / "boot" / "initrd.img-6.1").write_bytes(b"i" * 3000)
    return tmp_path


@pytest.fixture
def make_app(home: Path, monkeypatch: pytest.MonkeyPatch) -> MakeApp:
    """Makes apps whose state, configuration and outputs stand below `home`."""
    monkeypatch.chdir(home)

    def make(spec: ImageSpec | None = None, **options: Any) -> DiskwrightApp:  # noqa: ANN401
        document = None if spec is None else Document(spec=spec, base=home, title="test")
        return DiskwrightApp(
            options.pop("document", document),
            outdir=home / "out",
            config=options.pop("config", Config(home / "config.toml")),
            session=options.pop("session", Session(home / "state")),
            environment=ENVIRONMENT,
            **options,
        )

    return make


PATIENCE = 90
"""Seconds: below the time that pytest gives a test, and far above what any machine needs."""

# A pilot gives widgets 30 s to do what they were told; a loaded machine needs more.
assert Pilot._wait_for_screen.__defaults__ == (30.0,)
Pilot._wait_for_screen.__defaults__ = (float(PATIENCE),)


async def eventually(
    pilot: Pilot[int], holds: Callable[[], object], instead: Callable[[], object] = lambda: None
) -> None:
    """Waits until something holds; fails, with the screen, when it no longer can or never does.

    Args:
        holds: Tells whether what is waited for is there.
        instead: Tells what has come in its place, if anything has.
    """
    until = time.monotonic() + PATIENCE
    while not holds():
        if other := instead():
            pytest.fail(f"{other}:\n{shown_on(pilot.app)}")
        if time.monotonic() > until:
            pytest.fail(f"nothing of the kind within {PATIENCE} s:\n{shown_on(pilot.app)}")
        await pilot.pause(0.02)


async def settled(pilot: Pilot[int]) -> DesignScreen:
    """Waits until the design screen has planned its present spec; returns the screen."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await pilot.pause()
            app = pilot.app
            assert isinstance(app, DiskwrightApp)
            screen = app.designing
            if screen is None or not screen.is_mounted:
                await asyncio.sleep(0.01)
                continue
            preview = screen.preview
            if preview.settings is None or preview.scanning or preview.spec != screen.spec:
                await asyncio.sleep(0.01)
                continue
            if any(worker.group in {"scan", "plan"} for worker in _running(app)):
                await asyncio.sleep(0.01)
                continue
            await pilot.pause()
            return screen


async def resized(pilot: Pilot[int], width: int, height: int) -> None:
    """Gives the terminal another size and waits until the screen is styled for it."""
    await pilot.resize_terminal(width, height)
    screen, wanted = pilot.app.screen, {class_for(width, COLUMNS), class_for(height, ROWS)}
    async with asyncio.timeout(PATIENCE):
        while not wanted <= screen.classes:
            await pilot.pause(0.01)
    await pilot.pause()


def _running(app: DiskwrightApp) -> list[Any]:
    return [worker for worker in app.workers if worker.is_running]


async def type_text(pilot: Pilot[int], text: str) -> None:
    """Presses the keys of a text."""
    names = {
        "~": "tilde",
        "/": "slash",
        ".": "full_stop",
        " ": "space",
        "-": "minus",
        "[": "left_square_bracket",
    }
    for character in text:
        await pilot.press(names.get(character, character))


def shown(app: DiskwrightApp) -> str:
    """Returns what stands on the wizard's screen as text."""
    return shown_on(app)


def shown_on(app: App[Any]) -> str:
    """Returns what stands on any app's screen as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def preview_of(app: DiskwrightApp) -> Preview:
    """Returns what the design screen shows."""
    screen = app.designing
    assert screen is not None
    return screen.preview
