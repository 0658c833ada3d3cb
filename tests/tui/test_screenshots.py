"""The pictures of the documentation show the wizard as it is.

Most are taken on the walks of test_snapshots; here are those that no such walk comes by.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyte
import pytest

from screenshots.demo import PROMPT, picture
from screenshots.make import COVER, LOOKS, Look, drifted, walk
from screenshots.scenes import FOLDER, make_tree
from tests.tui.snapshots.walks import PAGES, WALKS


@pytest.mark.slow
@pytest.mark.parametrize(
    "look", [look for look in LOOKS if look.ascii_only], ids=lambda look: look.suffix
)
async def test_pictures_are_as_the_wizard_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Look
) -> None:
    make_tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    pictures = await walk(look, tmp_path)
    assert not drifted(pictures), "take them anew: python -m screenshots.make"


def test_every_picture_is_watched() -> None:
    scenes = {file.stem.rpartition("-")[0] for file in PAGES.iterdir()}
    watched = {name for one in WALKS for scene in scenes for name in one.pictures(scene)}
    here = {f"{scene}{look.suffix}.svg" for look in LOOKS if look.ascii_only for scene in scenes}
    pictures = {file.name for file in FOLDER.glob("*.svg")} - {"wizard.svg", "demo.svg"}
    assert watched <= pictures <= watched | here


def test_every_picture_has_its_png_and_the_cover_is_one_of_them() -> None:
    for svg in FOLDER.glob("*.svg"):
        assert svg.with_suffix(".png").is_file(), svg.name
    assert (FOLDER / "wizard.svg").read_text() == (FOLDER / f"{COVER}.svg").read_text()


def test_the_cast_is_asciicast_and_ends_with_an_image() -> None:
    lines = (FOLDER / "build.cast").read_text(encoding="utf-8").splitlines()
    header = json.loads(lines[0])
    assert (header["version"], header["width"], header["height"]) == (2, 100, 30)
    times, painted = [], b""
    for line in lines[1:]:
        moment, kind, data = json.loads(line)
        assert kind == "o"
        times.append(moment)
        painted += data.encode()
    assert times == sorted(times)
    screen = pyte.Screen(100, 30)
    pyte.ByteStream(screen).feed(painted)
    text = "\n".join(screen.display)
    assert "Built web-server" in text
    assert "100 %" in text


def test_the_demo_ends_with_a_disk_that_boots_both_ways() -> None:
    lines = (FOLDER / "demo.cast").read_text(encoding="utf-8").splitlines()
    header, *shown = map(json.loads, lines)
    text = "".join(data for _, _, data in shown)
    assert header["version"] == 2
    assert [moment for moment, _, _ in shown] == sorted(moment for moment, _, _ in shown)
    assert text.startswith(f"{PROMPT}id -u\r\n1000")
    for firmware in ("BIOS", "UEFI"):
        assert f"tiny: booted by {firmware}" in text
    assert picture([(moment, data) for moment, _, data in shown]) == (
        FOLDER / "demo.svg"
    ).read_text(encoding="utf-8")
