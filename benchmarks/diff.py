"""Times `diskwright diff` beside `cmp` on sparse disks that differ in one byte of one file.

    python -m benchmarks.diff [--size GIB] [--data MIB] [--rounds 3]

Both images are made once, read once so that all contenders find them in memory, and deleted
afterwards. `cmp` gets them as they are and reads holes as zeros; the bound is reading all that is
allocated, in pieces, once each. Best of all rounds each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MIB = 1 << 20


def make(folder: Path, size: int, data: int) -> tuple[Path, Path]:
    """Returns two ext4 images with one large file each, which differ in one byte of it."""
    tree = folder / "tree"
    tree.mkdir()
    draw = random.Random(1)
    with (tree / "data").open("wb") as file:
        for _ in range(data // MIB):
            file.write(draw.randbytes(MIB))
    one, other = folder / "one.img", folder / "other.img"
    with one.open("wb") as image:
        image.truncate(size)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, one], check=True)
    subprocess.run(["cp", "--sparse=always", one, other], check=True)
    with other.open("r+b") as image:
        at = _within_data(image.fileno(), size)
        image.seek(at)
        byte = image.read(1)
        image.seek(at)
        image.write(bytes([byte[0] ^ 1]))
    return one, other


def _within_data(handle: int, size: int) -> int:
    """Returns the middle of the largest data range."""
    best = (0, 0)
    at = 0
    while at < size:
        try:
            first = os.lseek(handle, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(handle, first, os.SEEK_HOLE)
        best = max(best, (at - first, first))
    return best[1] + best[0] // 2


def read_allocated(path: Path) -> None:
    """Reads what of a file is not a hole."""
    handle = os.open(path, os.O_RDONLY)
    size = os.fstat(handle).st_size
    at = 0
    while at < size:
        try:
            at = os.lseek(handle, at, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(handle, at, os.SEEK_HOLE)
        while at < end:
            at += len(os.pread(handle, min(MIB, end - at), at))
    os.close(handle)


def best(work: Callable[[], object], rounds: int) -> float:
    """Returns the shortest of several runs, in seconds."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10, help="GiB of each disk")
    parser.add_argument("--data", type=int, default=512, help="MiB of data on it")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="diskwright-bench-"))
    try:
        one, other = make(folder, args.size << 30, args.data * MIB)
        ours = [sys.executable, "-m", "engine.cli", "diff", str(one), str(other)]
        same = folder / "same.img"
        subprocess.run(["cp", "--sparse=always", one, same], check=True)

        def bound() -> None:
            read_allocated(one)
            read_allocated(same)

        equal = [*ours[:-1], str(same)]
        figures = {
            "read": best(bound, args.rounds),
            "diff, equal": best(lambda: _run(equal), args.rounds),
            "cmp, equal": best(lambda: _run(["cmp", str(one), str(same)]), args.rounds),
            "diff, one byte": best(lambda: _run(ours), args.rounds),
            "cmp -l, one byte": best(
                lambda: _run(["cmp", "-l", str(one), str(other)]), args.rounds
            ),
        }
    finally:
        shutil.rmtree(folder)
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}, indent=1))


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=False, stdout=subprocess.PIPE)  # cmp ends early before /dev/null


if __name__ == "__main__":
    main()
