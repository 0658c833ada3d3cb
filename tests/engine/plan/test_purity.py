"""Planning cannot write: no file is opened, no process started, but for the host's probes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

PROGRAM = """
import os, sys
from pathlib import Path
from tests.engine.plan.support import Contents, TABLES, file, host, manifest, plan, settings
from engine.plan import host as probes
from engine.plan.as_json import to_json
from engine.plan.as_text import to_text

contents = Contents(manifest([file(b"f", 5000)]), manifest([file(b"E", 5)]))
for table in TABLES:  # first, so that every module is imported
    to_text(plan(settings(table, disk=700), contents))

seen = []
EFFECTS = ("open", "os.", "shutil.", "subprocess.", "socket.", "tempfile.", "pty.", "ctypes.")
def watch(event, arguments):
    if watching and event.startswith(EFFECTS):
        seen.append((event, arguments))
sys.addaudithook(watch)

watching = True
for table in TABLES:
    for compat in ("none", "make-disk-image"):
        for disk in (None, "10MiB", 700):
            made = plan(settings(table, compat=compat, disk=disk), contents)
            to_json(made), to_text(made)
watching = False
assert seen == [], seen

watching = True
probes.probe(settings("efi"), Path(sys.argv[1]) / "not" / "there")
watching = False
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
assert seen, "the hook sees nothing"
for event, arguments in seen:
    if event == "open":
        path, mode, flags = arguments
        assert path == os.devnull or not (flags or 0) & WRITING, arguments
    elif event == "subprocess.Popen":
        words = [os.fsdecode(word) for word in arguments[1]]
        assert words[1:] in (["--version"], ["-V"], ["--help"]), words
    else:
        assert event in ("os.listdir", "os.scandir", "os.putenv", "os.posix_spawn"), event
"""


def test_planning_touches_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        (sys.executable, "-c", PROGRAM, tmp_path), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
