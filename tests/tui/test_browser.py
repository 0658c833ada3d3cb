"""The wizard in a real browser through `serve`: with the mouse, and without function keys."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.browser import browsing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Serves the wizard, its home and its files below a folder of its own."""
    (tmp_path / "rootfs" / "etc").mkdir(parents=True)
    (tmp_path / "rootfs" / "etc" / "hostname").write_text("lab\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folders = {"XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state", "HOME": "home"}
    server = subprocess.Popen(
        (sys.executable, "-m", "engine.cli", "serve", "--port", str(port)),
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TEXTUAL_ANIMATIONS": "none"}
        | {name: str(tmp_path / folder) for name, folder in folders.items()},
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(20)


async def up(url: str) -> None:
    host, port = url.removeprefix("http://").strip("/").split(":")
    async with asyncio.timeout(120):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                await writer.wait_closed()
                return


@pytest.mark.slow
async def test_an_image_is_designed_by_mouse_and_keyboard(served: str, tmp_path: Path) -> None:
    await up(served)
    async with browsing(served, tmp_path / "profile", (1200, 800)) as page:
        await page.click("Hybrid stick")
        await page.sees("▸1 Layout")
        await page.press("^g")
        await page.sees("Keys: press one, or its letter")
        await page.press("n")
        await page.sees("▸2 Size")
        await page.click("4 Contents")
        await page.sees("Press a to add")
        await page.click("Add (a)")
        await page.sees("Source")
        await page.press("rootfs/", "Enter")
        await page.sees("1 file")
        await page.press("^g")
        await page.sees("Keys: press one, or its letter")
        await page.press("s")
        await page.sees("Save the spec")
        await page.press("Enter")
        spec = tmp_path / "stick.toml"
        await page.until(spec.exists)
        await page.press("F1")
        await page.sees("Each row copies a file")
        await page.press("Escape")
        assert (await page.picture()).startswith(b"\x89PNG")
    saved = tomllib.loads(spec.read_text())
    assert saved["layout"]["table"] == "hybrid"
    assert [entry["source"] for entry in saved["contents"]] == ["rootfs/"]
