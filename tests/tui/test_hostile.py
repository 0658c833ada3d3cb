"""Hostile text in every place: shown as text, never markup, never a crash; and random keys."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from random import Random

import msgspec
import pytest
from textual.app import App, ComposeResult
from textual.widgets import Input

from engine.disk.view import regions
from engine.plan.regions import view
from engine.problem import Fix, Problem
from engine.spec.model import Content, ImageSpec, Layout, Nix, Size
from tests.tui.conftest import PATIENCE, MakeApp, settled, shown, type_text
from tui.screens.problems import ProblemsScreen
from tui.widgets.bars import ChangeLine, ProblemLine, TitleBar
from tui.widgets.labels import Plain

HOSTILE = [
    "[/dev/loop0]",
    "[bold]x[/]",
    "[@click=app.quit]x[/]",
    "\x1b[2J\x1b]0;owned\x07",
    "line\nbreak\r\ttab",
    "\u202egnp.exe",
    "日本語" * 40,
    "e\u0301" * 50,
    "x/" * 2000,
    "{0} %s $HOME `id`",
    "",
]


class Shown(App[None]):
    """Every widget that shows foreign text, with one text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def compose(self) -> ComposeResult:
        problem = Problem(
            "x", "error", self.text, self.text, self.text, Fix(self.text, (("name", "x"),))
        )
        title = TitleBar()
        title.file = title.activity = self.text
        yield title
        line = ProblemLine()
        line.problems = (problem,)
        yield line
        change = ChangeLine()
        change.note = self.text
        yield change
        yield Plain(self.text)
        self.problem = problem


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_widgets_show_text_as_text(text: str) -> None:
    app = Shown(text)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(ProblemsScreen((app.problem,)))
        await pilot.pause()
        for strip in app.screen._compositor.render_strips():
            assert "\x1b" not in strip.text
            assert "\x07" not in strip.text


# Every text is shown by every widget above; in a whole design, the worst of them.
WORST = [HOSTILE[1], HOSTILE[3], HOSTILE[8]]


@pytest.mark.parametrize(
    "text",
    [*WORST, *(pytest.param(t, marks=pytest.mark.slow) for t in HOSTILE if t not in WORST)],
    ids=[*"012", *(f"more-{number}" for number in range(len(HOSTILE) - len(WORST)))],
)
async def test_a_spec_full_of_it_is_designed(make_app: MakeApp, text: str) -> None:
    spec = ImageSpec(
        name=text,
        layout=Layout(table="efi", label=text),
        size=Size(disk=text),
        contents=(Content(source=text, target=text, mode=text, user=text, group=text),),
        nix=Nix(system=text or None),
    )
    app = make_app(spec)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for number in range(1, 7):
            await pilot.press(f"alt+{number}")
            await pilot.pause()
            assert "\x1b" not in shown(app)
        await pilot.press("f8")
        await pilot.pause()
        assert "Problems" in shown(app)


def _make_hostile_folders(parent: Path) -> None:
    for name in (b"[bold]", b"\x1b[31m", b"\xff\xfe", "日本".encode(), b"new\nline"):
        folder = parent / os.fsdecode(name)
        folder.mkdir()
        (folder / "f").write_bytes(b"x" * 100)


async def test_hostile_names_on_disk(make_app: MakeApp, home: Path) -> None:
    _make_hostile_folders(home / "rootfs")
    app = make_app(ImageSpec(contents=(Content(source="rootfs/", target="/"),)))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("alt+4", "u")
        await app.workers.wait_for_complete()
        await pilot.pause()
        text = shown(app)
        assert "[bold]/" in text
        assert "\\xff\\xfe/" in text
        assert "new\\x0aline/" in text
        await pilot.press("escape", "a", "f2")
        await pilot.pause()
        assert "\x1b" not in shown(app)


async def test_brackets_in_every_field(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi")))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        for number in range(1, 7):
            await pilot.press(f"alt+{number}")
            await pilot.pause()
            for field in screen.pane.query(Input):
                if field.focusable:
                    field.value = "[/x]"
        await pilot.press("alt+5", "tab")
        await type_text(pilot, "[/x]")
        await pilot.press("alt+6")
        await settled(pilot)
        assert screen.preview.problems


KEYS = [
    "tab", "shift+tab", "up", "down", "left", "right", "space", "enter", "escape", "home", "end",
    "f1", "f4", "f6", "shift+f6", "f7", "f8", "f9", "ctrl+z", "ctrl+y", "ctrl+t", "ctrl+b",
    "ctrl+o", "alt+1", "alt+2", "alt+3", "alt+4", "alt+5", "alt+6", "backspace", "delete", "a",
    "d", "x", "e", "u", "k", "1", "G", "M", "slash", "left_square_bracket",
]  # fmt: skip


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))]
)
async def test_random_keys_never_crash_nor_lie(make_app: MakeApp, seed: int) -> None:
    """Whatever is pressed, what is shown is the engine's plan of the present spec."""
    random = Random(seed)
    size = random.choice([(120, 40), (80, 24), (60, 20)])
    app = make_app(ImageSpec(contents=(Content(source="rootfs/", target="/"),)))
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        for _ in range(60):
            await pilot.press(random.choice(KEYS))
            assert app.is_running
        while app.screen is not screen:
            await pilot.press("escape")
            await pilot.pause()
        await settled(pilot)
        preview = screen.preview
        resolved = screen.design.planner.resolve(screen.spec)
        assert preview.settings == resolved.settings
        if preview.plan is not None and not preview.stale:
            assert screen.design.sources is not None
            plan = screen.design.planner.plan(
                resolved, screen.design.sources, Path(screen.outdir), force=True
            )
            assert [r.bytes for r in regions(view(plan))] == [
                r.bytes for r in regions(view(preview.plan))
            ]
            assert sum(share.bytes for share in preview.plan.breakdown) == plan.disk.bytes


async def test_undo_walks_back_to_the_beginning(make_app: MakeApp) -> None:
    first = ImageSpec(layout=Layout(table="efi"))
    app = make_app(first)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        for key in ("down", "space", "tab", "right", "space", "f6", "down", "space"):
            await pilot.press(key)
        await settled(pilot)
        last = screen.spec
        assert last != first
        async with asyncio.timeout(PATIENCE):
            while screen.design.history.undoable:
                await pilot.press("ctrl+z")
        await settled(pilot)
        assert screen.spec == first
        async with asyncio.timeout(PATIENCE):
            while screen.design.history.redoable:
                await pilot.press("ctrl+y")
        await settled(pilot)
        assert screen.spec == last
        assert msgspec.structs.asdict(screen.preview.spec) == msgspec.structs.asdict(last)
