"""The serial console of an image that boots in QEMU, as a screen of text. Knows no widgets."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyte

from engine.boot.qemu import CORRUPTION, VirtualMachine, plain, unfinished
from engine.problem import Refused
from engine.tools.environment import tool_environment
from engine.tools.failure import StepFailed
from engine.tools.runner import run
from tui.progress import clock as minutes
from tui.proofs import Proof, badge

COLUMNS, LINES = 80, 24
"""What those who write to a serial port take a terminal for."""
EXPECTED = "login:"
_CORRUPT = "not proved: dm-verity read a block that is not what was hashed"
_WINDOW = 1 << 14
"""Characters of the console's end in which the expected is looked for."""
_KEYS = {
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D",
    "home": "\x1b[H", "end": "\x1b[F", "insert": "\x1b[2~", "delete": "\x1b[3~",
    "pageup": "\x1b[5~", "pagedown": "\x1b[6~", "shift+tab": "\x1b[Z", "backspace": "\x7f",
    "enter": "\r", "tab": "\t", "escape": "\x1b",
    "f1": "\x1bOP", "f2": "\x1bOQ", "f3": "\x1bOR", "f4": "\x1bOS", "f5": "\x1b[15~",
    "f6": "\x1b[17~", "f7": "\x1b[18~", "f8": "\x1b[19~", "f9": "\x1b[20~", "f10": "\x1b[21~",
    "f11": "\x1b[23~", "f12": "\x1b[24~",
}  # fmt: skip
"""What a VT220 sends for keys that are not characters (xterm, "Control Sequences")."""


class Terminal(pyte.HistoryScreen):
    """The guest's screen; a sequence that is not known changes nothing."""

    def __init__(self, columns: int, lines: int, answer: Callable[[str], None]) -> None:
        super().__init__(columns, lines, history=2000)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        """Answers a question of the guest, such as where the cursor is."""
        self._answer(data)

    def select_graphic_rendition(self, *attributes: int, **given: bool) -> None:
        """Takes colours; what xterm alone has (`CSI > m`) says nothing of them."""
        if not given.get("private"):
            super().select_graphic_rendition(*attributes)


def key_bytes(key: str, character: str | None) -> bytes:
    """Returns what a terminal sends for a key, b"" for one that it has not."""
    if key in _KEYS:
        return _KEYS[key].encode()
    if character:
        return character.encode()
    if key.startswith("alt+") and len(key) == 5:
        return b"\x1b" + key[4:].encode()
    if key.startswith("ctrl+") and len(key) == 6 and key[5].isalpha():
        return bytes([ord(key[5]) & 0x1F])
    return b""


class ConsoleSession:
    """Boots an image and holds its console; nothing is written to the image.

    Attributes:
        image: What is booted.
        screen: The console, to be drawn.
        ended: How it ended, in words; "" while it runs.
        proof: That the expected text was seen, once it was.
        changed: How often the screen has changed.
    """

    def __init__(self, image: Path, clock: Callable[[], float], expected: str = EXPECTED) -> None:
        self.image = image
        self.screen = Terminal(COLUMNS, LINES, self._answer)
        self.ended = ""
        self.proof: Proof | None = None
        self.changed = 0
        self._stream = pyte.Stream(self.screen, strict=False)
        self._expected = expected
        self._pattern = re.compile(expected)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = self._recent = ""
        self._clock = clock
        self._begun = clock()
        self._firmware = ""
        self._keys: int | None = None
        self._corrupt = False

    # ------------------------------------------------------------------ how it stands

    @property
    def head(self) -> str:
        """What it does."""
        return f"Console of {self.image.name}" + (f", {self._firmware}" if self._firmware else "")

    @property
    def figure(self) -> str:
        """What is proved, how it ended, or for how long it has run."""
        seen = badge((self.proof,)) if self.proof else _CORRUPT if self._corrupt else ""
        return ", ".join(filter(None, (seen, self.ended))) or f"{minutes(self._elapsed)} so far"

    @property
    def takes_keys(self) -> bool:
        """Whether a machine runs that keys go to."""
        return self._keys is not None

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._begun

    # ------------------------------------------------------------------ what happens

    async def run(self, machines: Callable[[Path], list[VirtualMachine]]) -> None:
        """Boots the image until the machine is off; cancelled, it ends within seconds.

        Args:
            machines: Returns the machines that can boot the image; the first is taken.
        """
        try:
            machine = (await asyncio.to_thread(machines, self.image))[0]
            await self._boot(machine)
        except Refused as refused:
            first = refused.problems[0]
            self.ended = first.message
            self.feed(f"{first.message}\r\n{first.hint}\r\n".encode(errors="replace"))
        except StepFailed as failed:
            self.ended = "QEMU failed"
            self.feed(f"\r\n{failed.message}\r\n".encode(errors="replace"))
        except OSError as error:
            self.ended = "QEMU cannot be started"
            self.feed(f"\r\n{error}\r\n".encode(errors="replace"))
        else:
            self.ended = "the machine is off"
        self.changed += 1

    async def _boot(self, machine: VirtualMachine) -> None:
        from engine.pipeline.proof import choose_accelerator

        self._firmware = machine.firmware.upper()
        accelerator, _why = await choose_accelerator(machine)
        with tempfile.TemporaryDirectory(prefix="diskwright-boot-") as folder:
            machine = replace(machine, accelerator=accelerator)
            if machine.code:
                copy = Path(folder, "variables.fd")
                await asyncio.to_thread(shutil.copyfile, machine.variables, copy)
                machine = replace(machine, variables=str(copy))
            reading, self._keys = os.pipe()
            os.set_blocking(self._keys, False)
            self._begun = self._clock()
            try:
                await run(
                    machine.argv(), step="boot", emit=lambda _event: None, env=tool_environment(),
                    raw=self.feed, keys=reading, quiet=True,
                )  # fmt: skip
            finally:
                os.close(reading)
                os.close(self._keys)
                self._keys = None

    def feed(self, data: bytes) -> None:
        """Takes what the console printed."""
        text = self._decoder.decode(data)
        # Sequences of a guest that pyte cannot take are its faults: the text goes on behind them.
        with suppress(TypeError, ValueError, IndexError, KeyError):
            self._stream.feed(text)
        self.changed += 1
        text = self._pending + text
        self._pending = unfinished(text)
        self._recent += plain(text[: len(text) - len(self._pending)])
        self._recent = self._recent[-_WINDOW:]
        if not self._corrupt and re.search(CORRUPTION, self._recent):
            # The system goes on all the same, but is not the one that was sealed.
            self._corrupt, self.proof = True, None
        if self.proof is None and not self._corrupt and self._pattern.search(self._recent):
            self.proof = Proof(self._firmware, self._expected, self._elapsed)

    def press(self, data: bytes) -> None:
        """Sends keys to the machine; a machine that reads none for long loses them."""
        if self._keys is not None:
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._keys, data)

    def _answer(self, text: str) -> None:
        self.press(text.encode())
