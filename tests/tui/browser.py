"""A headless Chromium driven over its DevTools protocol, and what it shows of a terminal.

The terminal's text is what the page got through its web socket, drawn by pyte: xterm.js itself
draws on a canvas. Keys and clicks go the whole way, through the browser's own input.
"""

from __future__ import annotations

import asyncio
import base64
import codecs
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pyte

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120
"""Seconds that something may take to appear: far above what any machine needs."""
_KEYS = {
    "Enter": 13, "Escape": 27, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38, "ArrowLeft": 37,
    "ArrowRight": 39, "F1": 112, "F5": 116, "F6": 117, "Backspace": 8,
}  # fmt: skip
"""Keys that are not characters, and their Windows codes (UI Events KeyboardEvent)."""
_CONTROL = 2
"""Modifier of `Input.dispatchKeyEvent`."""


class Page:
    """One page with a terminal in it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.columns = self.rows = 0
        self.terminal: pyte.Screen | None = None
        self._stream: pyte.Stream | None = None

    async def listen(self) -> None:
        """Takes what the browser tells, until it is closed."""
        async for message in self._socket:
            told = json.loads(message.data)
            if told.get("id") in self._answers:
                self._answers.pop(told["id"]).set_result(told)
            elif told.get("method") == "Network.webSocketFrameReceived":
                self._received(told["params"]["response"])
            elif told.get("method") == "Network.webSocketFrameSent":
                self._sent(told["params"]["response"])

    def _received(self, frame: dict[str, Any]) -> None:
        if frame["opcode"] == 2 and self._stream is not None:
            self._stream.feed(self._decoder.decode(base64.b64decode(frame["payloadData"])))

    def _sent(self, frame: dict[str, Any]) -> None:
        """Learns the size of the terminal: the page tells the server."""
        if frame["opcode"] == 1 and '"resize"' in frame["payloadData"]:
            _, size = json.loads(frame["payloadData"])
            self.columns, self.rows = size["width"], size["height"]
            self.terminal = pyte.Screen(self.columns, self.rows)
            self._stream = pyte.Stream(self.terminal, strict=False)

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """Calls a method of the protocol; returns its result."""
        number = next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._socket.send_json({"id": number, "method": method, "params": params})
        told: dict[str, Any] = await asyncio.wait_for(answer, PATIENCE)
        assert "error" not in told, told
        return dict(told["result"])

    @property
    def text(self) -> str:
        """What the terminal shows."""
        return "" if self.terminal is None else "\n".join(self.terminal.display)

    async def until(self, holds: Callable[[], object]) -> None:
        """Waits until something holds of the page."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds():  # noqa: ASYNC110  (what it waits for is another process)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {PATIENCE} s:\n{self.text}") from None

    async def sees(self, text: str) -> None:
        """Waits until the terminal shows a text."""
        await self.until(lambda: text in self.text)

    async def press(self, *keys: str) -> None:
        """Presses keys: "Enter", "^g" for Ctrl+G, or characters."""
        for key in keys:
            if key in _KEYS:
                await self._key(key, _KEYS[key], text="\r" if key == "Enter" else "")
            elif len(key) == 2 and key[0] == "^":
                await self._key(key[1], ord(key[1].upper()), modifiers=_CONTROL)
            else:
                await self.call("Input.insertText", text=key)

    async def _key(self, key: str, code: int, *, text: str = "", modifiers: int = 0) -> None:
        told = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        kind = "keyDown" if text else "rawKeyDown"
        await self.call("Input.dispatchKeyEvent", type=kind, text=text, **told)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    async def click(self, text: str) -> None:
        """Clicks the middle of a text of the terminal."""
        await self.sees(text)
        row, line = next(
            (row, line) for row, line in enumerate(self.text.split("\n")) if text in line
        )
        column = line.index(text) + len(text) / 2
        box = (
            await self.call(
                "Runtime.evaluate",
                expression="JSON.stringify(document.querySelector('.xterm-screen')"
                ".getBoundingClientRect())",
            )
        )["result"]["value"]
        place = json.loads(box)
        x = place["x"] + column * place["width"] / self.columns
        y = place["y"] + (row + 0.5) * place["height"] / self.rows
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    async def picture(self) -> bytes:
        """Returns what the page looks like, as a PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def browsing(url: str, profile: Path, size: tuple[int, int]) -> AsyncIterator[Page]:
    """Opens a page in a browser of its own, which reaches nothing but this machine."""
    browser = next(found for name in NAMES if (found := shutil.which(name)))
    process = await asyncio.create_subprocess_exec(
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update",
        "--remote-debugging-port=0",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await _port_of(profile)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                targets = await answer.json()
            target = next(one for one in targets if one["type"] == "page")
            address = target["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                await page.call("Network.enable")
                await page.call("Page.enable")
                await page.call("Page.navigate", url=url)
                try:
                    yield page
                finally:
                    await page.call("Browser.close")
                    await asyncio.wait({listening}, timeout=10)
                    listening.cancel()
    finally:
        if process.returncode is None:
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _port_of(profile: Path) -> int:
    """Returns the port that a browser has chosen: it writes it into its profile."""
    file = profile / "DevToolsActivePort"
    async with asyncio.timeout(PATIENCE):
        while True:
            text = await asyncio.to_thread(_read, file)
            if "\n" in text:
                return int(text.split("\n")[0])
            await asyncio.sleep(0.05)


def _read(file: Path) -> str:
    return file.read_text() if file.is_file() else ""
