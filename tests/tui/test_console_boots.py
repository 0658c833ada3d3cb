"""A system that boots in the console pane, and somebody who logs in to it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.booting import alone, build_image, cache_folder
from tests.support.busybox import fetch_kernel, make_root
from tests.tui.conftest import MakeApp, eventually, shown
from tui.screens.build import BuildScreen
from tui.screens.console import ConsoleScreen

_INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev 2>/dev/null
printf 'lab login: '
read name
echo "welcome, $name"
exec sh
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk for a BIOS whose init asks for a name."""
    with alone("kernel"):
        kernel = fetch_kernel(cache_folder())
    folder = tmp_path_factory.mktemp("login")
    root = folder / "root"
    root.mkdir()
    make_root(kernel, root, folder)
    (root / "init").write_text(_INIT)
    built = build_image(root, folder / "image", "layout.table=legacy", "boot.loader=grub")
    return built.image


@pytest.mark.slow
async def test_somebody_logs_in_and_nothing_is_left(
    make_app: MakeApp, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = _written(image)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await app.builds.verb(BuildScreen.VerbWanted("boot", image))
        console = app.screen
        assert isinstance(console, ConsoleScreen)
        await eventually(pilot, lambda: console.work.proof, lambda: console.work.ended)
        await eventually(pilot, lambda: "boots: BIOS, login: in " in shown(app))
        await pilot.press(*"alice", "enter")
        await eventually(pilot, lambda: "welcome, alice" in shown(app))
        assert _machines(image)
        begun = time.monotonic()
        await pilot.press("ctrl+right_square_bracket")
        await eventually(pilot, lambda: not _machines(image))
        assert time.monotonic() - begun < 5
        await eventually(pilot, lambda: not list(scratch.iterdir()))
    assert _written(image) == before


def _written(image: Path) -> int:
    return image.stat().st_mtime_ns


def _machines(image: Path) -> list[Path]:
    """Returns the processes that have an image in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(image).encode() in process.read_bytes():
                found.append(process)
        except OSError:  # gone since
            continue
    return found
