"""Records are believed only where they can be those that a build left for this user and folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.reuse import record as module
from engine.reuse.record import (
    OutputRecord,
    Record,
    Unbelievable,
    cache_folder,
    load,
    record_path,
    save,
    settled,
    unchanged,
)


@pytest.fixture
def outdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "disk.img").write_bytes(b"image")
    return folder


def made(outdir: Path) -> Record:
    return Record(
        outdir="", spec="spec", design="design", image="disk.img",
        outputs=(OutputRecord("disk.img", settled(outdir / "disk.img"), True, {"sha256": "00"}),),
        volumes=(), tree={}, sources=(), archives=(), machine=(), versions={}, program="", items=(),
    )  # fmt: skip


def path_of(outdir: Path) -> Path:
    path = record_path(outdir)
    assert path is not None
    return path


def test_a_record_comes_back(outdir: Path) -> None:
    save(outdir, made(outdir))
    found = load(outdir)
    assert found.outputs == made(outdir).outputs
    assert unchanged(outdir / "disk.img", found.outputs[0].state)
    assert path_of(outdir).stat().st_mode & 0o777 == 0o600
    assert sorted(one.suffix for one in path_of(outdir).parent.iterdir()) == [".record", ".where"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:-1], "damaged"),
        (lambda data: data[:30], "damaged"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
        (lambda data: b"#!/bin/sh\n" + data, "not a record"),
        (lambda data: data.replace(b"%d\n" % module.SCHEMA, b"1\n", 1), "another version"),
        (lambda data: b"", "not a record"),
    ],
)  # fmt: skip
def test_a_changed_record_is_not_believed(
    outdir: Path, change: Callable[[bytes], bytes], why: str
) -> None:
    save(outdir, made(outdir))
    path = path_of(outdir)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Unbelievable, match=why):
        load(outdir)


def test_the_record_of_another_folder_is_not_believed(outdir: Path, tmp_path: Path) -> None:
    save(outdir, made(outdir))
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(path_of(outdir), path_of(other))
    with pytest.raises(Unbelievable, match="another folder"):
        load(other)


def test_a_record_that_others_may_write_is_not_believed(outdir: Path) -> None:
    save(outdir, made(outdir))
    path_of(outdir).chmod(0o620)
    with pytest.raises(Unbelievable, match="others"):
        load(outdir)


def test_a_sound_frame_around_nonsense_is_not_believed(outdir: Path) -> None:
    body = b"\x93\x01\x02\x03"
    path = path_of(outdir)
    path.parent.mkdir(parents=True)
    path.write_bytes(module._header() + hashlib.sha256(body).digest() + body)
    with pytest.raises(Unbelievable, match="damaged"):
        load(outdir)


def test_without_a_record_or_a_cache_the_sentence_says_so(
    outdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unbelievable, match="no build"):
        load(outdir)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    assert cache_folder() is None
    save(outdir, made(outdir))
    with pytest.raises(Unbelievable, match="no cache"):
        load(outdir)


def test_the_cache_is_where_the_specification_says() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == Path("/c/diskwright")
    assert cache_folder({"XDG_CACHE_HOME": "c", "HOME": "/h"}) == Path("/h/.cache/diskwright")


def test_an_image_changed_behind_our_back_is_seen(outdir: Path) -> None:
    image = outdir / "disk.img"
    state = settled(image)
    before = image.stat()
    with image.open("r+b") as file:
        file.write(b"IMAGE")
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert image.stat().st_mtime_ns == before.st_mtime_ns
    assert not unchanged(image, state)


def test_a_state_is_taken_once_a_change_would_show(outdir: Path) -> None:
    image = outdir / "disk.img"
    for _ in range(20):
        image.write_bytes(b"image")
        state = settled(image)
        image.write_bytes(b"other")
        assert not unchanged(image, state)


def test_a_link_in_the_place_of_an_output_is_a_change(outdir: Path) -> None:
    image = outdir / "disk.img"
    state = settled(image)
    image.rename(outdir / "elsewhere")
    image.symlink_to("elsewhere")
    assert not unchanged(image, state)


def test_records_of_folders_that_are_gone_go(outdir: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    (gone / "disk.img").write_bytes(b"x")
    save(gone, made(gone))
    shutil.rmtree(gone)
    save(outdir, made(outdir))
    assert not path_of(gone).exists()
    assert path_of(outdir).exists()


def test_what_killed_builds_had_begun_goes(outdir: Path) -> None:
    save(outdir, made(outdir))
    path = path_of(outdir)
    other = path.with_name("other.1.kept-part")
    mine = [path.with_suffix(f".1.{kind}-part") for kind in ("kept", "leaves", "record")]
    for one in (other, *mine):
        one.touch()
    save(outdir, made(outdir))
    assert other.exists()
    assert not any(one.exists() for one in mine)
