"""Records the build page as an asciinema cast: `python -m screenshots.record`.

The recorded build is replayed in a real pseudo-terminal; what it paints is written with its times
as asciicast v2 (https://docs.asciinema.org/manual/asciicast/v2/). Play it with
`asciinema play screenshots/build.cast`.
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import select
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

from screenshots.scenes import BUILT, FOLDER

SIZE = (100, 30)
AFTERWARDS = 2.0
"""Seconds for which the finished page is shown."""
DONE = b"Built web-server"


def record(target: Path) -> None:
    """Writes the cast of a replay."""
    columns, rows = SIZE
    header = {"version": 2, "width": columns, "height": rows, "title": "diskwright",
              "env": {"TERM": "xterm-256color"}}  # fmt: skip
    lines = [json.dumps(header)]
    with tempfile.TemporaryDirectory() as home:
        pid, master = pty.fork()
        if pid == 0:
            environment = {
                **os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "HOME": home,
                "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home,
            }  # fmt: skip
            argv = [sys.executable, "-m", "engine.cli", "replay", str(BUILT)]
            os.execve(sys.executable, argv, environment)
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        decoder = codecs.getincrementaldecoder("utf-8")()
        begun, end, seen = 0.0, None, b""
        while end is None or time.monotonic() < end:
            if not select.select([master], [], [], 0.05)[0]:
                continue
            data = os.read(master, 1 << 16)
            begun = begun or time.monotonic()
            seen = (seen + data)[-65536:]
            if end is None and DONE in seen:
                end = time.monotonic() + AFTERWARDS
            lines.append(json.dumps([round(time.monotonic() - begun, 3), "o",
                                     decoder.decode(data)], ensure_ascii=False))  # fmt: skip
        os.write(master, b"\x11")
        while select.select([master], [], [], 2)[0]:
            try:
                if not os.read(master, 1 << 16):
                    break
            except OSError:
                break
        os.waitpid(pid, 0)
        os.close(master)
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(FOLDER / "build.cast")
