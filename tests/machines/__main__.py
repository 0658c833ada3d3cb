"""Proves Diskwright in a bare machine of each supported Debian: `python -m tests.machines [SUITE]`.

Each machine gets a clone of the project with nothing beside it, builds the examples by the README's
own commands, reads them back and runs the quick tests of the engine. The images must be the same on
all of them. Where a machine cannot be made, that is said in a line; it is not a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.machines.machine import CannotMake, Machine, machine

_PROJECT = Path(__file__).parents[2]
_TABLE = Path(__file__).with_name("machines.toml")
_PLACE = "/srv/diskwright"
"""Where ordinary users can read it, as tests want."""
_INSIDE = "tests/machines/inside.sh"
_SLOWEST = 900
"""Seconds after which a machine's builds, or its tests, are given up."""


class Failed(Exception):
    """A machine was made, and Diskwright did not work there."""


def main(wanted: Sequence[str]) -> int:
    """Runs the machines, or those of some suites; returns 1 if Diskwright failed on one."""
    table = tomllib.loads(_TABLE.read_text())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diskwright/machines"
    sums: dict[str, dict[str, str]] = {}
    ends = []
    for row in table["machine"]:
        if wanted and row["suite"] not in wanted:
            continue
        began = time.monotonic()
        try:
            with machine(row["suite"], table["packages"], cache) as made:
                sums[row["name"]] = _prove(made, table["tests"])
            end = "works"
        except CannotMake as error:
            end = f"NOT TRIED, as this computer could not make it: {error}"
        except Failed as error:
            end = f"FAILED: {error}"
        ends.append(f"{row['name']}: {end} ({time.monotonic() - began:.0f} s)")
        _say(ends[-1])
    differences = list(compare(sums))
    for line in [*ends, *differences]:
        _say(line)
    return int(bool(differences) or any(": FAILED" in end for end in ends))


def compare(sums: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yields a line for each image that is not the same on all machines.

    Args:
        sums: SHA-256 by image, by machine.
    """
    for image in sorted({image for of in sums.values() for image in of}):
        found = {name: of.get(image, "none") for name, of in sums.items()}
        if len(set(found.values())) > 1:
            seen = ", ".join(f"{name}: {digest[:12]}" for name, digest in found.items())
            yield f"FAILED: {image} is not the same everywhere ({seen})"


def _prove(made: Machine, tests: Sequence[str]) -> dict[str, str]:
    """Returns the sum of every image that a machine built; raises `Failed`."""
    _clone(made)
    with _timed("set-up and examples"):
        output = _inside(made, ("examples", "/root/out"), subprocess.PIPE)
    sums = {name: digest for digest, name in (line.split() for line in output.splitlines())}
    if not sums:
        raise Failed("no example was built")
    with _timed("set-up for tests, and tests"):
        _inside(made, ("tests", *tests), None)
    return sums


def _inside(made: Machine, words: Sequence[str], output: int | None) -> str:
    try:
        done = made.run((f"./{_INSIDE}", *words), cwd=_PLACE, timeout=_SLOWEST, output=output)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{words[0]} took more than {_SLOWEST} s") from error
    if done.returncode != 0:
        raise Failed(f"{words[0]} ended with status {done.returncode}; see above")
    return done.stdout or ""


def _clone(made: Machine) -> None:
    """Puts what is committed into the machine, as a clone whose owner is the machine's root."""
    changed = subprocess.run(
        ("git", "status", "--porcelain"), cwd=_PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if changed:
        _say(f"{len(changed)} changes are not committed and so not in the clone")
    bundle = made.cache / "clone.bundle"
    subprocess.run(("git", "bundle", "create", "-q", bundle, "HEAD"), cwd=_PROJECT, check=True)
    made.put(bundle, "/root/clone.bundle")
    bundle.unlink()
    done = made.run(("git", "clone", "-q", "/root/clone.bundle", _PLACE), timeout=120)
    if done.returncode != 0:
        raise Failed("the clone cannot be cloned")
    made.run(("rm", "/root/clone.bundle"), timeout=60)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    _say(f"{what}: {time.monotonic() - began:.0f} s")


def _say(text: str) -> None:
    sys.stdout.write(f"machines: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
