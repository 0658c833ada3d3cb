"""The wizard at every size and in every colour: complete, in sight, readable."""

from __future__ import annotations

import ast
import re
from functools import partial
from pathlib import Path

import pytest
from textual.color import Color
from textual.geometry import Region
from textual.widget import Widget

import tui
from engine.spec.model import Boot, Content, ImageSpec, Layout
from tests.tui.conftest import SIZES, MakeApp, eventually, settled, shown
from tui.screens.design import PANES
from tui.theme import DARK, LIGHT, volume_variables
from tui.widgets.choices import Choices

SPEC = ImageSpec(
    layout=Layout(table="hybrid"),
    boot=Boot(loader="grub"),
    contents=(Content(source="rootfs/", target="/"), Content(source="gone", target="/srv")),
)
NAMES = [f"{width}x{height}" for width, height in SIZES]


def overlap(widget: Widget, screen: Widget) -> Region:
    """Returns what of a widget is on the screen; an empty region is false."""
    return widget.region.intersection(screen.region)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(size, marks=() if size in {(80, 24), (40, 12)} else pytest.mark.slow)
        for size in SIZES
    ],
    ids=NAMES,
)
async def test_every_control_can_be_reached_and_seen(
    make_app: MakeApp, size: tuple[int, int]
) -> None:
    """Tab through every step: what has the focus is on the screen."""
    app = make_app(SPEC)
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        for number, pane in enumerate(PANES, start=1):
            await pilot.press(f"alt+{number}")
            await pilot.pause()
            assert screen.step == pane.STEP
            wanted = [w for w in screen.focus_chain if w in screen.pane.query("*")]
            assert wanted
            for widget in wanted:
                assert app.focused is widget
                await eventually(pilot, partial(overlap, widget, screen))
                await pilot.press("tab")
        await pilot.press("f4")
        assert app.focused is screen.query_one("#map")
        await pilot.press("escape")
        assert app.focused is screen.query_one("#rail")


async def test_resizing_while_it_runs(make_app: MakeApp) -> None:
    app = make_app(SPEC)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        for width, height in [*SIZES, (20, 5), (3, 2), (1, 1), (200, 60), (80, 24)]:
            await pilot.resize_terminal(width, height)
            await pilot.press("f6")
            await pilot.pause()
        assert "Diskwright" in shown(app)


@pytest.mark.parametrize("size", [s for s in SIZES if s[0] >= 60], ids=NAMES[:-1])
async def test_the_map_is_always_in_sight(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(SPEC)
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        for number in range(1, 7):
            await pilot.press(f"alt+{number}")
            await pilot.pause()
            region = screen.query_one("#map").region
            assert region.height == 3
            assert screen.region.contains_region(region)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 20)], ids=str)
async def test_the_choice_under_the_cursor_is_in_sight(
    make_app: MakeApp, size: tuple[int, int]
) -> None:
    app = make_app(SPEC)
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+3")
        await pilot.pause()
        choices = screen.query_one("#loader", Choices)
        choices.focus()
        for choice in choices.options:
            choices.cursor = choices.options.index(choice)
            await pilot.pause()
            await pilot.pause()
            words = (f"not now: {choice.blocked}" if choice.blocked else choice.detail).split()
            assert choice.title in shown(app)
            assert words[-1] in shown(app)


async def test_any_row_of_a_choice_can_be_clicked(make_app: MakeApp) -> None:
    app = make_app(SPEC)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+3")
        await pilot.pause()
        second = max(
            row for row, line in enumerate(shown(app).split("\n")) if "hybrid, GRUB for a" in line
        )
        await pilot.click(offset=(30, second))
        assert (await settled(pilot)).spec.boot.loader == "uki"
        assert screen.query_one("#loader", Choices).chosen == "uki"


async def test_ascii_only(make_app: MakeApp) -> None:
    app = make_app(SPEC, ascii_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for number in range(1, 7):
            await pilot.press(f"alt+{number}")
            await pilot.pause()
            text = shown(app)
            assert text.isascii(), {c for c in text if not c.isascii()}
        await pilot.press("f8")
        await pilot.pause()
        assert shown(app).isascii()


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_text_has_contrast(theme: object) -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 to 1."""
    assert theme in (DARK, LIGHT)
    chosen = DARK if theme is DARK else LIGHT
    colours = chosen.to_color_system().generate() | volume_variables(chosen)
    ground = [colours["background"], colours["surface"]]
    for name in ("muted", "state-warning", "state-error", "state-done", "accent", "foreground"):
        for below in ground:
            assert contrast(colours[name], below) >= 4.5, (name, below)
    cursor = colours["block-cursor-foreground"], colours["block-cursor-background"]
    assert contrast(*cursor) >= 4.5


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, as WCAG 2.1 defines it."""

    def luminance(text: str) -> float:
        parts = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in Color.parse(text).normalized
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_no_formatted_text_is_read_as_markup() -> None:
    """`notify`, `Label` and `Static` read markup by default: none may get a value."""
    folder = Path(tui.__file__).parent
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in {"notify", "Label", "Static", "from_markup"}:
                told = any(keyword.arg == "markup" for keyword in node.keywords)
                literal = all(isinstance(argument, ast.Constant) for argument in node.args)
                assert told or (literal and name != "from_markup"), f"{file.name}:{node.lineno}"


def test_style_sheet_names_no_colour_of_its_own() -> None:
    sheet = (Path(tui.__file__).parent / "diskwright.tcss").read_text()
    assert not re.search(r"#[0-9a-fA-F]{6}\b|rgb\(", sheet)
