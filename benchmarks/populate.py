"""Times the populate step side by side with `mke2fs -d` and `cp -a` on the same trees.

    python -m benchmarks.populate [--case files --case some --case big --case names] [--rounds 3]
                                  [--against CHECKOUT]

Trees are generated from a fixed seed, read once so that all contenders find them in memory, and
deleted afterwards. Ours runs in a process of its own, whose peak memory is that of scan and
populate together. Its time is that of an empty `mke2fs` and the populate step; the scan, which
the plan has already paid for, stands beside it. All bring what they wrote to the storage device,
within their times. The ratio is against `mke2fs -d`, best of all rounds each.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import places

MIB = 1 << 20
_SOME_FILES, _SOME_MIB = 10_000, 330
"""A tree of which processes of their own hardly pay."""
_UUID = "97fd5997-d90b-4aa3-8d16-0c1723aea73c"


@dataclass(frozen=True)
class Case:
    """One tree to fill a file system with.

    Attributes:
        generate: Makes the tree in a folder.
        inodes: Enough for it.
        size: Bytes of the file system.
        limit: Seconds after which `mke2fs -d` is stopped.
    """

    name: str
    generate: Callable[[Path], None]
    inodes: int
    size: int
    limit: int


def many_files(folder: Path, files: int, total: int) -> None:
    """Makes files of very different sizes, seven to a directory."""
    generator = random.Random(1)
    weights = [generator.lognormvariate(0, 1.5) for _ in range(files)]
    scale = total / sum(weights)
    noise = generator.randbytes(64 * MIB)
    for directory in range(files // 7):
        place = folder / f"{directory // 100:03d}" / f"package-{directory:05d}"
        place.mkdir(parents=True)
        for index in range(directory * 7, directory * 7 + 7):
            size = int(weights[index] * scale)
            start = generator.randrange(len(noise))
            with (place / f"file-{index:06d}.dat").open("wb") as file:
                while size > 0:
                    size -= file.write(noise[start : start + size])
                    start = 0


def one_file(folder: Path, size: int) -> None:
    """Makes one dense file."""
    noise = random.Random(2).randbytes(64 * MIB)
    with (folder / "disk.raw").open("wb") as file:
        while size > 0:
            size -= file.write(noise[:size])


def one_directory(folder: Path, names: int) -> None:
    """Makes empty files in one directory."""
    for index in range(names):
        (folder / f"entry-{index:08d}").touch()


def populate_child(tree: Path, image: Path, inodes: int) -> None:
    """Scans, makes and fills an image; prints seconds of each and the peak memory."""
    from engine.filesystems.ext4.writer import fill
    from engine.manifest.scan import scan
    from engine.pipeline.writeback import steady
    from engine.spec.load import loads
    from engine.spec.resolve import resolve

    text = f"schema = 1\n[[contents]]\nsource = {json.dumps(str(tree))}\ntarget = '/'\n"
    settings, _ = resolve(loads(text), Path("/"), {})
    begin = time.perf_counter()
    manifest = scan(settings).volumes["root"]
    scanned = time.perf_counter()
    subprocess.run(_mke2fs(image, inodes), check=True)
    with steady(image.parent):  # as a build has it
        fill(image, 0, manifest, epoch=1)
    end = time.perf_counter()
    print(json.dumps({"scan": scanned - begin, "populate": end - scanned, "peak": _peak_memory()}))


def _sync(image: Path) -> None:
    """Brings an image to the storage device."""
    with image.open("rb") as file:
        os.fsync(file.fileno())


def _peak_memory() -> int:
    """Returns the most bytes this process has had in memory; ru_maxrss counts its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _mke2fs(image: Path, inodes: int, *more: str) -> list[str]:
    return [
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0",
        "-N", str(inodes), "-U", _UUID,
        "-E", f"hash_seed={_UUID},lazy_itable_init=0,assume_storage_prezeroed=1,nodiscard",
        *more, str(image),
    ]  # fmt: skip


@contextmanager
def _image(folder: Path, size: int) -> Iterator[Path]:
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(size)
    os.sync()
    try:
        yield image
    finally:
        image.unlink()


def _ours(tree: Path, folder: Path, case: Case, checkout: Path) -> dict[str, float]:
    with _image(folder, case.size) as image:
        child = [sys.executable, "-m", "benchmarks.populate", "--child"]
        result = subprocess.run(
            [*child, str(tree), str(image), str(case.inodes)],
            check=True, capture_output=True, text=True, cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )  # fmt: skip
        begin = time.perf_counter()
        _sync(image)
        synced = time.perf_counter() - begin
        subprocess.run(["e2fsck", "-fn", str(image)], check=True, capture_output=True)
        figures: dict[str, float] = json.loads(result.stdout)
        return figures | {"populate": figures["populate"] + synced}


