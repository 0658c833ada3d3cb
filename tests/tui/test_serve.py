"""Serving a browser: this machine, and nobody else."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from engine.problem import Refused
from tui.serve import check, host_of, is_loopback

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True),
        ("localhost", True), ("0.0.0.0", False), ("::", False), ("192.168.1.5", False),
        ("example.org", False), ("", False), ("127.0.0.1.example.org", False),
        ("localhost.example.org", False),
    ],
)  # fmt: skip
def test_loopback(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


def test_the_port_is_no_part_of_a_host() -> None:
    assert [host_of(text) for text in ("localhost:80", "[::1]:80", "::1", "a")] == [
        "localhost", "::1", "", "a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("host", "port", "code"),
    [("0.0.0.0", 8000, "serve-host"), ("127.0.0.1", 0, "serve-port"),
     ("127.0.0.1", 70_000, "serve-port")],
)  # fmt: skip
def test_what_is_refused(host: str, port: int, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        check(host, port)
    assert refusal.value.problems[0].code == code


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Refused) as refusal:
        check("127.0.0.1", 8000)
    assert "setup/extra web" in refusal.value.problems[0].hint


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def _status(port: int, headers: dict[str, str]) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_other_names_and_other_sites_are_turned_away(port: int, tmp_path: Path) -> None:
    pytest.importorskip("textual_serve")
    server = subprocess.Popen(
        (sys.executable, "-m", "engine.cli", "serve", "--port", str(port)),
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert _first_answer(port) == 200
        for headers, status in (
            ({"Host": f"localhost:{port}"}, 200),
            ({"Origin": f"http://127.0.0.1:{port}"}, 200),
            ({"Host": "attacker.example"}, 403),
            ({"Origin": "http://attacker.example"}, 403),
            ({"Origin": "null"}, 403),
        ):
            assert _status(port, headers) == status, headers
        assert server.poll() is None
    finally:
        server.terminate()
        server.wait(20)


def _first_answer(port: int) -> int:
    """Returns the status of the first answer, once there is one."""
    end = time.monotonic() + 240
    while True:
        try:
            return _status(port, {})
        except OSError:
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.1)
