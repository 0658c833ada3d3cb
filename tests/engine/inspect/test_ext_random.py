"""ext file systems of random history, as debugfs made them and as debugfs copies them out again."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.image.reading import contents, walk
from engine.inspect.image import open_image
from tests.support.folders import below
from tests.support.tools import run_tool

KINDS = {
    "ext2": ("ext2", "-b", "1024"),
    "ext3": ("ext3", "-b", "4096"),
    "ext4": ("ext4", "-b", "1024"),
    "ext4, 32-bit": ("ext4", "-O", "^64bit,^metadata_csum"),
    "ext4, clusters": ("ext4", "-b", "2048", "-O", "bigalloc", "-C", "8192"),
    "ext4, inline data": ("ext4", "-b", "4096", "-O", "inline_data"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_ext_that_was_written_to_and_deleted_from(tmp_path: Path, kind: str) -> None:
    draw = random.Random(kind)
    image, out = tmp_path / "ext.img", tmp_path / "out"
    out.mkdir()
    run_tool(
        ["mke2fs", "-q", "-F", "-t", *KINDS[kind], image, "24M"], check=True, capture_output=True
    )
    debugfs(image, *changes(draw, tmp_path))
    if draw.randrange(2):
        run_tool(["e2fsck", "-fyD", image], check=False, capture_output=True)
    debugfs(image, f"rdump / {out}")

    opened = open_image(image)
    with opened.disk:
        ext = opened.parts[0].filesystem
        assert ext is not None
        found = {os.fsdecode(node.path): node for node in walk(ext)}
        expected = {str(path.relative_to(out)): path for path in below(out)}
        assert len(expected) > 40
        assert set(found) == set(expected)
        for name, path in expected.items():
            node = found[name]
            assert stat.S_IFMT(node.mode) == stat.S_IFMT(path.lstat().st_mode)
            if stat.S_ISLNK(node.mode):
                assert os.fsdecode(node.target) == str(path.readlink())
            # Of an empty file with inline data debugfs copies the room, too.
            elif stat.S_ISREG(node.mode) and node.size:
                assert contents(ext, node, 1 << 30) == path.read_bytes(), name


def changes(draw: random.Random, folder: Path) -> Iterator[str]:
    """Yields requests that fragment files, leave holes and blocks that were never written."""
    folders, files = ["/"], list[str]()
    for number in range(150):
        letters = draw.choices("abcXYZ019-_ü", k=draw.choice((1, 5, 20, 100)))
        path = f"{draw.choice(folders)}{''.join(letters)}{number}"
        action = draw.randrange(12)
        if action < 2:
            folders.append(f"{path}/")
            yield f"mkdir {path}"
        elif action < 7 or not files:
            source = folder / f"source-{number}"
            with source.open("wb") as file:
                for _ in range(draw.randint(1, 8)):
                    file.seek(draw.randrange(300_000))
                    file.write(draw.randbytes(draw.choice((0, 10, 1000, 20_000))))
            files.append(path)
            yield f"write {source} {path}"
        elif action == 7:
            yield f"symlink {path} {'t' * draw.choice((3, 59, 60, 200))}"
        elif action == 8:
            yield f"rm {files.pop(draw.randrange(len(files)))}"
        elif action == 9:
            yield f"ea_set {draw.choice(files)} user.n{number} {'v' * draw.choice((1, 20, 200))}"
        else:
            yield f"fallocate {draw.choice(files)} {draw.randrange(20)} {draw.randrange(20, 60)}"


def debugfs(image: Path, *requests: str) -> None:
    """Has debugfs do what it is asked for; it goes on after a request that it refuses."""
    run_tool(
        ["debugfs", "-w", "-f", "-", image], input="\n".join(requests), text=True, check=True,
        capture_output=True,
    )  # fmt: skip
