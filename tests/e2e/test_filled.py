"""XFS and Btrfs that a kernel fills in a virtual machine."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.cli import main
from tests.support import kernels
from tests.support.tools import run_tool

SPEC = """
schema = 1
name = "disk"
[layout]
table = "gpt"
sector_size = {sector_size}
[[volume]]
id = "root"
free = "16MiB"
[[volume]]
id = "var"
format = "xfs"
label = "variable"
[[volume]]
id = "home"
format = "btrfs"
compression = "zstd"
[[contents]]
source = "tree"
target = "/"
"""


def small(tmp_path: Path) -> Path:
    """A spec of which two volumes have two entries each."""
    for volume in ("var", "home"):
        (tmp_path / "tree" / volume / "log").mkdir(parents=True)
        (tmp_path / "tree" / volume / "log" / "one").write_text("one")
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(sector_size=512))
    return path


def written(tmp_path: Path, sector_size: int = 512) -> Path:
    """A spec whose three volumes have files of all kinds."""
    tree = tmp_path / "tree"
    chosen = random.Random(7)
    for volume in ("var", "home"):
        top = tree / volume
        (top / "deep" / "er").mkdir(parents=True)
        (top / "random").write_bytes(chosen.randbytes(3_000_001))
        (top / "text").write_text("the same again\n" * 100_000)
        os.link(top / "text", top / "deep" / "text")
        (top / "link").symlink_to("t" * 900)
        (top / os.fsdecode(b"\xff\n" + b"n" * 200)).write_bytes(b"odd")
        with (top / "sparse").open("wb") as file:
            file.truncate(1 << 32)
            for block in chosen.sample(range(1 << 20), 60):
                file.seek(block << 12)
                file.write(b"here")
        for number in range(1200):
            (top / "deep" / "er" / f"{'x' * chosen.randrange(99)}{number}").write_bytes(
                chosen.randbytes(chosen.choice((0, 5, 3000)))
            )
        os.setxattr(top / "text", b"user.note", b"a\0=b" * 300)
        (top / "deep").chmod(0o2751)
        os.utime(top / "deep", ns=(0, -5_000_000_001))
        os.mkfifo(top / "pipe")
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(sector_size=sector_size))
    return path


def cut(image: Path, volume: dict[str, int], sector_size: int) -> Path:
    alone = image.parent / f"{volume['id']}.alone"
    with image.open("rb") as disk, alone.open("wb") as copy:
        disk.seek(volume["start"] * sector_size)
        copy.write(disk.read(volume["bytes"]))
    return alone


def test_without_a_kernel_it_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = small(tmp_path)
    assert main.main(["plan", "--json", str(spec)]) == 2
    plan = json.loads(capsys.readouterr().out)
    assert sum(part["bytes"] for part in plan["size"]["breakdown"]) == plan["disk"]["bytes"]
    found = [(one["code"], one["path"]) for one in plan["problems"]]
    assert found == [
        ("not-repeatable", "volume[1].format"), ("not-repeatable", "volume[2].format"),
        ("kernel-to-fill", "volume[1].format"), ("kernel-to-fill", "volume[2].format"),
    ]  # fmt: skip
    assert main.main(["build", str(spec), "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "the /var file system is to hold 2 entries, and only a kernel that mounts" in told
    assert "have a kernel with its modules in the contents or on this machine" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_kernel_fills_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sector_size = 4096
    spec, out = written(tmp_path, sector_size), tmp_path / "out"
    release = kernels.install(tmp_path / "tree")
    assert main.main(["plan", "--json", str(spec)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert {one["code"] for one in plan["problems"]} == {"not-repeatable"}
    assert main.main(["build", str(spec), "-o", str(out)]) == 0
    log = capsys.readouterr()
    told = f"entries went in by /boot/vmlinuz-{release} of the contents, which reads them back"
    assert (log.out + log.err).count(told) == 2
    # Our own reader has seen them as well.
    assert re.search(r"read back: .* and its entries \(12\d\d\) are as planned", log.out + log.err)
    assert sorted(path.name for path in out.iterdir()) == [
        "SHA256SUMS", "build.jsonl", "disk.img", "manifest.json",
    ]  # fmt: skip
    parts = {one["id"]: one for one in plan["partitions"]}
    tree = tmp_path / "tree"
    # Independent of tar and the kernel: xfsprogs and btrfs-progs read the files themselves.
    var = cut(out / "disk.img", parts["var"], sector_size)
    listed = run_tool(("xfs_db", "-r", "-c", "ls /deep/er", var), check=True, capture_output=True)
    assert len(listed.stdout.splitlines()) >= 1200
    home, restored = cut(out / "disk.img", parts["home"], sector_size), tmp_path / "restored"
    restored.mkdir()
    run_tool(("btrfs", "restore", "--metadata", "--xattr", "--symlinks", home, restored),
             check=True, capture_output=True)  # fmt: skip
    for name in ("random", "text", "deep/text"):
        assert (restored / name).read_bytes() == (tree / "home" / name).read_bytes()
    assert len(list((restored / "deep" / "er").iterdir())) == 1200
    extents = run_tool(("btrfs", "inspect-internal", "dump-tree", "-t", "5", home),
                       check=True, capture_output=True).stdout  # fmt: skip
    assert b"extent compression 3 (zstd)" in extents


@pytest.mark.slow
def test_a_build_that_is_cancelled_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    spec, out = written(tmp_path), tmp_path / "out"
    kernels.install(tmp_path / "tree")
    argv = (sys.executable, "-P", "-m", "engine.cli", "build", spec, "-o", out)
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as build:
        assert build.stderr is not None
        for line in build.stderr:
            if "diskwright guest ready" in line:
                break
        begun = time.monotonic()
        build.send_signal(signal.SIGTERM)
        build.stderr.read()
        assert build.wait() != 0
        assert time.monotonic() - begun < 5
    assert [path.name for path in out.iterdir()] == ["build.jsonl"]
