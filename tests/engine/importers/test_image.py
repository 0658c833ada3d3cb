"""Disk images imported: a spec like them, and their files as archives."""

from __future__ import annotations

import asyncio
import subprocess
import tarfile
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.pipeline.build import build
from engine.planning import plan_spec
from engine.spec.load import load
from tests.support.specs import plan_of, write_spec


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with files in its root and on its ESP."""
    plan = plan_of(write_spec(tmp_path, esp=True), outdir=tmp_path / "out")
    result = asyncio.run(build(plan, lambda _event: None, outdir=tmp_path / "out"))
    assert result.status == "ok", result.message
    return tmp_path / "out" / "demo.img"


def test_an_image_becomes_a_spec_with_its_table_and_identifiers(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "like.toml"

    assert main(["import", str(image), "-o", str(spec)]) == 0

    assert "the files of root and esp are not carried over" in capsys.readouterr().err
    loaded = load(spec)
    assert loaded.spec.contents == ()
    theirs = plan_of(tmp_path / "demo.toml")
    ours = plan_spec(loaded.spec, base=loaded.base)
    assert ours.disk == theirs.disk
    assert [(p.start, p.sectors, p.guid) for p in ours.partitions][-1:] == [
        (p.start, p.sectors, p.guid) for p in theirs.partitions
    ][-1:]


def test_its_files_come_along_where_they_are_wanted(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    spec = folder / "like.toml"

    assert main(["import", str(image), "-o", str(spec), "--files"]) == 0

    with tarfile.open(folder / "demo-root.tar") as archive:
        assert "etc/motd" in [name.removeprefix("./") for name in archive.getnames()]
    assert [entry.source for entry in load(spec).spec.contents] == ["demo-root.tar", "demo-esp.tar"]
    assert main(["build", str(spec), "-o", str(folder / "again"), "--quiet"]) == 0
    again = folder / "again" / "demo.img"
    for device in (image, again):
        subprocess.run(["sfdisk", "--verify", device], check=True, capture_output=True)
    assert main(["diff", str(image), str(again)]) in {0, 3}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name the spec with -o"),
        (["-o", "there.toml"], "exists"),
    ],
)
def test_nothing_is_written_where_it_cannot_be(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.toml").write_text("mine")

    assert main(["import", str(image), "--files", *arguments]) == 2

    assert said in capsys.readouterr().err
    assert list(tmp_path.glob("*.tar")) == []
    assert (tmp_path / "there.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0" * 100_000, "no partition table and no file system"),
        (b"QFI\xfb" + b"\xff" * 600, "cannot be opened as a disk image"),
    ],
)
def test_what_is_not_an_image_that_can_be_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, said: str
) -> None:
    file = tmp_path / "x"
    file.write_bytes(data)

    assert main(["import", str(file)]) == 2

    assert said in capsys.readouterr().err
