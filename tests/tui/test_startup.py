"""The wizard is up soon: nothing is parsed or styled twice on its way to the first page."""

from __future__ import annotations

from typing import Any

import pytest
from textual.css import stylesheet
from textual.css.parse import parse
from textual.dom import DOMNode

from engine.spec.model import ImageSpec
from tests.tui.conftest import MakeApp, resized, settled
from tui.stylesheet import COLUMNS, ROWS, class_for
from tui.theme import LIGHT


async def test_a_theme_that_was_seen_is_not_parsed_again(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []

    def counted(scope: str, css: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401
        parsed.append(css)
        return parse(scope, css, *rest, **more)

    async def colours() -> tuple[str, str]:
        app = make_app(ImageSpec())
        async with app.run_test() as pilot:
            await settled(pilot)
            dark = app.screen.styles.background.hex
            app.theme = LIGHT.name
            await pilot.pause()
            return dark, app.screen.styles.background.hex

    first = await colours()
    monkeypatch.setattr(stylesheet, "parse", counted)

    assert await colours() == first
    assert len(set(first)) == 2
    assert parsed == []


@pytest.mark.parametrize("size", [(120, 40), (40, 12)])
async def test_the_design_page_is_styled_for_its_size_at_once(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    updates: list[DOMNode] = []
    update = DOMNode.update_classes

    def seen(node: DOMNode, classes: Any, *rest: Any, **more: Any) -> Any:  # noqa: ANN401
        before = node.classes
        update(node, classes, *rest, **more)
        if node.classes != before:
            updates.append(node)
        return node

    app = make_app(ImageSpec())
    monkeypatch.setattr(DOMNode, "update_classes", seen)
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)

        assert {class_for(size[0], COLUMNS), class_for(size[1], ROWS)} <= screen.classes
        assert [node for node in updates if node is screen] == []
        await resized(pilot, 45, 40)
        assert {"-tiny", "-tall"} <= screen.classes
        assert [node for node in updates if node is screen] == [screen]


async def test_the_design_page_is_styled_again_only_after_another_was_shown(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    styled: list[DOMNode] = []
    update = DOMNode.update_node_styles

    def seen(node: DOMNode, animate: bool = True) -> None:
        if node.children:
            styled.append(node)
        update(node, animate)

    app = make_app(ImageSpec())
    monkeypatch.setattr(DOMNode, "update_node_styles", seen)
    async with app.run_test() as pilot:
        screen = await settled(pilot)

        assert screen not in styled
        await pilot.press("f1", "escape")
        assert screen in styled


def test_a_breakpoint_counts_from_its_cells_on() -> None:
    assert [class_for(cells, COLUMNS) for cells in (0, 49, 50, 79, 80, 119, 120, 500)] == [
        "-tiny", "-tiny", "-narrow", "-narrow", "-normal", "-normal", "-wide", "-wide",
    ]  # fmt: skip
