"""What the verbs make of a Btrfs with subvolumes that a kernel wrote."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.spec.load import load
from tests.engine.filesystems.btrfs.record import RECORDINGS


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RECORDINGS.unpacked("usual", tmp_path_factory.mktemp("btrfs"))


def test_inspect_finds_the_system_in_its_subvolume(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "--json", str(image)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [each["pretty_name"] for each in report["system"]] == ["In a subvolume"]
    assert report["filesystem"]["subvolumes"] == 5
    assert report["filesystem"]["default_subvolume"] == "/@"
    assert main(["inspect", str(image)]) == 0
    assert "5 subvolumes; a mount shows /@" in capsys.readouterr().out
    assert main(["inspect", "--cat", str(image), "/@home/before/note"]) == 0
    assert capsys.readouterr().out == "of the home " * 900
    assert main(["inspect", str(image), "/empty/snapshot/deep"]) == 0
    assert "er" in capsys.readouterr().out


def test_extract_copies_what_is_compressed_and_shared(image: Path, tmp_path: Path) -> None:
    assert main(["inspect", "--extract", str(tmp_path / "out.tar"), str(image)]) == 0
    with tarfile.open(tmp_path / "out.tar") as archive:
        found = {kind: archive.extractfile(f"{kind} long") for kind in ("zlib", "lzo", "zstd")}
        wanted = b"".join(b"%06d\n" % number for number in range(40_000))
        assert all(file is not None and file.read() == wanted for file in found.values())


def test_diff_names_the_file_and_the_superblock(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = RECORDINGS.unpacked("small", tmp_path)
    assert main(["diff", str(image), str(other)]) == 3
    told = capsys.readouterr().out
    assert "Btrfs, default subvolume" in told
    assert "/@home" in told


def test_import_takes_what_is_mounted_along(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.toml"
    assert main(["import", "--files", str(image), "-o", str(spec)]) == 0
    assert "what only the subvolumes empty/snapshot of root hold" in capsys.readouterr().err
    (volume,) = load(spec).spec.volume
    assert volume.subvolumes == ("@", "@home:/home", "@home/before", "@/deep/er")
    assert volume.default_subvolume == "@"
    with tarfile.open(next(tmp_path.glob("*.tar"))) as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
        assert names >= {"etc/os-release", "home/note", "home/before/note", "deep/er/file"}
        assert not any(name.startswith(("@", "empty", "file")) for name in names)
        note = archive.extractfile("home/note")
        assert note is not None
        assert note.read() == b"changed since " * 900
