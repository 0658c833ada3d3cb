"""Trees of real files at the limits of ext4, and random ones, through a whole build."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import pytest

from engine.pipeline.build import build
from tests.engine.filesystems.ext4 import debugfs
from tests.support.specs import plan_of

SPEC = """\
schema = 1
name = "demo"
[layout]
table = "none"
[size]
additional = "4MiB"
[[contents]]
source = "tree"
target = "/"
"""
TREES = 20


async def built(folder: Path) -> tuple[Path, int]:
    """Builds `folder/tree`; returns the image and how many inodes it takes."""
    spec = folder / "demo.toml"
    spec.write_text(SPEC)
    plan = plan_of(spec)
    result = await build(plan, lambda event: None, outdir=folder / "out")
    assert result.status == "ok", result.message
    return folder / "out" / "demo.img", plan.root.layout.need.inodes


def random_tree(root: bytes, chance: random.Random) -> None:
    """Makes a tree of files, links, holes, odd names, modes and times."""
    os.mkdir(root)
    folders, files = [root], [b""]
    for number in range(chance.randrange(5, 60)):
        name = b"%d-" % number + chance.randbytes(chance.randrange(1, 30)).translate(
            None, delete=b"/\0"
        )
        path = os.path.join(chance.choice(folders), name)
        kind = chance.randrange(6)
        if kind == 0:
            os.mkdir(path)
            folders.append(path)
        elif kind == 1:
            os.symlink(chance.randbytes(chance.randrange(1, 200)).replace(b"\0", b"x"), path)
        elif kind == 2 and files[-1]:
            os.link(chance.choice(files[1:]), path)
        else:
            with open(path, "wb") as file:
                file.seek(chance.choice((0, 0, 5000, 300_000)))
                file.write(chance.randbytes(chance.choice((0, 1, 4096, 10_000))))
            files.append(path)
            os.chmod(path, chance.randrange(0o7777) | 0o400)
        if kind != 1:
            stamp = chance.randrange(1, 1 << 60)
            os.utime(path, ns=(stamp, stamp))


def seen_on_host(root: bytes) -> dict[bytes, tuple[int, int, int, bytes, int]]:
    """Returns mode, time, size, data or target, and links of everything below a folder."""
    found = {}
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            data = b""
            if stat.S_ISLNK(status.st_mode):
                data = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                data = Path(os.fsdecode(path)).read_bytes()
            folder_size = stat.S_ISDIR(status.st_mode)
            found[path[len(root) + 1 :]] = (
                status.st_mode, status.st_mtime_ns, 0 if folder_size else status.st_size, data,
                0 if folder_size else status.st_nlink,
            )  # fmt: skip
    return found


def seen_in_image(image: Path, inodes: int) -> dict[bytes, tuple[int, int, int, bytes, int]]:
    """Returns the same of an image, as debugfs reads it."""
    nodes = debugfs.read(image, 0, inodes + 1)
    found = {}
    pending = [(b"", debugfs.ROOT)]
    while pending:
        above, number = pending.pop()
        for name, below in nodes[number].names.items():
            path = above + b"/" + name if above else name
            if name in {b".", b".."} or path == b"lost+found":
                continue
            node = nodes[below]
            folder = stat.S_ISDIR(node.mode)
            if folder:
                pending.append((path, below))
            found[path] = (
                node.mode, node.mtime_ns, 0 if folder else node.size, node.data,
                0 if folder else node.links,
            )  # fmt: skip
    return found


@pytest.mark.parametrize("seed", range(TREES))
async def test_what_is_on_the_host_is_what_is_in_the_image(tmp_path: Path, seed: int) -> None:
    tree = os.fsencode(tmp_path / "tree")
    random_tree(tree, random.Random(seed))

    image, inodes = await built(tmp_path)

    assert seen_in_image(image, inodes) == seen_on_host(tree)


@pytest.mark.slow
async def test_the_limits_of_the_format(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "many").mkdir(parents=True)
    (tree / "links").mkdir()
    for number in range(100_000):
        (tree / "many" / f"{number:06}").touch()
    (tree / "links" / "00000").write_text("one")
    for number in range(1, 65_000):
        os.link(tree / "links" / "00000", tree / "links" / f"{number:05}")
    with (tree / "sparse").open("wb") as file:
        file.truncate(3 << 30)
        file.seek(2 << 30)
        file.write(b"middle")
    for letter in "ab":
        (tree / (letter * 255)).write_text(letter)

    image, _ = await built(tmp_path)

    names = debugfs.listing(image, 0, debugfs.ROOT)
    many = debugfs.listing(image, 0, names[b"many"])
    assert len(many) == 100_002
    links = debugfs.listing(image, 0, names[b"links"])
    assert len(set(links.values())) == 3
    assert debugfs.inode(image, 0, links[b"64999"]).links == 65_000
    sparse = debugfs.inode(image, 0, names[b"sparse"])
    assert (sparse.size, sparse.sectors) == (3 << 30, 8)
    assert {b"a" * 255, b"b" * 255} <= set(names)
