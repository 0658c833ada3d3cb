"""A mutation fuzzer over every reader of foreign bytes, for as long as it is given.

    python -m benchmarks.fuzz [--minutes M] [--target NAME ...] [--first N]

Each target runs in a child of its own with limited memory; an input has a deadline, and a write
outside the child's folder is a finding. Prints inputs per second and each finding once; exits with
1 where there is any. The variant of a number is always the same, so a finding can be repeated with
--target and --first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.guard import guarded, limited_memory
from tests.fuzz.targets import TARGETS, Target

MEMORY = 768 << 20
"""Bytes that reading one input may take on top of the interpreter."""
DEADLINE = 10.0
"""Seconds that one input may take."""


def run_target(
    target: Target, folder: Path, first: int, until: float
) -> Iterator[dict[str, object]]:
    """Fuzzes one reader; yields findings, and the count at the end."""
    made = folder / "made"
    made.mkdir(parents=True)
    seeds = target.seeds(made)
    work = folder / "work"
    work.mkdir()
    file = work / f"input{target.suffix}"
    target.write(work / "reference", seeds[0])
    mutator = target.mutator(seeds)
    seen: set[str] = set()
    number = first
    began = time.monotonic()
    while time.monotonic() < until:
        target.write(file, mutator.variant(number))
        (folder / "number").write_text(str(number))
        try:
            with limited_memory(MEMORY), guarded(work, DEADLINE):
                target.read(file)
        except target.documented:
            pass
        except BaseException as error:
            where = _where(error)
            if where not in seen:
                seen.add(where)
                yield {"number": number, "what": f"{type(error).__name__}: {error}"[:200],
                       "where": where}  # fmt: skip
        number += 1
    yield {"executions": number - first, "seconds": time.monotonic() - began}


def _where(error: BaseException) -> str:
    """Returns what tells one fault from another: its type, and the line of ours it came from."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "engine" in f.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno} in {last.name}"


def child(name: str, first: int, seconds: float) -> None:
    """Runs one target in this process and prints what it yields as lines of JSON."""
    with tempfile.TemporaryDirectory(prefix="diskwright-fuzz-") as folder:
        until = time.monotonic() + seconds
        for line in run_target(TARGETS[name], Path(folder), first, until):
            print(json.dumps(line), flush=True)


def main() -> int:
    """Runs the targets one after the other and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), default=[])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(args.target[0], args.first, args.child)
        return 0
    names = args.target or list(TARGETS)
    share = args.minutes * 60 / len(names)
    total = findings = 0
    for name in names:
        command = [sys.executable, "-m", "benchmarks.fuzz", "--target", name]
        command += ["--first", str(args.first), "--child", str(share)]
        ran = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
        lines = [json.loads(line) for line in ran.stdout.splitlines()]
        last = lines.pop() if lines and "executions" in lines[-1] else {}
        done = int(last.get("executions", 0))
        rate = done / float(last.get("seconds", 1))
        print(f"{name:12} {done:9} inputs  {rate:8.0f}/s  {len(lines)} findings", flush=True)
        for line in lines:
            print(f"    {line['number']}: {line['where']}: {line['what']}", flush=True)
        if ran.returncode:
            print(f"    the child ended with {ran.returncode}", flush=True)
        total += done
        findings += len(lines) + bool(ran.returncode)
    print(f"{total} inputs, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
