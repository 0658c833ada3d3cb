"""Records the demo of the README: `python -m screenshots.demo KERNEL`.

A folder with a kernel becomes a disk, and the disk boots under BIOS and UEFI, as an ordinary user.
What the commands print is recorded as it comes, as an asciicast
(https://docs.asciinema.org/manual/asciicast/v2/), and the last screen becomes a picture. Waits of
more than two seconds are shown as two by players; the times in the text are real.
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

from screenshots.make import render
from screenshots.scenes import FOLDER, cleaned

PROJECT = FOLDER.parent
SIZE = (92, 34)
USER = 1000
"""Whom the commands run as, where root records."""
COMMANDS = (
    "id -u",
    "ls examples/tiny/tree examples/tiny/tree/boot",
    "diskwright build examples/tiny/tiny.toml -o tiny",
    "diskwright boot tiny/tiny.img --firmware both --expect 'tiny: booted.*s' > console.log",
    "grep -ao 'tiny: booted.*' console.log",
)
PROMPT = "\x1b[1;32m$\x1b[0m "
AFTERWARDS = 3.0
"""Seconds for which the last screen is shown."""

Frame = tuple[float, str]


def prepare(folder: Path, kernel: Path) -> None:
    """Puts the example, its tree and a launcher into a folder that anybody may use."""
    shutil.copytree(PROJECT / "examples/tiny", folder / "examples/tiny")
    subprocess.run(
        [folder / "examples/tiny/make.sh", kernel], check=True, stdout=subprocess.DEVNULL
    )
    launcher = folder / "bin" / "diskwright"
    launcher.parent.mkdir()
    # Root's own Python may be out of the ordinary user's reach.
    python = "/usr/bin/python3" if os.getuid() == 0 else sys.executable
    launcher.write_text(f'#!/bin/sh\nexec {python} -P -m engine.cli "$@"\n')
    launcher.chmod(0o755)
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)


def frames(folder: Path) -> Iterator[Frame]:
    """Runs the commands in a terminal; yields what it shows, with seconds since the beginning."""
    begun = time.monotonic()

    def now() -> float:
        return round(time.monotonic() - begun, 3)

    for command in COMMANDS:
        yield now(), PROMPT
        for letter in command:
            time.sleep(0.02)
            yield now(), letter
        time.sleep(0.4)
        yield now(), "\r\n"
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for data in _run(command, folder):
            yield now(), decoder.decode(data)
    yield now(), PROMPT
    time.sleep(AFTERWARDS)
    yield now(), ""


def _run(command: str, folder: Path) -> Iterator[bytes]:
    packages = sysconfig.get_path("purelib")  # before rights are given up
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(USER)
            os.setuid(USER)
        environment = {
            "PATH": f"{folder}/bin:/usr/bin:/bin:/usr/sbin:/sbin", "TERM": "xterm-256color",
            "HOME": str(folder), "LANG": "C.UTF-8",
            "PYTHONPATH": f"{PROJECT}:{packages}",
        }  # fmt: skip
        os.execve("/bin/sh", ["sh", "-c", command], environment)
    columns, rows = SIZE
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    while select.select([terminal], [], [], 300)[0]:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not data:
            break
        yield data
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    code = os.waitstatus_to_exitcode(status)
    if code:
        sys.exit(f"{command} ended with {code}")


def picture(shown: list[Frame]) -> str:
    """Returns the last screen as an SVG."""
    columns, rows = SIZE
    screen = pyte.Screen(columns, rows)
    stream = pyte.Stream(screen)
    for _, text in shown:
        stream.feed(text)
    used = max(row for row, line in enumerate(screen.display) if line.strip()) + 1
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=columns, file=nowhere, color_system="truecolor")
        for row in range(used):
            line = Text()
            for column in range(columns):
                cell = screen.buffer[row][column]
                colour = None if cell.fg == "default" else cell.fg.replace("brown", "yellow")
                line.append(cell.data, Style(color=colour and _colour(colour), bold=cell.bold))
            line.rstrip()
            console.print(line, no_wrap=True, overflow="crop")
    return cleaned(console.export_svg(title="a folder becomes a disk", unique_id="demo"))


def _colour(name: str) -> str:
    """Returns a colour of pyte as rich knows it: by name, or as six digits."""
    return f"#{name}" if len(name) == 6 and set(name) <= set("0123456789abcdef") else name


def main() -> None:
    """Records, and writes demo.cast and demo.svg."""
    kernel = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        prepare(folder, kernel)
        shown = [(at, text.replace(name, "~")) for at, text in frames(folder)]
    columns, rows = SIZE
    header = {"version": 2, "width": columns, "height": rows, "idle_time_limit": 2,
              "title": "A folder becomes a disk that boots under BIOS and UEFI"}  # fmt: skip
    lines = [header, *([at, "o", text] for at, text in shown)]
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    (FOLDER / "demo.cast").write_text(text, encoding="utf-8")
    still = FOLDER / "demo.svg"
    still.write_text(picture(shown), encoding="utf-8")
    if not render(still):
        sys.exit("no Chromium: demo.png is left as it is")


if __name__ == "__main__":
    main()
