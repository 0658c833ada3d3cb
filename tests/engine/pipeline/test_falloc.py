"""Holes, and blocks put into a file and taken out, as far as its file system has them."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from engine.pipeline import falloc

BLOCK = 4096


class Without:
    """A C library whose file system has nothing of it."""

    number = errno.EOPNOTSUPP

    @classmethod
    def fallocate(cls, *_: object) -> int:
        ctypes.set_errno(cls.number)
        return -1


class Broken(Without):
    """One that fails."""

    number = errno.EIO


def test_a_range_is_zero_where_there_are_no_holes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"x" * 3 * BLOCK)
    monkeypatch.setattr(falloc, "_libc", Without)
    with path.open("r+b") as file:
        falloc.punch(file.fileno(), BLOCK, 2 * BLOCK)
    assert path.read_bytes() == b"x" * BLOCK + bytes(BLOCK) + b"x" * BLOCK


def test_a_folder_says_whether_its_files_can_be_moved_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = os.statvfs(tmp_path).f_bsize
    able = falloc.movable(tmp_path, block)
    path = tmp_path / "file"
    path.write_bytes(b"1" * block + b"2" * block)
    with path.open("r+b") as file:
        try:
            falloc.insert(file.fileno(), block, 2 * block)
            falloc.collapse(file.fileno(), 0, block)
        except OSError as error:
            if error.errno not in falloc.UNABLE:
                raise
            assert not able
        else:
            assert able
            assert path.read_bytes() == bytes(2 * block) + b"2" * block
    path.unlink()
    monkeypatch.setattr(falloc, "_libc", Without)
    assert not falloc.movable(tmp_path, block)
    monkeypatch.setattr(falloc, "_libc", Broken)
    with pytest.raises(OSError, match="Input/output error"):
        falloc.movable(tmp_path, block)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, 3, 600])
def test_extents_are_those_written_to(tmp_path: Path, count: int) -> None:
    path = tmp_path / "file"
    wanted = {2 * number * BLOCK for number in range(count)} | {3 * BLOCK}
    with path.open("wb", buffering=0) as file:
        for at in wanted:
            file.seek(at)
            file.write(b"x" * BLOCK)
        file.truncate(2000 * BLOCK)
        try:
            found = falloc.extents(file.fileno())
        except OSError as error:  # of a file system that does not say
            if error.errno not in falloc.UNABLE:
                raise
            return
    assert {at for here, _, length in found for at in range(here, here + length, BLOCK)} == wanted
    assert found == sorted(found)
