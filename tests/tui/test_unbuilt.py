"""A system that nix must build before there is a plan: built from the wizard, by the real nix."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from engine.cli import exits
from engine.events import StepStarted, decode
from engine.spec.model import ImageSpec, Layout, Nix
from tests.support.nixos import Lab, make_lab
from tests.tui.conftest import MakeApp, eventually, settled, shown
from tui.document import Document
from tui.plain import Interview
from tui.screens.build import BuildScreen


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = make_lab(tmp_path / "lab")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


def spec_of(lab: Lab, attribute: str) -> ImageSpec:
    return ImageSpec(
        name="lab",
        layout=Layout(table="none"),
        nix=Nix(system=f"-f {lab.sources}/system.nix -A {attribute}", store=str(lab.folder)),
    )


def steps(record: Path) -> list[str]:
    events = (decode(line) for line in record.read_bytes().splitlines())
    return [event.id for event in events if isinstance(event, StepStarted)]


async def built(make_app: MakeApp, spec: ImageSpec) -> tuple[str, str]:
    """Builds from Review; returns how it ended and what the screen shows."""
    app = make_app(spec)
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        await pilot.press("f5")
        await pilot.pause()
        assert "nix builds the system first" in shown(app)
        await pilot.press("f5")
        await eventually(
            pilot, lambda: isinstance(app.screen, BuildScreen) and app.screen.status != "running"
        )
        assert isinstance(app.screen, BuildScreen)
        return app.screen.status, shown(app)


async def test_nix_builds_the_system_first(make_app: MakeApp, lab: Lab, home: Path) -> None:
    status, screen = await built(make_app, spec_of(lab, "toplevel"))

    assert status == "ok", screen
    assert (home / "out" / "lab.img").is_file()
    assert steps(home / "out" / "build.jsonl")[:2] == ["nix-build", "allocate"]


async def test_what_nix_says_of_a_failure_is_shown(make_app: MakeApp, lab: Lab, home: Path) -> None:
    status, screen = await built(make_app, spec_of(lab, "broken"))

    assert status == "failed"
    assert "the builder says no" in screen
    assert not (home / "out").exists()


@pytest.mark.parametrize(
    ("attribute", "code"), [("toplevel", exits.DONE), ("broken", exits.FAILED)]
)
def test_the_questions_build_it_too(attribute: str, code: int, lab: Lab, home: Path) -> None:
    out = io.StringIO()
    document = Document(spec=spec_of(lab, attribute), base=home)
    answers = io.StringIO("\n" * 9 + "y\n")
    interview = Interview(document, source=answers, out=out, folder=home, environment={})

    assert interview.run() == code, out.getvalue()

    assert (home / "out" / "lab.img").is_file() == (code == exits.DONE)
