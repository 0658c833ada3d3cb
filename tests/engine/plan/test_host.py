"""What the probes see of a machine."""

from __future__ import annotations

from pathlib import Path

from engine.plan.host import probe, volume
from engine.plan.outdir import VACANT
from tests.engine.plan.support import settings


def test_folder_that_is_still_to_be_made_lies_where_its_parent_does(tmp_path: Path) -> None:
    there = volume(tmp_path / "a" / "b")
    assert there.path == tmp_path
    assert there.free_bytes > 0


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert volume(tmp_path).usable
    assert volume(tmp_path / "new").usable
    assert not volume(tmp_path / "file").usable


def test_memory_is_told_from_disk() -> None:
    assert volume(Path("/dev/shm")).memory
    assert not volume(Path("/proc")).memory


def test_existing_outputs(tmp_path: Path) -> None:
    (tmp_path / "disk.img").touch()
    (tmp_path / "other").touch()
    seen = probe(settings(), tmp_path)
    assert seen.occupied.foreign == {"disk.img"}
    assert probe(settings(), tmp_path / "new").occupied == VACANT
