"""Times our EROFS writer side by side with mkfs.erofs and `mke2fs -d` on the same tree.

    python -m benchmarks.erofs [--files 10000] [--total 300] [--rounds 3]

The tree is that of `benchmarks.populate`, read once so that all find it in memory. Ours walks the
sources first, as the others do. Wall and processor seconds and the size of the result, best of all
rounds each.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import places
from benchmarks.populate import MIB, many_files, read_once

_UUID = "97fd5997-d90b-4aa3-8d16-0c1723aea73c"


def ours(tree: Path, image: Path) -> None:
    """Scans, lays out, makes and fills, in a process of its own."""
    from engine.filesystems.driver import Request
    from engine.filesystems.table import DRIVERS, writer
    from engine.manifest.scan import scan
    from engine.spec.load import loads
    from engine.spec.resolve import resolve

    text = f"schema = 1\n[[contents]]\nsource = {json.dumps(str(tree))}\ntarget = '/'\n"
    settings, _ = resolve(loads(text), Path("/"), {})
    request = Request(manifest=scan(settings).volumes["root"], label="root", uuid=_UUID)
    planned = DRIVERS["erofs"].least(request).filesystem
    with image.open("wb") as file:
        file.truncate(planned.size)
    writer("erofs").make(image, 0, planned, epoch=1)
    writer("erofs").populate(image, 0, planned, epoch=1)


def _child(tree: Path, image: Path) -> None:
    command = (sys.executable, "-m", "benchmarks.erofs", "--child", str(tree), str(image))
    subprocess.run(command, check=True)


def _mkfs(tree: Path, image: Path) -> None:
    command = ("mkfs.erofs", "-T1", "-U", _UUID, image, tree)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _mke2fs(tree: Path, image: Path) -> None:
    size = sum(path.lstat().st_size + 4096 for path in tree.rglob("*")) * 6 // 5 + 32 * MIB
    with image.open("wb") as file:
        file.truncate(size)
    command = ("mke2fs", "-q", "-F", "-t", "ext4", "-U", _UUID, "-d", tree, image)
    subprocess.run(command, check=True)


def timed(make: Callable[[Path, Path], None], tree: Path, image: Path) -> tuple[float, float, int]:
    """Returns wall and processor seconds of a run, and the bytes it made."""
    image.unlink(missing_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    make(tree, image)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, busy, image.stat().st_size


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--child", nargs=2, metavar=("TREE", "IMAGE"))
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--total", type=int, default=300, help="MiB of all those files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=places.made, help="where the tree and the images are made")
    arguments = parser.parse_args()
    if arguments.child:
        ours(*map(Path, arguments.child))
        return
    with tempfile.TemporaryDirectory(prefix="erofs-", dir=arguments.folder) as name:
        folder = Path(name)
        tree, image = folder / "tree", folder / "image"
        tree.mkdir()
        many_files(tree, arguments.files, arguments.total * MIB)
        os.sync()
        read_once(tree)
        print(f"{arguments.files} files, {arguments.total} MiB")
        contenders = {"ours": _child, "mkfs.erofs": _mkfs, "mke2fs -d": _mke2fs}
        for title, make in contenders.items():
            runs = [timed(make, tree, image) for _ in range(arguments.rounds)]
            wall, busy, size = (min(column) for column in zip(*runs, strict=True))
            print(f"{title:12} {wall:6.2f} s   cpu {busy:6.2f} s   {size:12d} bytes", flush=True)


if __name__ == "__main__":
    main()
