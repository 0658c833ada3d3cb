"""Proves Diskwright in a bare machine of each supported Debian: `python -m tests.machines [SUITE]`.

Each machine gets a clone of the project with nothing beside it, sets it up by the README's own
command, builds the examples, reads them back and runs the quick tests of the engine. The images
must be the same on all of them. Where a machine cannot be made or set up for want of network, or
this computer is too slow for it, that is said in a line; it is no failure. Nor is anything on a
machine that moves, unless it is asked for by name.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.machines.machine import CannotMake, Machine, machine
from tests.machines.outcome import Cut, Failed, Outcome, compare

_PROJECT = Path(__file__).parents[2]
_TABLE = Path(__file__).with_name("machines.toml")
_PLACE = "/srv/diskwright"
"""Where ordinary users can read it, as tests want."""
_INSIDE = "tests/machines/inside.sh"
_SHORT = 300
"""Seconds for what is done at once on a quiet computer."""


def main(wanted: Sequence[str]) -> int:
    """Runs the machines, or those of some suites; returns 1 if Diskwright failed on one."""
    table = tomllib.loads(_TABLE.read_text())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diskwright/machines"
    deadline = time.monotonic() + table["budget"]
    outcomes = []
    for row in table["machine"]:
        if wanted and row["suite"] not in wanted:
            continue
        outcome = Outcome(row["name"], row.get("moves", False) and not wanted)
        outcomes.append(outcome)
        if time.monotonic() > deadline:
            outcome.end = f"NOT TRIED, as {table['budget']} s were spent on machines before"
            continue
        start, processors = time.monotonic(), _processor_time()
        try:
            with machine(row["suite"], table["packages"], cache) as made:
                _prove(made, table["tests"], Limits(table["phase"], deadline), outcome)
        except CannotMake as error:
            outcome.end = f"NOT TRIED, as this computer could not make it: {error}"
        except Cut as error:
            outcome.end = f"NOT DECIDED, as {error}"
        except Failed as error:
            outcome.fail(str(error))
        took = time.monotonic() - start
        outcome.end += f" ({took:.0f} s, {_processor_time() - processors:.0f} s of processors)"
        _say(f"{outcome.name}: {outcome.end}")
    differences = list(compare(outcomes))
    for outcome in outcomes:
        _say(f"{outcome.name}: {outcome.end}")
    for difference in differences:
        _say(str(difference))
    return int(any(outcome.failed for outcome in outcomes) or any(d.failed for d in differences))


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a phase may take.

    Attributes:
        phase: Seconds.
        deadline: Of all machines, by the monotonic clock.
    """

    phase: float
    deadline: float

    def left(self) -> float:
        """Returns the seconds that a phase has that begins now and may be cut short."""
        return min(self.phase, max(0, self.deadline - time.monotonic()))


def _prove(made: Machine, tests: Sequence[str], limits: Limits, outcome: Outcome) -> None:
    """Sets up, builds, reads back and tests; raises `CannotMake`, `Cut` or `Failed`."""
    _clone(made)
    with _timed("set-up"):
        _set_up(made, limits)
    with _timed("examples"):
        try:
            output = _inside(made, ("examples", "/root/out"), limits.phase, subprocess.PIPE)
        except Cut as error:
            # Half a minute's work on a quiet computer: a build does not end.
            raise Failed(str(error)) from error
    outcome.sums = {name: digest for digest, name in (line.split() for line in output.splitlines())}
    if not outcome.sums:
        raise Failed("no example was built")
    with _timed("tests"):
        _inside(made, ("tests", *tests), limits.left())  # each test has a limit of its own


def _set_up(made: Machine, limits: Limits) -> None:
    """Sets up; what fails while the network answers is begun again once, as a user would."""
    try:
        _inside(made, ("setup",), limits.left())
    except Failed as error:
        if not _reaches_network(made):
            raise CannotMake(f"{error}, and the network does not answer") from error
        _inside(made, ("setup",), limits.left())


def _reaches_network(made: Machine) -> bool:
    try:
        _inside(made, ("network",), _SHORT)
    except (Cut, Failed):
        return False
    return True


def _inside(made: Machine, words: Sequence[str], limit: float, output: int | None = None) -> str:
    try:
        done = made.run((f"./{_INSIDE}", *words), cwd=_PLACE, timeout=limit, output=output)
    except subprocess.TimeoutExpired as error:
        raise Cut(f"{words[0]} took more than {limit:.0f} s") from error
    if done.returncode != 0:
        raise Failed(f"{words[0]} ended with status {done.returncode}; see above")
    return done.stdout or ""


def _clone(made: Machine) -> None:
    """Puts what is committed into the machine, as a clone whose owner is the machine's root."""
    git = ("git", "-c", f"safe.directory={_PROJECT}")  # another user's, where CI made it
    changed = subprocess.run(
        (*git, "status", "--porcelain"), cwd=_PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if changed:
        _say(f"{len(changed)} changes are not committed and so not in the clone")
    bundle = made.folder.with_name("clone.bundle")
    subprocess.run((*git, "bundle", "create", "-q", bundle, "HEAD"), cwd=_PROJECT, check=True)
    made.put(bundle, "/root/clone.bundle")
    done = made.run(("git", "clone", "-q", "/root/clone.bundle", _PLACE), timeout=_SHORT)
    if done.returncode != 0:
        raise Failed("the clone cannot be cloned")


def _processor_time() -> float:
    """Seconds of processors that everything started so far took, once it has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
