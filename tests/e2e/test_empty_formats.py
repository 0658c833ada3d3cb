"""XFS and Btrfs on a disk: made empty in their place, the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli import main
from tests.support.tools import run_tool

SPEC = """
schema = 1
name = "disk"
layout.table = "gpt"
[[volume]]
id = "root"
free = "16MiB"
[[volume]]
id = "var"
format = "xfs"
label = "variable"
{var}
[[volume]]
id = "home"
format = "btrfs"
compression = "zstd"
free = "200MiB"
flags = ["grow-file-system"]
[[contents]]
source = "tree"
target = "/"
"""


def written(tmp_path: Path, var: str = "") -> Path:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "hostname").write_text("disk\n")
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(var=var))
    return path


def test_they_are_built_as_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, out = written(tmp_path), tmp_path / "out"
    assert main.main(["plan", "--json", str(spec)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["problems"] == []
    assert sum(part["bytes"] for part in plan["size"]["breakdown"]) == plan["disk"]["bytes"]
    assert main.main(["build", str(spec), "-o", str(out), "--quiet"]) == 0
    capsys.readouterr()
    image = out / "disk.img"
    assert main.main(["inspect", "--json", str(image)]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)["partitions"]}
    parts = {one["id"]: one for one in plan["partitions"]}
    for name in ("var", "home"):
        for key in ("type", "label", "uuid", "block_size", "blocks"):
            assert found[name]["filesystem"][key] == parts[name]["filesystem"][key], (name, key)
    alone = tmp_path / "alone"
    for name, check in (("var", ("xfs_repair", "-n", "-f")), ("home", ("btrfs", "check"))):
        with image.open("rb") as disk:
            disk.seek(parts[name]["start"] * 512)
            alone.write_bytes(disk.read(parts[name]["bytes"]))
        run_tool((*check, alone), check=True, capture_output=True)
    assert image.stat().st_blocks * 512 < 32 << 20  # mkfs.xfs writes 64 MiB of zeros
    assert main.main(["inspect", str(image), "--json", "/etc/fstab"]) == 0
    capsys.readouterr()
    root = parts["root"]
    with image.open("rb") as disk:
        disk.seek(root["start"] * 512)
        alone.write_bytes(disk.read(root["bytes"]))
    fstab = run_tool(("debugfs", "-R", "cat /etc/fstab", alone), check=True, capture_output=True)
    home = f"UUID={parts['home']['filesystem']['uuid']} /home btrfs"
    assert f"{home} defaults,compress=zstd,x-systemd.growfs 0 2" in fstab.stdout.decode()
    again = tmp_path / "again"
    assert main.main(["build", str(spec), "-o", str(again), "--quiet"]) == 0
    assert run_tool(("cmp", image, again / "disk.img")).returncode == 0


def test_an_empty_one_is_read_as_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, out = written(tmp_path), tmp_path / "out"
    assert main.main(["build", str(spec), "-o", str(out), "--quiet"]) == 0
    image = str(out / "disk.img")
    assert main.main(["inspect", image]) == 0
    shown = capsys.readouterr().out
    assert 'xfs "variable" ' in shown
    assert "64 inodes, 61 free" in shown
    assert main.main(["inspect", image, "--json"]) == 0
    parts = {one["name"]: one for one in json.loads(capsys.readouterr().out)["partitions"]}
    assert [parts[name]["foreign"] for name in ("home", "var", "root")] == [None] * 3
    for number in (parts["home"]["number"], parts["var"]["number"]):
        assert main.main(["inspect", image, f"{number}:/", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["entries"] == []


def test_a_place_that_is_too_small_is_told_with_the_least(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = written(tmp_path, var='size = "100MiB"')
    assert main.main(["plan", str(spec)]) == 2
    told = capsys.readouterr().err
    assert "volume[1].size" in told
    assert "314,572,800 at least" in told
    assert "the smallest /var file system that works is 300MiB" in told
