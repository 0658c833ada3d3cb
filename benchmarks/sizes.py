"""Times and measures whole builds as images grow: by the size of the disk, and by the entries.

    python -m benchmarks.sizes [--disk GIB ...] [--entries N ...]

The disks are sparse and hold the same few files; the trees are of small files, twelve in a folder.
Each row has the time by the clock, that on all processors, and the most memory that one process
took: the build itself, or a program that it ran.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import places
from benchmarks.populate import MIB, many_files
from benchmarks.scan import make_tree

_SPEC = """schema = 1
name = "disk"
layout.table = "gpt"
{size}
contents = [{{ source = {root}, target = "/" }}]
[[volume]]
id = "root"
"""
_SAMPLE = 0.05
"""Seconds between two looks at the memory."""
_FILES, _TOTAL = 700, 11
"""Files of the tree that the disks hold, and their MiB."""


def build(folder: Path, root: Path, size: str = "") -> tuple[float, float, int, str]:
    """Builds; returns seconds, seconds of processor time, peak bytes, and what digest it has."""
    spec, out = folder / "disk.toml", folder / "out"
    spec.write_text(_SPEC.format(root=json.dumps(str(root)), size=size), encoding="utf-8")
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "engine.cli", "build", spec, "-o", out, "--quiet"],
        stdout=subprocess.DEVNULL,
    )
    peak = 0
    while True:
        peak = max(peak, memory(process.pid))
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        time.sleep(_SAMPLE)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the build ended with {process.returncode}")
    known = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    (disk,) = (each for each in known["outputs"] if each["path"] == "disk.img")
    shutil.rmtree(out)
    digest = next(kind for kind in ("sha256", "fsverity") if disk.get(kind))
    return wall, used.ru_utime + used.ru_stime, peak, digest


def memory(pid: int) -> int:
    """Returns the bytes that a process and all below it have in memory, shared ones in part."""
    total = 0
    try:
        smaps = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        total = int(smaps.partition("\nPss:")[2].split()[0]) * 1024
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(memory(int(child)) for child in children.read_text().split())
    except (OSError, IndexError):
        return total  # it ended meanwhile
    return total


def row(what: str, figures: tuple[float, float, int, str]) -> None:
    """Prints one build."""
    wall, processor, peak, digest = figures
    print(
        f"{what:28} {wall:7.2f} s   processor {processor:7.2f} s   peak {peak // MIB:5} MiB"
        f"   {digest}",
        flush=True,
    )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=places.made, help="where trees and images are made")
    parser.add_argument("--disk", type=int, nargs="*", default=[1, 16, 64, 256], help="GiB")
    parser.add_argument(
        "--entries", type=int, nargs="*", default=[10_000, 100_000, 300_000, 1_000_000]
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sizes-", dir=arguments.folder) as name:
        folder = Path(name)
        few = folder / "few"
        few.mkdir()
        many_files(few, _FILES, _TOTAL * MIB)
        for gib in arguments.disk:
            row(f"a disk of {gib} GiB", build(folder, few, f'size.disk = "{gib}GiB"'))
        for entries in arguments.entries:
            tree = folder / "tree"
            make_tree(tree, entries)
            row(f"{entries:,} entries", build(folder, tree))
            shutil.rmtree(tree)


if __name__ == "__main__":
    main()
