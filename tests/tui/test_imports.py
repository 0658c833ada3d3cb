"""Whatever a path is that somebody opens: a spec, an image, another tool's file."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from engine.problem import Refused
from tests.tui.conftest import MakeApp, eventually, settled, shown, type_text
from tests.tui.images import made, read
from tui.document import Document
from tui.opening import Importable, opened
from tui.plain import run as run_plain
from tui.screens.dialogs import ConfirmScreen
from tui.screens.image import ImageScreen
from tui.screens.importing import ImportScreen
from tui.screens.start import StartScreen

MODULE = """\
{ config, lib, pkgs, ... }: {
  system.build.image = import <nixpkgs/nixos/lib/make-disk-image.nix> {
    inherit config lib pkgs;
    partitionTableType = "efi";
    label = "mine";
  };
}
"""


async def open_from_start(pilot: Pilot[int], path: str) -> None:
    """Answers the start page's Open with a path."""
    await pilot.pause()
    assert isinstance(pilot.app.screen, StartScreen)
    offers = pilot.app.screen.query_one(OptionList)
    offers.highlighted = offers.get_option_index("open:")
    await pilot.press("enter")
    await pilot.pause()
    await type_text(pilot, path)
    await pilot.press("enter")


async def wait_for(pilot: Pilot[int], kind: type[object]) -> None:
    await eventually(pilot, lambda: isinstance(pilot.app.screen, kind))
    await pilot.pause()


async def test_open_offers_to_import_a_nix_file(make_app: MakeApp, home: Path) -> None:
    (home / "module.nix").write_text(MODULE)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_from_start(pilot, "module.nix")
        await wait_for(pilot, ImportScreen)
        assert "Not carried over" in shown(app)
        assert "config on line 3" in shown(app)
        await pilot.press("enter")
        screen = await settled(pilot)
        assert screen.spec.layout.label == "mine"
        assert screen.spec.layout.table == "efi"
        assert screen.document.base == home
        assert screen.document.path is None


async def test_open_takes_a_folder_of_definitions(make_app: MakeApp, home: Path) -> None:
    (home / "x.repart").mkdir()
    (home / "x.repart" / "10-root.conf").write_text("[Partition]\nType=root\nPriority=7\n")
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await open_from_start(pilot, "x.repart")
        await wait_for(pilot, ImportScreen)
        assert "Priority=7" in shown(app)
        await pilot.press("enter")
        screen = await settled(pilot)
        assert [volume.id for volume in screen.spec.volume] == ["root"]
        assert screen.spec.layout.table == "gpt"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("part / --source rootfs --fstype=ext4\n", "a kickstart file of wic (.wks)"),
        ("image x.img {\n  hdimage {}\n}\n", "a configuration of genimage"),
    ],
)
def test_other_tools_files_are_known_by_what_they_say(home: Path, text: str, what: str) -> None:
    (home / "file").write_text(text)

    assert opened(home / "file") == Importable(home / "file", what, is_image=False)


async def test_an_import_is_left_with_escape(make_app: MakeApp, home: Path) -> None:
    (home / "module.nix").write_text(MODULE)
    app = make_app()
    async with app.run_test(size=(60, 20)) as pilot:
        await open_from_start(pilot, "module.nix")
        await wait_for(pilot, ImportScreen)
        await pilot.press("escape")
        await wait_for(pilot, StartScreen)
        assert app.designing is None


async def test_a_file_without_a_call_is_told(make_app: MakeApp, home: Path) -> None:
    (home / "other.nix").write_text("{ lib, ... }: { services.x = 1; }")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_from_start(pilot, "other.nix")
        await wait_for(pilot, ConfirmScreen)
        assert "has no call" in shown(app)
        await pilot.press("escape")
        await wait_for(pilot, StartScreen)


async def test_open_shows_an_image(make_app: MakeApp, home: Path) -> None:
    await made(home, "one", "efi")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_from_start(pilot, "made/one.img")
        await wait_for(pilot, ImageScreen)
        assert isinstance(app.screen, ImageScreen)
        await read(pilot, app.screen)
        assert app.screen.summary is not None


@pytest.mark.parametrize("what", ["image", "nix"])
async def test_the_command_opens_what_it_is_given(make_app: MakeApp, home: Path, what: str) -> None:
    await made(home, "one", "efi")
    (home / "module.nix").write_text(MODULE)
    found = opened(home / ("made/one.img" if what == "image" else "module.nix"))
    assert isinstance(found, Importable)
    app = make_app(subject=found)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for(pilot, ImageScreen if what == "image" else ImportScreen)


def test_a_spec_with_a_mistake_is_still_a_spec(home: Path) -> None:
    spec = home / "x.toml"
    spec.write_text('# made by hand\n[layout]\ntabel = "efi"\n')

    with pytest.raises(Refused, match="tabel"):
        opened(spec)
    with pytest.raises(Refused, match="no such file"):
        opened(home / "gone.toml")
    spec.write_text('name = "x"\n')
    assert isinstance(opened(spec), Document)


def test_the_plain_interview_imports_too(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "module.nix").write_text(MODULE)
    monkeypatch.chdir(home)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    run_plain(home / "module.nix")

    said = capsys.readouterr().out
    assert "config on line 3 is not carried over" in said
    assert "Spec: from module.nix" in said
