"""Times `build --update` side by side with a build from nothing.

    python -m benchmarks.update [--folder DIR] [--files 70000] [--total 1400] [--rounds 3]
                                [--archive 300]

A GPT disk with an ESP and an ext4 root that holds one tree of many files. Each round builds it from
nothing, then updates it after nothing changed, after the contents of one file changed, after one
and after a hundred of another size, after a new one, and after an entry of the ESP changed. Ratios
are to the build from nothing of the same digest: SHA-256 reads the whole image every time,
fs-verity what changed. Best of all rounds, by the clock; processor time stands beside it, for
machines that do other things as well.
With `--archive`, an archive of so many MiB is unpacked beside the tree.
The outputs are compared with those of a build from nothing in every round.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import places
from benchmarks.populate import MIB, many_files, read_once

_SPEC = """schema = 1
name = "disk"
layout.table = "efi"
size.boot = "64MiB"
output.sums = "{sums}"
[[contents]]
source = "root"
target = "/"
[[contents]]
source = "esp"
target = "/"
volume = "esp"
"""
_PACKED = """[[contents]]
source = "packed.tar.gz"
target = "/opt"
extract = true
"""
_SETTLED = 0.1
"""Seconds after which a file that changed is believed."""


@dataclass(frozen=True, order=True)
class Timed:
    """How long a build took, in seconds: by the clock, and on all processors together."""

    wall: float
    processor: float


def timed(folder: Path, out: str, *options: str) -> Timed:
    """Runs a build and returns how long it took."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-P", "-m", "engine.cli", "build", str(folder / "disk.toml"), "-o",
         str(folder / out), "--quiet", *options], check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(wall, processor)


def cold(folder: Path, out: str) -> Timed:
    """Builds from nothing."""
    shutil.rmtree(folder / out, ignore_errors=True)
    os.sync()
    return timed(folder, out)


def changed_file(folder: Path) -> None:
    """Gives a file in the middle other contents of the same size."""
    files = sorted((folder / "root").rglob("*.dat"))
    path = files[len(files) // 2]
    path.write_bytes(os.urandom(path.stat().st_size))


def another_size(folder: Path) -> None:
    """Has a file in the middle take a block more, so that all behind it move."""
    files = sorted((folder / "root").rglob("*.dat"))
    with files[len(files) // 2].open("ab") as file:
        file.write(os.urandom(4096))


def many_of_another_size(folder: Path) -> None:
    """Has a hundred files, evenly spread, take a block more."""
    files = sorted((folder / "root").rglob("*.dat"))
    for path in files[:: max(len(files) // 100, 1)]:
        with path.open("ab") as file:
            file.write(os.urandom(4096))


def new_file(folder: Path) -> None:
    """Adds a file beside one in the middle."""
    files = sorted((folder / "root").rglob("*.dat"))
    path = files[len(files) // 2]
    path.with_name(f"new-{time.time_ns()}.dat").write_bytes(os.urandom(20_000))


def changed_esp(folder: Path) -> None:
    """Changes a file of the ESP."""
    (folder / "esp" / "loader.conf").write_bytes(os.urandom(40))


CASES: dict[str, Callable[[Path], None]] = {
    "nothing changed": lambda folder: None,
    "one file changed": changed_file,
    "one file grew by a block": another_size,
    "a hundred files grew": many_of_another_size,
    "one file is new": new_file,
    "the other volume changed": changed_esp,
}


def packed(folder: Path, size: int) -> None:
    """Packs files of so many bytes into an archive."""
    many_files(folder / "packed", size // 20_000, size)
    with tarfile.open(folder / "packed.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(folder / "packed", "packed")
    shutil.rmtree(folder / "packed")


def measure(folder: Path, rounds: int, sums: str) -> None:
    """Prints the figures of one kind of digest."""
    spec = _SPEC.format(sums=sums)
    if (folder / "packed.tar.gz").exists():
        spec += _PACKED
    (folder / "disk.toml").write_text(spec, encoding="utf-8")
    found: dict[str, list[Timed]] = {name: [] for name in ("cold", *CASES)}
    for _ in range(rounds):
        found["cold"].append(cold(folder, "out"))
        for name, change in CASES.items():
            change(folder)
            time.sleep(_SETTLED)
            os.sync()
            found[name].append(timed(folder, "out", "--update"))
        cold(folder, "reference")
        same = ["cmp", str(folder / "out" / "disk.img"), str(folder / "reference" / "disk.img")]
        subprocess.run(same, check=True)
        shutil.rmtree(folder / "reference")
    whole = min(found["cold"])
    print(f"  {sums}: from nothing {whole.wall:.2f} s, {whole.processor:.2f} s of processor time")
    for name in CASES:
        best = min(found[name])
        print(
            f"    {name:26} {best.wall:7.2f} s   ratio {best.wall / whole.wall:.3f}"
            f"   processor {best.processor:6.2f} s   ratio {best.processor / whole.processor:.3f}"
        )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=places.made, help="where trees and images are made")
    parser.add_argument("--files", type=int, default=70_000)
    parser.add_argument("--total", type=int, default=1400, help="MiB of all files")
    parser.add_argument("--archive", type=int, default=0, help="MiB of files in an archive")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sums", action="append", choices=("sha256", "fsverity"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="update-", dir=arguments.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        for place in ("root", "esp"):
            (folder / place).mkdir()
        many_files(folder / "root", arguments.files, arguments.total * MIB)
        changed_esp(folder)
        read_once(folder / "root")
        if arguments.archive:
            packed(folder, arguments.archive * MIB)
        print(f"{arguments.files} files, {arguments.total} MiB, in {arguments.folder or name}")
        for sums in arguments.sums or ("sha256", "fsverity"):
            measure(folder, arguments.rounds, sums)


if __name__ == "__main__":
    main()
