"""The conditions of the second build: each differs from the first build's where it can.

`Conditions` is what the second build's process is started under; its rows say it to a person.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.tools.environment import search_path
from engine.tools.program import module_command, modules_folder
from engine.trust import plant

CLOCK_AHEAD = 400 * 24 * 3600
"""Seconds by which the second build's own clock is ahead."""

NOBODY = 65534
"""User and group that own nothing (Linux: the overflow ids)."""

_UMASK = 0o077
_ZONE = "CHK-12:45"
"""A POSIX TZ: 12 hours 45 minutes east of Greenwich, without need of a time zone database."""


@dataclass(frozen=True, slots=True)
class Row:
    """One condition.

    Attributes:
        what: What it is.
        first, second: Its value for either build; `second` is "" where it could not be changed.
        why: Why not.
    """

    what: str
    first: str
    second: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the second build's process is started.

    Attributes:
        env: Its whole environment.
        prefix: Command that covers /etc and changes the user, as far as that works.
        settings: What `engine.cli.perturbed` takes as its first argument.
        rows: All of it, for the report.
        other_user: The prefix makes it `NOBODY`, to whom its folder has to be given.
    """

    env: Mapping[str, str]
    prefix: tuple[str, ...]
    settings: str
    rows: tuple[Row, ...]
    other_user: bool


def conditions(
    environ: Mapping[str, str], home: Path, *, prefix: tuple[str, ...], why_not_user: str,
    why_not_planted: str,
) -> Conditions:  # fmt: skip
    """Returns the conditions of the second build.

    Args:
        environ: The first build's environment.
        home: A folder for it to take for its home and temporary files.
        prefix: What is before the second build's command: of `plant_command()` and
            `user_command()` what works.
        why_not_user: Why the user is the same; "" where it is another.
        why_not_planted: Why /etc is the machine's own; "" where it is covered.
    """
    changed = {
        "HOME": str(home),
        "TMPDIR": str(home),
        "USER": "somebody",
        "LOGNAME": "somebody",
        "LC_ALL": "C",
        "LANG": "tr_TR.UTF-8",
        "TZ": _ZONE,
        "PYTHONHASHSEED": "271828",
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "61",
        "EDITOR": "none",
    } | plant.variables(home)
    cpus = sorted(os.sched_getaffinity(0))
    umask = _umask()
    settings = {"umask": _UMASK, "cpu": cpus[-1], "ahead": CLOCK_AHEAD, "shuffle": 577215}
    who = f"{os.getuid()}:{os.getgid()}"
    root = os.getuid() == 0
    other = f"{NOBODY}:{NOBODY}" if root else "0:0 (a user namespace)"
    planted = ", ".join(f"/etc/{name}" for name in plant.etc_files())
    private = ", ".join([*(f"~/{name}" for name in plant.home_files()), *plant.variables(home)])
    rows = (
        Row("own clock", "as it is", f"{CLOCK_AHEAD // 86400} days ahead"),
        Row("TZ", environ.get("TZ", "not set"), _ZONE),
        Row("locale", environ.get("LC_ALL") or environ.get("LANG") or "not set", "C"),
        Row("umask", f"{umask:04o}", f"{_UMASK:04o}"),
        Row("order of directory listings", "the file system's", "shuffled"),
        Row(
            "processors", str(len(cpus)), "1" if len(cpus) > 1 else "",
            "" if len(cpus) > 1 else "this machine has one",
        ),
        Row("PYTHONHASHSEED", environ.get("PYTHONHASHSEED", "random"), "271828"),
        Row("home, user name, TMPDIR", "as they are", "others"),
        Row("user and group id", who, "" if why_not_user else other, why_not_user),
        Row("settings of tools: the machine's", "its own",
            "" if why_not_planted else f"hostile: {planted}", why_not_planted),
        Row("settings of tools: the user's", "their own", f"hostile: {private}"),
    )  # fmt: skip
    return Conditions(
        env=dict(environ) | changed,
        prefix=prefix,
        settings=json.dumps(settings),
        rows=rows,
        other_user=root and not why_not_user,
    )


def user_command() -> tuple[str, ...]:
    """Returns the command that runs another as a different user, if the machine lets us.

    Root becomes nobody; anyone else becomes root of a user namespace of their own.
    """
    if os.getuid() == 0:
        ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        return ("setpriv", *ids, "--")
    return ("unshare", "--user", "--map-root-user", "--")


def plant_command(folder: Path) -> tuple[str, ...]:
    """Returns the command that runs another where hostile files are in /etc, if it may.

    Whoever is not root becomes root of a user namespace by it.
    """
    return (*plant.unshare_command(), *module_command(plant.MODULE, str(folder)))


def search_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment in which tools and this program's modules are found."""
    project = str(modules_folder())
    before = environ.get("PYTHONPATH")
    modules = os.pathsep.join([project, before]) if before else project
    return dict(environ) | {"PATH": search_path(environ), "PYTHONPATH": modules}


def temporary_folder() -> Path:
    """Returns a new folder for both builds and the copies."""
    return Path(tempfile.mkdtemp(prefix="diskwright-check-"))


def _umask() -> int:
    """Returns this process's umask, which can only be read by setting it."""
    value = os.umask(0o022)
    os.umask(value)
    return value
