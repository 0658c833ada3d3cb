"""Outputs between their making and their final names."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from engine.pipeline import moving
from engine.pipeline import staging as staging_module
from engine.pipeline.locking import locked
from engine.pipeline.staging import Staging
from engine.pipeline.undo import Undo
from engine.problem import Refused
from tests.support.folders import contents_of


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path, "demo")


@pytest.fixture
def forced(tmp_path: Path) -> Staging:
    return Staging(tmp_path, "demo", force=True)


def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every link(2) fail as on vfat."""

    def fails(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", fails)


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
    place = moving.place

    def watch(path: Path, final: Path) -> None:
        moved.append(final.relative_to(staging.outdir).as_posix())
        place(path, final)

    monkeypatch.setattr(staging_module, "place", watch)
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
    place = moving.place

    def move(path: Path, final: Path) -> None:
        done.append("move")
        place(path, final)

    monkeypatch.setattr(os, "fsync", lambda handle: done.append(os.fstat(handle).st_ino))
    monkeypatch.setattr(staging_module, "place", move)

    staging.sync(lambda: False)
    staging.publish(last=())

    assert set(done[:2]) == inodes
    assert done[2:5] == ["move"] * 3
    folders = (staging.outdir, staging.outdir / "a", staging.outdir / "a" / "b")
    assert set(done[5:]) == {folder.stat().st_ino for folder in folders}


def test_names_that_do_not_reach_the_device_are_taken_back(
    forced: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = forced
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


def test_an_older_output_is_replaced_in_one_move(forced: Staging) -> None:
    staging = forced
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


def test_a_lock_is_waited_for_where_a_killed_build_was_starting_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(left, fcntl.LOCK_EX)
    monkeypatch.setattr("engine.pipeline.locking.time.sleep", lambda _: os.close(left))
    with locked(tmp_path), pytest.raises(OSError, match="Bad file descriptor"):
        os.close(left)  # it was waited for


def test_an_output_that_cannot_be_moved_takes_the_others_back(forced: Staging) -> None:
    staging = forced
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


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("kind", ["file", "link", "empty"])
def test_what_appeared_meanwhile_is_not_replaced(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, kind: str, links: bool
) -> None:
    if not links:
        without_links(monkeypatch)
    for name in ("demo.img", "manifest.json"):
        staging.write(name, b"new")
    theirs = staging.outdir / "manifest.json"
    if kind == "link":
        theirs.symlink_to("nowhere")
    else:
        theirs.write_text("theirs" if kind == "file" else "")
    before = contents_of(theirs)

    with pytest.raises(FileExistsError):
        staging.publish(last=("manifest.json",))
    staging.discard()

    assert contents_of(theirs) == before
    assert [path.name for path in staging.outdir.iterdir()] == ["manifest.json"]


def test_outputs_are_published_without_links_too(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_links(monkeypatch)
    staging.write("demo.img", b"new")

    staging.publish(last=())

    assert (staging.outdir / "demo.img").read_bytes() == b"new"


def test_what_was_replaced_without_links_is_put_back(
    forced: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_links(monkeypatch)
    (forced.outdir / "demo.img").write_text("old")
    (forced.outdir / "manifest.json").mkdir()
    for name in ("demo.img", "manifest.json"):
        forced.write(name, b"new")

    with pytest.raises(OSError, match="directory"):
        forced.publish(last=("manifest.json",))

    assert (forced.outdir / "demo.img").read_text() == "old"
    assert (forced.outdir / "manifest.json").is_dir()


def test_folders_of_outputs_are_taken_back_and_links_not_followed(
    staging: Staging, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "linked").symlink_to(elsewhere)
    for name in ("a/b/products", "linked/products"):
        staging.write(name, b"new")

    with pytest.raises(NotADirectoryError):
        staging.publish(last=("linked/products",))

    assert list(elsewhere.iterdir()) == []
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("force", [False, True])
def test_the_record_of_a_failed_build_replaces_no_file_of_others(
    tmp_path: Path, *, force: bool
) -> None:
    staging = Staging(tmp_path, "demo", force=force)
    (tmp_path / "build.jsonl").write_text("theirs")
    staging.write("build.jsonl.part", b"")

    with pytest.raises(FileExistsError):
        staging.publish_record()

    assert (tmp_path / "build.jsonl").read_text() == "theirs"


def test_a_hidden_folder_of_others_is_not_used(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".demo.diskwright-part").symlink_to(elsewhere)

    with pytest.raises(FileExistsError):
        Staging(tmp_path, "demo").begin()


def test_an_output_changed_in_place_goes_back_on_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = Staging(tmp_path, "demo", update=True)
    staging.begin()
    image = tmp_path / "demo.img"
    image.write_bytes(b"what it was")
    undo = Undo(staging.folder / "undo.part")
    with image.open("rb") as file:
        undo.keep(file.fileno(), [(0, 11)])
    written = staging.borrow(image, staging.folder / "base.part", undo)
    os.pwrite(written, b"the new one", 0)
    staging.image.write_bytes(b"takes room")
    real = Undo.undo

    def with_room(self: Undo, file: int) -> None:
        if staging.image.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, file)

    monkeypatch.setattr(Undo, "undo", with_room)
    staging.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["demo.img"]
    assert image.read_bytes() == b"what it was"
    assert staging.returned == "demo.img"
