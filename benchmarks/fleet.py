"""Times fleets against single builds, and two workers against one.

    python -m benchmarks.fleet [--total 300] [--rows 100] [--large 64] [--folder DIR] [--sums KIND]

Three figures, each a ratio within one run; processor time stands beside the clock's, for machines
that do other things as well:

    ten variants   one build of a row, against a fleet of ten that share 95 % of their bytes: a root
                   of `--total` MiB, and a volume of each row's own with a twentieth of that. Where
                   the folder's file system shares blocks (XFS, Btrfs), the root is written once;
                   elsewhere no fleet can be faster than a copy of its images, which is timed too.
    workers        `--rows` images of 8 MiB of their own on one worker, and on two; the same with
                   an eighth as many of `--large` MiB. One worker may use all processors: its
                   programs and writers run beside it. So it is timed on one processor as well.
    second run     the same fleet again, nothing changed, a row

Starting Python and Dask counts in all of them, but not in the time a row of the second run, which
is what ten rows take beyond one.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import places

MIB = 1 << 20
_SEED = "0d5b7a3e-9a56-4c57-8f0e-2f6f3a0c6b11"
_BASE = """schema = 1
[layout]
table = "gpt"
[output]
sums = "{sums}"
[identity]
seed = "{seed}"
source_date_epoch = 1735689600
[[volume]]
id = "root"
free = "16MiB"
[[volume]]
id = "own"
role = "data"
mount = "/own"
free = "1MiB"
[[contents]]
source = "root/"
target = "/"
"""


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--total", type=int, default=300, help="MiB of the shared root")
    parser.add_argument("--rows", type=int, default=100, help="images for one and two workers")
    parser.add_argument("--large", type=int, default=64, help="MiB of an eighth as many images")
    parser.add_argument("--folder", type=places.made, help="where everything lies")
    parser.add_argument("--sums", default="sha256", choices=("sha256", "fsverity", "none"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        variants(Path(name) / "variants", args.total, args.sums)
        workers(Path(name) / "workers", args.rows, 8, args.sums)
        if args.large:
            workers(Path(name) / "large", max(args.rows // 8, 2), args.large, args.sums)


def variants(folder: Path, total: int, sums: str) -> None:
    """Ten variants against one build, and the run after it."""
    yard(folder, total, own=total // 20, rows=10, sums=sums)
    one = folder / "one.toml"
    one.write_text(f"base = 'base.toml'\nname = 'n1'\n[[row]]\n{contents(1)}")
    single = timed(folder, "fleet", "one.toml", "-o", "single")
    ten = timed(folder, "fleet", "fleet.toml", "-o", "ten")
    copied = measured(folder, "sh", "-c", "cp -r --reflink=auto ten copy && sync -f copy")
    shutil.rmtree(folder / "copy")
    again = timed(folder, "fleet", "fleet.toml", "-o", "ten")
    shutil.rmtree(folder / "single")
    cold = timed(folder, "fleet", "one.toml", "-o", "single")
    single = min(single, cold)
    once = timed(folder, "fleet", "one.toml", "-o", "single")
    print(
        f"one build: {single.clock:.2f} s; ten variants: {ten.clock:.2f} s; "
        f"ratio {ten.clock / single.clock:.2f} (1.5); of processors {ten.cpu / single.cpu:.2f}"
    )
    rest = (ten.clock - single.clock) / 9
    print(
        f"a copy of the ten: {copied.clock:.2f} s, {copied.clock / single.clock:.2f} times one "
        f"build; each variant beyond the first: {rest:.2f} s, a copy {copied.clock / 10:.2f} s, "
        f"ratio {rest / (copied.clock / 10):.2f}; of processors "
        f"{(ten.cpu - single.cpu) / 9:.2f} s, a copy {copied.cpu / 10:.2f} s"
    )
    print(f"written: {disk(folder / 'single') / MIB:.0f} MiB, {disk(folder / 'ten') / MIB:.0f} MiB")
    print(
        f"second run: {again.clock:.2f} s for ten, {once.clock:.2f} s for one; "
        f"{max(again.cpu - once.cpu, 0) / 9 * 1000:.1f} ms of a processor a row (10)"
    )


def workers(folder: Path, rows: int, own: int, sums: str) -> None:
    """One worker, one on a processor alone, and two; images of so many MiB of their own."""
    yard(folder, 1, own=own, rows=rows, sums=sums)
    first = str(min(os.sched_getaffinity(0)))
    one = timed(folder, "fleet", "fleet.toml", "-o", "out", "--workers", "1")
    shutil.rmtree(folder / "out")
    words = ("fleet", "fleet.toml", "-o", "out", "--workers", "1")
    alone = timed(folder, *words, before=("taskset", "-c", first))
    shutil.rmtree(folder / "out")
    two = timed(folder, "fleet", "fleet.toml", "-o", "out", "--workers", "2")
    again = timed(folder, "fleet", "fleet.toml", "-o", "out")
    shutil.rmtree(folder / "out")
    print(
        f"{rows} rows of {own} MiB: {one.clock:.2f} s on one worker, {two.clock:.2f} s on two; "
        f"{one.clock / two.clock:.2f} times as fast (1.8); "
        f"of processors {one.cpu:.2f} s and {two.cpu:.2f} s"
    )
    print(
        f"one worker on one processor: {alone.clock:.2f} s, of it {alone.cpu:.2f} s; two are "
        f"{alone.clock / two.clock:.2f} times as fast"
    )
    print(
        f"second run of {rows}: {again.clock:.2f} s, {again.cpu:.2f} s of a processor; "
        f"{again.cpu / rows * 1000:.1f} ms a row, start-up included"
    )


def contents(row: int) -> str:
    """Returns a row's own contents."""
    return f'[[row.contents]]\nsource = "own/{row}/"\ntarget = "/own"\n'


def yard(folder: Path, total: int, *, own: int, rows: int, sums: str) -> None:
    """Makes a fleet: a root of so many MiB, and what is each row's own."""
    folder.mkdir()
    (folder / "base.toml").write_text(_BASE.format(sums=sums, seed=_SEED))
    fill(folder / "root", total)
    text = 'base = "base.toml"\nname = "n{serial}"\n'
    for row in range(1, rows + 1):
        fill(folder / f"own/{row}", own)
        text += f'[[row]]\nserial = "{row}"\n{contents(row)}'
    (folder / "fleet.toml").write_text(text)
    subprocess.run(["sync"], check=True)
    time.sleep(0.1)  # files that have just changed are not believed to stay


def fill(folder: Path, total: int) -> None:
    """Makes files of 64 KiB, two hundred in a folder."""
    for number in range(total * 16):
        place = folder / str(number // 200)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}").write_bytes(os.urandom(64 << 10))


class Seconds(NamedTuple):
    """What a command took: by the clock, and of all processors."""

    clock: float
    cpu: float


def timed(folder: Path, *words: str, before: tuple[str, ...] = ()) -> Seconds:
    """Runs Diskwright, by a command that comes before if there is one; returns what it took."""
    command = (*before, sys.executable, "-P", "-m", "engine.cli", *words, "--quiet")
    return measured(folder, *command)


def measured(folder: Path, *command: str) -> Seconds:
    """Runs a command; returns what it took."""
    subprocess.run(["sync"], check=True)
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        command,
        cwd=folder, check=True, stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    clock, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Seconds(clock, cpu)


def disk(folder: Path) -> int:
    """Returns the bytes that images take, blocks that they share counted in each."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*.img"))


if __name__ == "__main__":
    main()
