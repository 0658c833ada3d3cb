"""A read-only, compressed volume, from a spec to its reports."""

from __future__ import annotations

import json
import os
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
format = "squashfs"
{more}
[[volume]]
id = "srv"
size = "8MiB"
[[contents]]
source = "tree"
target = "/"
"""


def written(tmp_path: Path, more: str = "", noise: int = 0) -> Path:
    tree = tmp_path / "tree"
    (tree / "lib").mkdir(parents=True)
    (tree / "lib" / "large").write_bytes(bytes(range(256)) * 20_000)
    (tree / "lib" / "noise").write_bytes(os.urandom(noise))
    (tree / "old").write_bytes(b"old")
    os.utime(tree / "old", (0, -1_000_000_000))
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(more=more))
    return path


def test_it_is_built_below_its_bound_and_found_by_its_partition(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, out = written(tmp_path), tmp_path / "out"
    assert main.main(["plan", "--json", str(spec)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert sum(part["bytes"] for part in plan["size"]["breakdown"]) == plan["disk"]["bytes"]
    assert {part["key"]: part["bytes"] for part in plan["size"]["breakdown"]}["packed"] > 5_120_000
    (dropped,) = plan["problems"]
    assert (dropped["code"], dropped["severity"]) == ("drops-metadata", "warning")
    assert dropped["message"] == (
        "1 entry of the root file system has times outside 1970 to 2106 that squashfs does not "
        "keep: /old"
    )
    assert [one["id"] for one in plan["steps"] if one["id"].endswith("-root")] == [
        "make-root", "check-root",
    ]  # fmt: skip
    assert main.main(["build", str(spec), "-o", str(out), "--quiet"]) == 0
    capsys.readouterr()
    image = out / "disk.img"
    root = next(one for one in plan["partitions"] if one["role"] == "root")
    alone = tmp_path / "root"
    alone.write_bytes(image.read_bytes()[root["start"] * 512 :][: root["bytes"]])
    fstab = run_tool(("rdsquashfs", "-c", "etc/fstab", alone), capture_output=True, check=True)
    assert f"PARTUUID={root['guid'].lower()} / squashfs ro 0 0\n" in fstab.stdout.decode()
    large = run_tool(("rdsquashfs", "-c", "lib/large", alone), capture_output=True, check=True)
    assert large.stdout == bytes(range(256)) * 20_000
    assert main.main(["inspect", "--json", str(image)]) == 0
    seen = json.loads(capsys.readouterr().out)["partitions"][0]["filesystem"]
    assert (seen["type"], seen["compression"], seen["label"]) == ("squashfs", "zstd", "")
    assert seen["bytes"] < 100_000


def test_a_place_below_the_bound_is_warned_of_and_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = written(tmp_path, 'size = "1MiB"\ncompression = "gzip"')
    assert main.main(["build", str(spec), "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().err
    assert "the root file system has 1.0 MiB (1,048,576 bytes), and its contents take up to" in told
    assert "5MiB are certain to be enough" in told


def test_what_turns_out_too_large_ends_the_build_with_the_size_that_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, out = written(tmp_path, 'size = "1MiB"', noise=3_000_000), tmp_path / "out"
    assert main.main(["build", str(spec), "-o", str(out), "--quiet"]) == 1
    told = capsys.readouterr().err
    assert "and it has 1,048,576" in told
    assert "3MiB are enough for these contents" in told
    assert not (out / "disk.img").exists()
    spec.write_text(spec.read_text().replace("1MiB", "3MiB"))
    assert main.main(["build", str(spec), "-o", str(out), "--quiet", "--force"]) == 0
