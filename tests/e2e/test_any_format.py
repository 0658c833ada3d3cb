"""A disk with volumes of formats that are written in process, from a spec to its reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli import main
from engine.inspect.image import open_image
from tests.support.tools import run_tool

SPEC = """
schema = 1
name = "disk"
[layout]
table = "efi"
[size]
additional = "4MiB"
boot = "34MiB"
[[volume]]
id = "swap"
size = "2MiB"
label = "spare"
[[volume]]
id = "usr"
format = "erofs"
label = "system"
[[contents]]
source = "tree"
target = "/usr"
mode = "D755,F640"
[[contents]]
source = "tree"
target = "/srv"
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "lib").mkdir(parents=True)
    (tree / "lib" / "large").write_bytes(bytes(range(256)) * 1000)
    (tree / "lib" / "small").write_bytes(b"small")
    (tree / "link").symlink_to("lib/small")
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return path


def test_swap_and_erofs_are_built_as_planned(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["plan", "--json", str(spec)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert sum(part["bytes"] for part in plan["size"]["breakdown"]) == plan["disk"]["bytes"]
    out = tmp_path / "out"
    assert main.main(["build", str(spec), "-o", str(out), "--quiet"]) == 0
    capsys.readouterr()
    image = out / "disk.img"
    assert main.main(["inspect", "--json", str(image)]) == 0
    found = {one["role"]: one for one in json.loads(capsys.readouterr().out)["partitions"]}
    for planned in plan["partitions"]:
        seen = found[planned["role"]]
        assert (seen["start"], seen["sectors"]) == (planned["start"], planned["sectors"])
        for key in ("type", "label", "uuid", "block_size", "blocks"):
            assert seen["filesystem"][key] == planned["filesystem"][key], (planned["role"], key)
    usr = tmp_path / "usr"
    at, size = found["usr"]["start"] * 512, found["usr"]["sectors"] * 512
    usr.write_bytes(image.read_bytes()[at : at + size])
    run_tool(("fsck.erofs", usr), check=True, capture_output=True)
    out_again = tmp_path / "again"
    assert main.main(["build", str(spec), "-o", str(out_again), "--quiet"]) == 0
    assert (out_again / "disk.img").read_bytes() == image.read_bytes()


def test_its_files_are_found_again(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main.main(["build", str(spec), "-o", str(out), "--quiet"]) == 0
    image = open_image(out / "disk.img")
    with image.disk:
        usr = next(p.filesystem for p in image.parts if p.content and p.content.type == "erofs")
        assert usr is not None
        node = usr.lookup(b"lib/large")
        assert node is not None
        assert (node.mode & 0o7777, node.size) == (0o640, 256_000)
        assert b"".join(data for _, data in usr.data(node)) == bytes(range(256)) * 1000


def test_files_in_swap_are_refused_before_anything_is_written(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = '\n[[contents]]\nsource = "tree"\ntarget = "/"\nvolume = "swap"\n'
    spec.write_text(SPEC + more)
    assert main.main(["build", str(spec), "-o", str(tmp_path / "out")]) == 2
    assert "/link cannot be on the swap: swap space holds no files" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
