"""FAT file systems of random history, as mtools made them and as mtools copies them out again."""

from __future__ import annotations

import random
import stat
import subprocess
from pathlib import Path

import pytest

from engine.image.reading import contents, walk
from engine.inspect.image import open_image
from tests.support.tools import run_tool

KINDS = {12: ("360", "1"), 16: ("8000", "1"), 32: ("34816", "1")}
NAMES = (
    lambda draw: "".join(draw.choices("ABCDEFG", k=draw.randint(1, 8))) + ".XY",
    lambda draw: "".join(draw.choices("abcdefg", k=draw.randint(1, 8))) + ".txt",
    lambda draw: "n" * draw.randint(1, 240) + str(draw.randrange(1000)),
    lambda draw: "".join(draw.choices("äöüßЖ日本é", k=draw.randint(2, 30))),
    lambda draw: "." + "".join(draw.choices("abc.", k=draw.randint(1, 12))) + "x",
    lambda draw: draw.choice(["a+b", "[x]", "sp ace.d e", "x,y", "~1", "UP.low", "low.UP"]),
)
SIZES = (0, 1, 511, 512, 513, 4000, 20_000)


@pytest.mark.parametrize("bits", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_a_fat_that_was_written_to_and_deleted_from(tmp_path: Path, bits: int, seed: int) -> None:
    image, out = tmp_path / "fat.img", tmp_path / "out"
    out.mkdir()
    size, sectors = KINDS[bits]
    run_tool(
        ["mkfs.fat", "-F", str(bits), "-s", sectors, "-C", image, size],
        check=True, capture_output=True,
    )  # fmt: skip
    change(image, random.Random(seed * 100 + bits), tmp_path / "file")
    mtools(image, "mcopy", "-s", "-m", "::/*", f"{out}/")

    opened = open_image(image)
    with opened.disk:
        fat = opened.parts[0].filesystem
        assert fat is not None
        # mtools gives short names another case in lists than in copies.
        found = {node.path.decode().lower(): node for node in walk(fat)}
        expected = {str(path.relative_to(out)).lower(): path for path in out.rglob("*")}
        assert len(expected) > 10
        assert set(found) == set(expected)
        for name, path in expected.items():
            node = found[name]
            assert stat.S_ISDIR(node.mode) == path.is_dir()
            if path.is_file():
                assert contents(fat, node, 1 << 20) == path.read_bytes(), name
                assert node.mtime_ns // 10**9 == int(path.stat().st_mtime), name
        free = next(line for line in mtools(image, "mdir", "::/") if line.endswith("bytes free"))
        assert fat.free == int("".join(filter(str.isdigit, free)))


def change(image: Path, draw: random.Random, source: Path) -> None:
    """Writes, removes and renames files, so that clusters are fragmented and entries reused."""
    folders = ["::/"]
    for _ in range(60):
        folder = draw.choice(folders)
        path = folder + draw.choice(NAMES)(draw)
        files = [line for line in mtools(image, "mdir", "-b", folder) if line[-1:] not in {"", "/"}]
        action = draw.randrange(10)
        if action < 2 and path + "/" not in folders:
            mtools(image, "mmd", "-D", "s", path)
            folders.append(path + "/")
        elif action < 8:
            source.write_bytes(draw.randbytes(draw.choice(SIZES)))
            mtools(image, "mcopy", "-D", "s", str(source), path)
        elif files and action == 8:
            mtools(image, "mdel", draw.choice(files))
        elif files:
            mtools(image, "mren", "-D", "s", draw.choice(files), path.rpartition("/")[2])


def mtools(image: Path, command: str, *arguments: str) -> list[str]:
    """Runs one of the mtools, which may refuse a name, and returns the lines it prints."""
    done = run_tool(
        [command, "-i", image, *arguments], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return str(done.stdout).splitlines()
