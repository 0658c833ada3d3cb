"""Takes the pictures of the documentation: `python -m screenshots.make`.

SVGs are the same every time; a test compares them with what the wizard shows today. PNGs are made
from them where a headless Chromium is installed. `--check` only compares.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from screenshots.scenes import FOLDER, make_app, make_tree, picture, tour
from tui.theme import DARK, LIGHT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Look:
    """One walk through the wizard.

    Attributes:
        suffix: Of the pictures' names.
        scenes: Which pages are kept; all if empty.
    """

    suffix: str
    size: tuple[int, int]
    theme: str
    scenes: frozenset[str] = frozenset()
    ascii_only: bool = False


LOOKS = (
    Look("", (120, 36), DARK.name),
    Look("-light", (120, 36), LIGHT.name, frozenset({"size", "build"})),
    Look("-80x24", (80, 24), DARK.name, frozenset({"size", "contents", "image", "build"})),
    Look("-ascii", (80, 24), "ansi-dark", frozenset({"size"}), ascii_only=True),
)
COVER = "layout"
"""The page that the README shows first, as wizard.svg."""


async def walk(look: Look, folder: Path) -> dict[str, str]:
    """Returns the pictures of one look, by file name."""
    pictures = {}
    app = make_app(folder, theme=look.theme, ascii_only=look.ascii_only)
    async with app.run_test(size=look.size) as pilot:
        async for scene in tour(app, pilot, folder):
            if not look.scenes or scene in look.scenes:
                pictures[f"{scene}{look.suffix}.svg"] = picture(app)
    return pictures


def take() -> dict[str, str]:
    """Returns every picture, by file name."""
    before = Path.cwd()
    pictures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tree(folder)
        os.chdir(folder)
        try:
            for look in LOOKS:
                pictures |= asyncio.run(walk(look, folder))
        finally:
            os.chdir(before)
    pictures["wizard.svg"] = pictures[f"{COVER}.svg"]
    return pictures


def drifted(pictures: dict[str, str], folder: Path = FOLDER) -> list[str]:
    """Returns the names of pictures that are not as the folder has them."""
    return [
        name
        for name, svg in pictures.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != svg
    ]


def render(svg: Path) -> bool:
    """Makes a PNG beside an SVG; whether a browser was there to do so."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        return False
    head = svg.read_text(encoding="utf-8")[:400]
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    assert view is not None, f"{svg} has no viewBox"
    width, height = (round(float(part)) for part in view.groups())
    png = svg.with_suffix(".png")
    with tempfile.TemporaryDirectory() as profile:
        page = Path(profile, "page.html")
        page.write_text(
            "<style>html,body{margin:0;background:transparent}img{display:block}</style>"
            f'<img src="{svg.resolve().as_uri()}" width="{width}" height="{height}">'
        )
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-background-networking", "--default-background-color=00000000",
                f"--user-data-dir={profile}", f"--window-size={width},{height}",
                f"--screenshot={png.resolve()}", page.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
    return True


def main() -> int:
    """Takes, compares, writes."""
    parser = argparse.ArgumentParser(prog="python -m screenshots.make", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("--only", default="", help="write only pictures whose name has this")
    args = parser.parse_args()
    pictures = {name: svg for name, svg in take().items() if args.only in name}
    changed = drifted(pictures)
    if args.check:
        for name in changed:
            print(f"not as the wizard is: {name}", file=sys.stderr)
        return 1 if changed else 0
    for name, svg in pictures.items():
        path = FOLDER / name
        path.write_text(svg, encoding="utf-8")
        if (name in changed or not path.with_suffix(".png").exists()) and not render(path):
            print("no Chromium: PNGs are left as they are", file=sys.stderr)
    print(f"{len(pictures)} pictures, {len(changed)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
