"""The pictures of the documentation show the wizard as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pyte
import pytest

from screenshots.make import COVER, LOOKS, drifted, walk
from screenshots.scenes import FOLDER, make_tree


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.suffix or "plain")
async def test_pictures_are_as_the_wizard_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: object
) -> None:
    make_tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert look in LOOKS
    pictures = await walk(LOOKS[LOOKS.index(look)], tmp_path)
    assert not drifted(pictures), "take them anew: python -m screenshots.make"


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
