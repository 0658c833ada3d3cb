"""The command in a process of its own, without Python's start in front of each.

What a command imports takes ten times longer than what most of them do. So one process of each test
run, the nursery, imports the engine once and forks for each command: its child has the folder, the
environment and the streams of who started it, and ends as any command does. A test that is about
the start itself, signals or limits runs `python -m engine.cli`.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.cli.main import main
from tests.support.ordinary import import_all

ROOT = Path(__file__).parents[2]
_STREAMS = 3
_CLIENT = """\
import json, os, socket, sys
nursery = socket.socket(socket.AF_UNIX)
nursery.connect(sys.argv[1])
request = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(nursery, [len(request).to_bytes(4, "big")], [0, 1, 2])
nursery.sendall(request)
for stream in 0, 1, 2:
    os.close(stream)  # the command alone holds them: their readers see its end
status = nursery.recv(1)
os._exit(status[0] if status else 255)
"""
"""Runs in a Python that imports next to nothing (-I -S)."""


@functools.cache
def command() -> tuple[str, ...]:
    """Returns the words that run a command in a child of this process's nursery."""
    folder = Path(tempfile.mkdtemp(prefix="diskwright-nursery-"))
    client = folder / "client.py"
    client.write_text(_CLIENT)
    place = folder / "socket"
    nursery = subprocess.Popen(
        (sys.executable, "-P", "-m", __name__, place),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    assert nursery.stdout.read(1), "the nursery did not start"
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(nursery.communicate)  # it ends when its input does
    return (sys.executable, "-I", "-S", str(client), str(place))


def _serve(place: str) -> None:
    """Forks for each command that is asked for at a socket, until the input ends."""
    import_all()
    gc.freeze()  # so that children need not copy what they never free
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(place)
    listening.listen()
    os.write(1, b".")
    with selectors.EpollSelector() as events:
        events.register(listening, selectors.EVENT_READ)
        events.register(0, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fileobj == 0:
                    return
                if key.fileobj is listening:
                    client, _ = listening.accept()
                    child = _born(client, (listening.fileno(), events.fileno()))
                    events.register(os.pidfd_open(child), selectors.EVENT_READ, (child, client))
                    continue
                child, client = key.data
                _, status = os.waitpid(child, 0)
                code = os.waitstatus_to_exitcode(status)
                client.send(bytes([code if code >= 0 else 128 - code]))
                client.close()
                events.unregister(key.fd)
                os.close(key.fd)


def _born(client: socket.socket, ours: tuple[int, ...]) -> int:
    """Reads a request and returns the child that runs it; in the child itself, never returns."""
    head, streams, _, _ = socket.recv_fds(client, 4, _STREAMS)
    with client.makefile("rb") as file:
        argv, folder, environment = json.loads(file.read(int.from_bytes(head, "big")))
    if child := os.fork():
        for stream in streams:
            os.close(stream)
        return child
    for fd in (client.fileno(), *ours):
        os.close(fd)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    sys.argv[1:] = argv
    sys.exit(main())


if __name__ == "__main__":
    _serve(sys.argv[1])
