"""Times a whole build side by side with the programs that people string together for such a disk.

    python -m benchmarks.build [--files 70000] [--total 1400] [--rounds 3] [--genimage]
                               [--against CHECKOUT]

Both make a GPT disk of one size whose one partition is an ext4 that holds the folder, bring it to
the storage device, check the file system and compute the disk's SHA-256. Theirs is truncate,
sfdisk, `mke2fs -d`, sync, `e2fsck -fn` and `openssl sha256`; ours is `diskwright build`, which also
solves for the size, computes SHA-256 of all sources, and reads back what it wrote. With
`--genimage`, a disk of the same kind by genimage stands beside it, which neither syncs, checks nor
digests; with `--against`, the build of another checkout of Diskwright. Each round runs all
contenders in turn; best of all rounds each, and all ratios come from one run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import places
from benchmarks.populate import MIB, many_files, read_once

_SPEC = """schema = 1
name = "disk"
layout.table = "gpt"
output.sums = "sha256"
contents = [{{ source = {root}, target = "/" }}]
[[volume]]
id = "root"
"""
_OLDER_SPEC = """schema = 1
name = "disk"
layout.table = "efi"
size.boot = "34MiB"
contents = [{{ source = {root}, target = "/" }}]
"""
"""For checkouts that know no `output.sums` or no volumes."""
_GENIMAGE = """image root.ext4 {{
  ext4 {{
    use-mke2fs = true
    label = "root"
    extraargs = "-m 0 -N {inodes}"
  }}
  size = {root}M
}}
image disk.img {{
  hdimage {{
    partition-table-type = "gpt"
  }}
  partition root {{
    image = "root.ext4"
  }}
}}
"""
_MORE = 64 * MIB
"""What theirs gets beyond the size that ours solves to: mke2fs makes a larger journal."""
_FIRST_MIB = 1
"""Where the partition begins; as much is left at the end for the other copy of the table."""


@dataclass(frozen=True)
class Timed:
    """How long something took, in seconds: by the clock, and on all processors together."""

    wall: float
    processor: float


def timed(action: Callable[[], object]) -> Timed:
    """Returns what an action took, its child processes included."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    action()
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(wall, processor)


def ours(folder: Path, checkout: Path, spec: str) -> None:
    """Builds with the Diskwright of a checkout."""
    subprocess.run(
        [sys.executable, "-P", "-m", "engine.cli", "build", folder / spec, "-o",
         folder / "out", "--quiet"],
        check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(checkout)},
    )  # fmt: skip


def field(folder: Path, root: Path, size: int, inodes: int) -> None:
    """Makes the disk with the usual programs, one after the other."""
    image, log = folder / "out" / "disk.img", subprocess.DEVNULL
    image.parent.mkdir()
    start = _FIRST_MIB * MIB
    place = (size - 2 * start) // 1024
    # /etc/mke2fs.conf may say otherwise: all contenders write a file system of the same kind.
    mke2fs: list[str | Path] = [
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0",
        "-N", str(inodes), "-d", root, "-E", f"offset={start}", image, f"{place}k",
    ]  # fmt: skip
    subprocess.run(["truncate", "-s", str(size), image], check=True)
    subprocess.run(
        ["sfdisk", "-q", image], input=f"label: gpt\nstart=2048, size={place * 2}\n".encode(),
        check=True, stdout=log,
    )  # fmt: skip
    subprocess.run(mke2fs, check=True, stdout=log)
    subprocess.run(["sync", image], check=True)
    subprocess.run(["e2fsck", "-fn", f"{image}?offset={start}"], check=True, capture_output=True)
    subprocess.run(["openssl", "sha256", image], check=True, stdout=log)


def genimage(folder: Path, root: Path) -> None:
    """Makes the disk with genimage."""
    subprocess.run(
        ["genimage", "--config", folder / "genimage.cfg", "--rootpath", root,
         "--tmppath", folder / "tmp", "--inputpath", folder, "--outputpath", folder / "out"],
        check=True, capture_output=True,
    )  # fmt: skip


def fresh(folder: Path, action: Callable[[], object]) -> Timed:
    """Times an action that makes the folder `out`, with nothing left for the disk to write."""
    os.sync()
    try:
        return timed(action)
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)
        shutil.rmtree(folder / "tmp", ignore_errors=True)


def planned_bytes(folder: Path, spec: str) -> int:
    """Returns the bytes of the disk that the spec solves to."""
    printed = subprocess.run(
        [sys.executable, "-P", "-m", "engine.cli", "plan", folder / spec, "--json"],
        check=True, capture_output=True,
    )  # fmt: skip
    return int(json.loads(printed.stdout)["disk"]["bytes"])


def best(rounds: list[Timed]) -> Timed:
    """Returns the shortest times of all rounds."""
    return Timed(min(each.wall for each in rounds), min(each.processor for each in rounds))


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=places.made, help="where trees and images are made")
    parser.add_argument("--tree", type=places.existing, help="an existing tree of so many files")
    parser.add_argument("--files", type=int, default=70_000)
    parser.add_argument("--total", type=int, default=1400, help="MiB of all files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--genimage", action="store_true", help="time genimage, too")
    parser.add_argument("--against", type=Path, help="time another checkout of Diskwright, too")
    arguments = parser.parse_args()
    here = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory(prefix="build-", dir=arguments.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        root = arguments.tree.resolve() if arguments.tree else folder / "root"
        if not arguments.tree:
            root.mkdir()
            many_files(root, arguments.files, arguments.total * MIB)
        read_once(root)
        for spec, text in (("disk.toml", _SPEC), ("older.toml", _OLDER_SPEC)):
            (folder / spec).write_text(text.format(root=json.dumps(str(root))), encoding="utf-8")
        size, inodes = planned_bytes(folder, "disk.toml") + _MORE, arguments.files * 6 // 5
        (folder / "genimage.cfg").write_text(
            _GENIMAGE.format(root=size // MIB, inodes=inodes), encoding="utf-8"
        )
        contenders: dict[str, Callable[[], object]] = {
            "diskwright": lambda: ours(folder, here, "disk.toml"),
            "mke2fs -d and the rest": lambda: field(folder, root, size, inodes),
        }
        if arguments.genimage:
            contenders["genimage alone"] = lambda: genimage(folder, root)
        if arguments.against:
            contenders["the same with an ESP"] = lambda: ours(folder, here, "older.toml")
            contenders[f"at {arguments.against.name}"] = lambda: ours(
                folder, arguments.against.resolve(), "older.toml"
            )
        rounds: dict[str, list[Timed]] = {what: [] for what in contenders}
        for _ in range(arguments.rounds):
            for what, action in contenders.items():
                rounds[what].append(fresh(folder, action))
    print(f"{arguments.files} files, {arguments.total} MiB, a disk of {size // MIB} MiB")
    mine = best(rounds["diskwright"])
    for what, each in rounds.items():
        took = best(each)
        print(
            f"{what:28} {took.wall:7.2f} s  processor {took.processor:7.2f} s"
            f"   diskwright to it {mine.wall / took.wall:5.2f}"
        )


if __name__ == "__main__":
    main()
