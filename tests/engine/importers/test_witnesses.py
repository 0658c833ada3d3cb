"""What other tools make of the same files, compared partition by partition with what we make."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.cli.main import main

GIVEN = Path(__file__).parent / "given"


def table(image: Path) -> dict[str, Any]:
    """Returns what sfdisk reads."""
    done = subprocess.run(["sfdisk", "--json", image], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)["partitiontable"]
    return found


def rows(found: Mapping[str, Any], *keys: str) -> list[list[Any]]:
    """Returns some columns of a table, extended partitions left out."""
    return [
        [part.get(key) for key in keys]
        for part in found["partitions"]
        if part["type"] not in {"5", "f", "85"}
    ]


def built(folder: Path, file: Path) -> dict[str, Any]:
    """Imports, builds and reads back."""
    assert main(["import", str(file), "-o", str(folder / "spec.toml")]) == 0
    out = folder / "out"
    assert main(["build", str(folder / "spec.toml"), "-o", str(out), "--quiet"]) == 0
    (image,) = out.glob("*.img")
    return table(image)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("logical.cfg", ("start", "size", "type", "bootable")),
        ("types.cfg", ("start", "size", "type", "name", "attrs")),
    ],
)
def test_genimage_makes_the_same_table(tmp_path: Path, name: str, columns: tuple[str, ...]) -> None:
    for folder in ("input", "root", "theirs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "input" / "small.bin").write_bytes(b"small" * 1000)
    (tmp_path / "input" / "other.bin").write_bytes(b"other" * 2000)
    # Version 16 knows no types by architecture, and every version refuses an unknown one.
    lines = (GIVEN / name).read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if "odd" not in line and "arm64" not in line)
    (tmp_path / name).write_text(text)

    subprocess.run(
        ["genimage", "--config", name, "--outputpath", "theirs", "--tmppath", "tmp"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip

    (image,) = (tmp_path / "theirs").iterdir()
    theirs, ours = table(image), built(tmp_path, tmp_path / name)
    assert (ours["label"], ours["id"]) == (theirs["label"], theirs["id"])
    assert rows(ours, *columns) == rows(theirs, *columns)
    given = [part["uuid"].lower() for part in ours["partitions"] if "uuid" in part]
    assert all(uuid in given for uuid in text.split('"') if uuid.startswith("0a6e8d52"))


def test_a_board_is_built_as_its_configuration_says(tmp_path: Path) -> None:
    for name in ("u-boot.bin", "zImage", "menu.conf", "overlays/wifi.dtbo"):
        path = tmp_path / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    for name in ("etc/hostname", "srv/data/some"):
        path = tmp_path / "target" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    shutil.copy(GIVEN / "board.cfg", tmp_path)

    found = built(tmp_path, tmp_path / "board.cfg")

    assert rows(found, "size", "type", "bootable") == [
        [40 * 2048, "c", True],
        [128 * 2048, "83", None],
        [(512 - 1 - 40 - 128) * 2048, "83", None],
    ]
    image = tmp_path / "out" / "sdcard.img"
    with image.open("rb") as stream:
        stream.seek(8192)
        assert stream.read(1000) == b"u-boot.bin" * 100
    listed = subprocess.run(
        ["mdir", "-/", "-b", "-i", f"{image}@@{found['partitions'][0]['start'] * 512}"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert {line.removeprefix("::/") for line in listed.split()} == {
        "zImage", "wifi.dtbo", "extlinux/", "extlinux/extlinux.conf"
    }  # fmt: skip
    at = found["partitions"][2]["start"] * 512
    data = subprocess.run(
        ["debugfs", "-R", "cat /some", f"{image}?offset={at}"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert data == "srv/data/some\n"
