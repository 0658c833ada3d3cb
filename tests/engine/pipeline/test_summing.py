from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine.pipeline import summing
from engine.pipeline.summing import Summing, pays, sha256
from engine.tools.failure import StepFailed


def never() -> bool:
    return False


def ignore(done: int, total: int) -> None:
    pass


def children() -> list[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return [int(number) for number in listed.split()]


def test_the_sum_is_that_of_all_bytes_holes_included(tmp_path: Path) -> None:
    path = tmp_path / "image"
    size = 70 << 20
    with path.open("wb") as file:
        file.truncate(size)
        for at in (0, 5 << 20, size - 4321):
            file.seek(at)
            file.write(random.Random(at).randbytes(4321))
    told: list[tuple[int, int]] = []

    found = sha256(path, lambda done, total: told.append((done, total)), never)

    assert found == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(total == size for _, total in told)


def test_a_process_pays_for_much_on_disk_and_more_than_one_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(1 << 40)
        os.posix_fallocate(file.fileno(), 0, 128 << 20)
        for count, expected in ((1, False), (2, True)):
            monkeypatch.setattr(summing, "processors", lambda count=count: count)
            assert pays(path) is expected
        file.truncate(1 << 20)

    assert not pays(path)


def test_a_cancel_ends_the_process(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    before, begun = children(), time.monotonic()

    found = sha256(path, ignore, lambda: time.monotonic() - begun > 0.2)

    assert found == ""
    assert children() == before


def test_a_process_that_is_killed_fails_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    started = subprocess.Popen

    def doomed(*args: object, **kwargs: object) -> subprocess.Popen[bytes]:
        process = started(*args, **kwargs)  # type: ignore[call-overload]
        process.send_signal(signal.SIGKILL)
        return process  # type: ignore[no-any-return]

    monkeypatch.setattr(subprocess, "Popen", doomed)

    with pytest.raises(StepFailed, match="SHA-256 ended with status -9"):
        sha256(path, ignore, never)


def test_it_reads_no_further_than_it_may(tmp_path: Path) -> None:
    """Each part is written once the one before it may be read, over what would be read too soon."""
    path, part = tmp_path / "image", 3 << 20
    path.write_bytes(b"not yet" * part)
    with path.open("r+b") as file, contextlib.closing(Summing(path)) as summing:
        for number in range(7):
            file.seek(number * part)
            file.write(random.Random(number).randbytes(part))
            file.flush()
            assert summing.allow((number + 1) * part)

        found = summing.finish(ignore, never)

    assert found == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        sha256(tmp_path, ignore, never)
