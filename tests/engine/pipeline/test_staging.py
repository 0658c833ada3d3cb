"""Outputs between their making and their final names."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.pipeline.staging import Staging, locked
from engine.problem import Refused


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path, "demo")


def test_what_is_not_complete_is_never_published(staging: Staging) -> None:
    staging.part("half").write_text("half")
    staging.write("whole", b"whole")

    staging.publish(last=())
    staging.discard()

    assert [path.name for path in staging.outdir.rglob("*")] == ["whole"]


def test_what_describes_the_image_comes_last(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/products", "demo.img", "manifest.json"):
        staging.write(name, b"")
    moved: list[str] = []
    rename = Path.replace

    def watch(self: Path, target: Path) -> Path:
        moved.append(target.relative_to(staging.outdir).as_posix())
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    staging.publish(last=("manifest.json", "a/products"))

    assert moved == ["demo.img", "manifest.json", "a/products"]


def test_outputs_are_on_the_device_before_they_have_names_and_the_names_after(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [staging.write(name, b"x") for name in ("a/b/products", "demo.img")]
    (staging.folder / "link").symlink_to("demo.img")
    staging.part("half").write_text("half")
    inodes = {path.stat().st_ino for path in files}
    done: list[str | int] = []
    rename = Path.replace

    def move(path: Path, target: Path) -> Path:
        done.append("move")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", lambda handle: done.append(os.fstat(handle).st_ino))
    monkeypatch.setattr(Path, "replace", move)

    staging.sync(lambda: False)
    staging.publish(last=())

    assert set(done[:2]) == inodes
    assert done[2:5] == ["move"] * 3
    folders = (staging.outdir, staging.outdir / "a", staging.outdir / "a" / "b")
    assert set(done[5:]) == {folder.stat().st_ino for folder in folders}


def test_names_that_do_not_reach_the_device_are_taken_back(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    (staging.outdir / "demo.img").write_text("old")
    staging.write("demo.img", b"new")
    staging.write("manifest.json", b"new")

    def fails(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match=f"Input/output error: '{staging.outdir}'"):
        staging.publish(last=())

    shown = [path for path in staging.outdir.iterdir() if not path.name.startswith(".")]
    assert [path.read_text() for path in shown] == ["old"]


def test_a_file_system_that_cannot_sync_is_no_failure(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging.write("demo.img", b"new")

    def unknown(handle: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unknown)
    staging.sync(lambda: False)
    staging.publish(last=())

    assert (staging.outdir / "demo.img").read_text() == "new"


def test_an_older_output_is_replaced_in_one_move(staging: Staging) -> None:
    old = staging.outdir / "demo.img"
    old.write_text("old")
    with old.open() as reader:
        staging.write("demo.img", b"new")
        staging.publish(last=())

        assert reader.read() == "old"  # whoever reads the old one keeps reading it
    assert old.read_text() == "new"


def test_leftovers_are_swept_and_strangers_left_alone(tmp_path: Path) -> None:
    stale = tmp_path / ".other.diskwright-part"
    stale.mkdir()
    (stale / "image.part").write_text("x")
    kept = tmp_path / "mine.diskwright-part"
    kept.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".link.diskwright-part").symlink_to(elsewhere)

    with locked(tmp_path):
        pass

    assert not stale.exists()
    assert kept.exists()
    assert elsewhere.exists()


def test_a_lock_ends_with_its_build(tmp_path: Path) -> None:
    in_use = pytest.raises(Refused, match="in use by another build")
    with locked(tmp_path), in_use, locked(tmp_path):
        pass

    with locked(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_moved_takes_the_others_back(staging: Staging) -> None:
    (staging.outdir / "demo.img").write_text("old")
    (staging.outdir / "manifest.json" / "a folder").mkdir(parents=True)
    for name in ("demo.img", "extra", "manifest.json"):
        staging.write(name, b"new")

    with pytest.raises(OSError, match=r"directory"):
        staging.publish(last=("manifest.json",))
    staging.discard()

    left = sorted(path.name for path in staging.outdir.iterdir())
    assert left == ["demo.img", "manifest.json"]
    assert (staging.outdir / "demo.img").read_text() == "old"
