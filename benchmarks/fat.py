"""Times our FAT writer side by side with mkfs.fat and mtools on the same files.

    python -m benchmarks.fat [--rounds 3]

Two ESPs: a few kernels of random bytes, and 2,000 small files. mtools are called as builds once
did: a process for each file; and once for all, `mcopy -s`. Best of all rounds each.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engine.filesystems.fat.format import Volume
from engine.filesystems.fat.geometry import HEADS, TRACK, geometry
from engine.filesystems.fat.writer import fill
from engine.manifest.manifest import Manifest
from engine.manifest.memory import directory, host_file

MIB = 1 << 20
_LAYOUT = geometry(512 * MIB)
_VOLUME = Volume(label="ESP", volume_id=0x1234ABCD, epoch=1_700_000_000)
_ENVIRONMENT = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"}


def kernels(folder: Path) -> None:
    """Makes three pairs of kernel and initrd, 150 MiB in all."""
    generator = random.Random(1)
    for number in range(3):
        (folder / f"vmlinuz-6.{number}.0-amd64").write_bytes(generator.randbytes(10 * MIB))
        (folder / f"initrd.img-6.{number}.0-amd64").write_bytes(generator.randbytes(40 * MIB))


def small(folder: Path) -> None:
    """Makes 2,000 files of up to 8 KiB."""
    generator = random.Random(2)
    for number in range(2000):
        size = generator.randrange(8192)
        (folder / f"a small file {number:04d}.conf").write_bytes(generator.randbytes(size))


def ours(image: Path, files: list[Path]) -> None:
    """Makes and fills the file system in process."""
    entries = [directory(b"", mtime_ns=0)]
    entries += [host_file(f.name.encode(), os.fsencode(f), mtime_ns=0) for f in files]
    fill(image, 0, _LAYOUT, _VOLUME, Manifest(entries))


def each(image: Path, files: list[Path]) -> None:
    """Makes it with mkfs.fat and fills it by one mcopy for each file."""
    _mkfs(image)
    for file in files:
        argv = ("mcopy", "-i", image, file, f"::/{file.name}")
        subprocess.run(argv, check=True, env=_ENVIRONMENT)


def at_once(image: Path, files: list[Path]) -> None:
    """Makes it with mkfs.fat and fills it by one mcopy."""
    _mkfs(image)
    subprocess.run(("mcopy", "-i", image, *files, "::/"), check=True, env=_ENVIRONMENT)


def _mkfs(image: Path) -> None:
    argv = ("mkfs.fat", "-F", "32", "-g", f"{HEADS}/{TRACK}", image)
    subprocess.run(argv, check=True, capture_output=True)


def _best(call: Callable[[Path, list[Path]], None], files: list[Path], rounds: int) -> float:
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder, "image")
            with image.open("wb") as made:
                made.truncate(_LAYOUT.size)
            begin = time.perf_counter()
            call(image, files)
            found.append(time.perf_counter() - begin)
    return min(found)


def main() -> None:
    """Prints a line for each tree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    for generate in (kernels, small):
        with tempfile.TemporaryDirectory() as place:
            generate(Path(place))
            files = sorted(Path(place).iterdir())
            mine, single, batch = (_best(call, files, rounds) for call in (ours, each, at_once))
        print(
            f"{generate.__name__:8}  ours {mine:6.3f} s  mcopy for each file {single:6.3f} s  "
            f"one mcopy {batch:6.3f} s"
        )


if __name__ == "__main__":
    main()