def _theirs(tree: Path, folder: Path, case: Case) -> float | None:
    with _image(folder, case.size) as image:
        begin = time.perf_counter()
        try:
            command = _mke2fs(image, case.inodes, "-d", str(tree))
            subprocess.run(command, check=True, timeout=case.limit)
            _sync(image)
        except subprocess.TimeoutExpired:
            return None
        return time.perf_counter() - begin


def _copied(tree: Path, folder: Path) -> float:
    copy = folder / "copy"
    os.sync()
    begin = time.perf_counter()
    subprocess.run(["cp", "-a", str(tree), str(copy)], check=True)
    subprocess.run(["sync", "-f", str(copy)], check=True)
    seconds = time.perf_counter() - begin
    shutil.rmtree(copy)
    return seconds


def read_once(tree: Path) -> None:
    """Reads every file, so that all contenders find them in memory."""
    for folder, _, names in os.walk(tree):
        for name in names:
            with open(os.path.join(folder, name), "rb", buffering=0) as file:  # noqa: PTH118, PTH123
                while file.read(MIB):
                    pass


def run(case: Case, folder: Path, rounds: int, against: Path | None) -> None:
    """Times all contenders on one tree and prints a row."""
    tree = folder / "tree"
    tree.mkdir()
    try:
        case.generate(tree)
        read_once(tree)
        ours: list[dict[str, float]] = []
        older: list[dict[str, float]] = []
        theirs: list[float | None] = []
        copies: list[float] = []
        for number in range(rounds):
            ours.append(_ours(tree, folder, case, Path(__file__).resolve().parent.parent))
            if against is not None:
                older.append(_ours(tree, folder, case, against.resolve()))
            if number == 0 or theirs[0] is not None:
                theirs.append(_theirs(tree, folder, case))
            copies.append(_copied(tree, folder))
    finally:
        shutil.rmtree(tree)
    mine = min(each["populate"] for each in ours)
    scan = min(each["scan"] for each in ours)
    peak = max(each["peak"] for each in ours)
    best = [seconds for seconds in theirs if seconds is not None]
    other = f"{min(best):8.2f} s" if best else f"> {case.limit:6d} s"
    ratio = f"{mine / min(best):5.2f}" if best else f"< {mine / case.limit:5.3f}"
    before = (
        f"   at {against.name} {min(each['populate'] for each in older):6.2f} s" if against else ""
    )
    print(
        f"{case.name:28} populate {mine:6.2f} s (scan {scan:5.2f} s, peak {peak / MIB:4.0f} MiB)"
        f"   mke2fs -d {other}   cp -a {min(copies):6.2f} s   ratio {ratio}"
        f"{before}",
        flush=True,
    )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--child", nargs=3, metavar=("TREE", "IMAGE", "INODES"))
    parser.add_argument("--case", action="append", choices=("files", "some", "big", "names"))
    parser.add_argument("--folder", type=places.made, help="where trees and images are made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="time another checkout of Diskwright, too")
    parser.add_argument("--files", type=int, default=70_000)
    parser.add_argument("--total", type=int, default=1400, help="MiB of all those files")
    parser.add_argument("--big", type=int, default=4096, help="MiB of the one file")
    parser.add_argument("--names", type=int, default=100_000)
    parser.add_argument("--limit", type=int, default=60, help="seconds given to mke2fs -d on those")
    arguments = parser.parse_args()
    if arguments.child:
        tree, image, inodes = arguments.child
        populate_child(Path(tree), Path(image), int(inodes))
        return
    files, names = arguments.files, arguments.names
    total, big = arguments.total * MIB, arguments.big * MIB
    cases = {
        "files": Case(
            f"{files} files, {total // MIB} MiB",
            lambda folder: many_files(folder, files, total),
            inodes=files * 2,
            size=total * 2 + 512 * MIB,
            limit=600,
        ),
        "some": Case(
            f"{_SOME_FILES} files, {_SOME_MIB} MiB",
            lambda folder: many_files(folder, _SOME_FILES, _SOME_MIB * MIB),
            inodes=_SOME_FILES * 2,
            size=_SOME_MIB * 2 * MIB + 256 * MIB,
            limit=600,
        ),
        "big": Case(
            f"one file of {big // MIB} MiB",
            lambda folder: one_file(folder, big),
            inodes=64,
            size=big + big // 8 + 64 * MIB,
            limit=600,
        ),
        "names": Case(
            f"{names} names in a directory",
            lambda folder: one_directory(folder, names),
            inodes=names + 1024,
            size=names * 512 + 64 * MIB,
            limit=arguments.limit,
        ),
    }
    with tempfile.TemporaryDirectory(prefix="populate-", dir=arguments.folder) as folder:
        for name in arguments.case or cases:
            run(cases[name], Path(folder), arguments.rounds, arguments.against)


if __name__ == "__main__":
    main()
