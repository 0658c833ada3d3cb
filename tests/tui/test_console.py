"""The boot console in a pane: it takes keys, draws anything, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.boot.firmware import FirmwareKind
from engine.problem import Problem, Refused
from tests.tui.conftest import MakeApp, eventually, shown
from tui.consoles import ConsoleSession, key_bytes
from tui.proofs import badge
from tui.screens.build import BuildScreen
from tui.screens.console import ConsoleScreen


@dataclass(frozen=True)
class Echo:
    """A machine that says what it is told."""

    accelerator: str = "tcg"
    code: str = ""
    variables: str = ""
    firmware: FirmwareKind = "bios"
    architecture: str = "x86_64"
    command: tuple[str, ...] = ("cat",)

    def argv(self) -> tuple[str, ...]:
        return self.command


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr("engine.pipeline.proof.kvm_is_plausible", lambda *_: (False, "a test"))
    return folder


def text_of(session: ConsoleSession) -> str:
    return "\n".join(line.rstrip() for line in session.screen.display).rstrip()


def left(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  (what it waits for is another process)
            await asyncio.sleep(0.01)


async def test_keys_reach_the_machine_and_its_words_the_screen(scratch: Path) -> None:
    session = ConsoleSession(Path("disk.img"), time.monotonic)
    running = asyncio.create_task(session.run(lambda _: [Echo()]))  # type: ignore[list-item]
    await until(lambda: session.takes_keys)
    assert left(scratch)
    session.press(b"box login: ")
    await until(lambda: "box login:" in text_of(session))
    assert session.proof is not None
    assert badge((session.proof,)).startswith("boots: BIOS, login: in ")
    begun = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - begun < 5
    assert left(scratch) == []
    session.press(b"nobody hears this")


async def test_how_a_machine_ends_is_told(scratch: Path) -> None:
    session = ConsoleSession(Path("disk.img"), time.monotonic)
    await session.run(lambda _: [Echo(command=("echo", "\x1b[31mbye"))])  # type: ignore[list-item]
    assert session.ended == "the machine is off"
    assert text_of(session) == "bye"
    assert session.screen.buffer[0][0].fg == "red"

    def refuse(_: Path) -> list[object]:
        raise Refused([Problem("tool-missing", "error", "", "QEMU is not installed", "install it")])

    await session.run(refuse)  # type: ignore[arg-type]
    assert session.ended == "QEMU is not installed"
    await session.run(lambda _: [Echo(command=("false",))])  # type: ignore[list-item]
    assert session.ended == "QEMU failed"


def test_what_dm_verity_complains_of_is_no_proof() -> None:
    session = ConsoleSession(Path("disk.img"), lambda: 0.0)
    session.feed(b"box login: ")
    assert session.proof is not None
    session.feed(b"device-mapper: verity: 253:0: data block 7 is corrupted\r\nbox login: ")
    assert session.proof is None
    assert session.figure.startswith("not proved: dm-verity read a block")


@given(st.lists(st.binary(max_size=60) | st.text("\x1b[]()?>;0123456789hlmHJKrcnq", max_size=20)))
def test_nothing_a_guest_prints_breaks_the_console(pieces: list[bytes | str]) -> None:
    session = ConsoleSession(Path("disk.img"), lambda: 0.0)
    for piece in pieces:
        session.feed(piece.encode() if isinstance(piece, str) else piece)
    session.feed(b"\x1bc\x1b[mlogin:")
    assert session.proof is not None
    assert len(session.screen.display) == 24


@pytest.mark.parametrize(
    ("key", "character", "sent"),
    [
        ("a", "a", b"a"), ("ä", "ä", "ä".encode()), ("enter", "\r", b"\r"), ("up", None, b"\x1b[A"),
        ("ctrl+c", "\x03", b"\x03"), ("ctrl+d", None, b"\x04"), ("backspace", "\x7f", b"\x7f"),
        ("escape", "\x1b", b"\x1b"), ("f2", None, b"\x1bOQ"), ("alt+x", None, b"\x1bx"),
        ("shift+f24", None, b""),
    ],
)  # fmt: skip
def test_a_key_is_sent_as_a_terminal_sends_it(key: str, character: str | None, sent: bytes) -> None:
    assert key_bytes(key, character) == sent


async def test_the_pane_gives_every_key_to_the_machine_and_ends_it(
    make_app: MakeApp, home: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.cli.boot.machines_for", lambda _image: [Echo()])
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await app.builds.verb(BuildScreen.VerbWanted("boot", home / "disk.img"))
        console = app.screen
        assert isinstance(console, ConsoleScreen)
        await eventually(pilot, lambda: console.work.takes_keys)
        await pilot.press(*"f1 q?", "escape", "tab", "enter")
        await eventually(pilot, lambda: "f1 q?" in shown(app))
        await pilot.press("ctrl+right_square_bracket")
        await eventually(pilot, lambda: not isinstance(app.screen, ConsoleScreen))
        await eventually(pilot, lambda: not left(scratch))
