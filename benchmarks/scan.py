"""Scan against `find -printf` on the same warm tree, side by side in one run.

    python -m benchmarks.scan [--entries N] [--tree DIR] [--rounds N]

With `--entries 1000000` it also tells what a million entries take in memory.
"""

from __future__ import annotations

import argparse
import gc
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import places
from engine.manifest.scan import Scanned, scan
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve
from engine.spec.settings import ContentSettings

FILES_IN_A_FOLDER = 12


def make_tree(root: Path, entries: int) -> None:
    """Makes about so many entries: small files, twelve in a folder, four levels deep."""
    made = 0
    number = 0
    while made < entries:
        folder = root / f"usr{number % 10}" / f"share{number // 10 % 10}" / f"package-{number}"
        folder.mkdir(parents=True)
        made += 1
        for index in range(min(FILES_IN_A_FOLDER, entries - made)):
            (folder / f"file-name-{index}.txt").write_bytes(b"x" * (made * 37 % 900))
            made += 1
        number += 1


@contextmanager
def tree_of(path: Path | None, entries: int) -> Iterator[Path]:
    """Gives the tree to scan: the one named, or one made for the purpose."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="diskwright-scan-") as made:
        make_tree(Path(made), entries)
        yield Path(made)


def seconds(action: Callable[[], object]) -> float:
    """Returns how long an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def find(tree: Path) -> None:
    """Lists the tree with find, with all the metadata that a scan needs but the attributes."""
    subprocess.run(
        ["find", tree, "-printf", "%p %s %m %U %G %T@\n"], stdout=subprocess.DEVNULL, check=True
    )  # fmt: skip


def main() -> None:
    """Prints times, ratio and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument(
        "--tree", type=places.existing, help="scan this folder instead of a made one"
    )
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    resolved, _ = resolve(ImageSpec(), Path("/"), {})
    with tree_of(options.tree, options.entries) as tree:
        content = ContentSettings(index=0, source=tree.resolve(), target=b"/")
        settings = replace(resolved, contents=(content,))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        held: list[Scanned] = []

        def ours() -> None:
            held.append(scan(settings))

        find(tree)  # warms the cache
        rounds = []
        for _ in range(options.rounds):
            held.clear()
            gc.collect()  # entries and their source know each other
            rounds.append((seconds(ours), seconds(lambda: find(tree))))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    entries = len(held[0].volumes["root"])
    mine, theirs = (min(column) for column in zip(*rounds, strict=True))
    print(f"entries        {entries:>12,}")
    print(f"find -printf   {theirs:>12.3f} s")
    print(f"scan           {mine:>12.3f} s")
    print(f"ratio          {mine / theirs:>12.2f}   (at most 2 is asked for)")
    print(f"memory         {(peak - before) * 1024 // entries:>12,} bytes an entry")
    print(f"peak           {peak // 1024:>12,} MiB")


if __name__ == "__main__":
    main()
