"""A pane is one module and one row: the worked example of docs/extending.md, tried."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from engine.spec.model import Content, ImageSpec
from tests.support.examples import python_blocks
from tests.tui.conftest import MakeApp, settled
from tui.screens import design
from tui.widgets.labels import Plain
from tui.widgets.step_rail import StepRail


async def test_a_pane_is_one_module_and_one_row(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, row = python_blocks("A wizard pane")
    (tmp_path / "summary_pane.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    added = eval(row, vars(importlib.import_module("summary_pane")))
    monkeypatch.setattr(design, "PANES", (*design.PANES, *added))
    app = make_app(ImageSpec(name="pane", contents=(Content(source="rootfs/", target="/"),)))

    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        assert screen.query_one(StepRail).steps[-1].title == "Summary"
        await pilot.press(*["f6"] * len(design.PANES))
        screen = await settled(pilot)

        assert screen.step == "summary"
        assert screen.preview.plan is not None
        shown = str(screen.query_one("#summary-lines", Plain).render())
        assert shown.splitlines()[1:] == list(screen.preview.plan.writes)
        assert "pane.img" in shown
