"""One bare Debian: made by mmdebstrap, entered by namespaces, gone when it is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_DAY = 86_400
_FRESH = 7 * _DAY
"""Seconds for which a bare system that was made is used again."""
_ROOM = 6 << 30
"""Bytes of scratch space that a machine may take: its system, what tests install and write."""
_PATIENCE = 900
"""Seconds after which a bare system that is still in the making is given up."""
_MIRROR = "http://deb.debian.org/debian"
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy")
# Tests start as many processes as they like; none outlives the machine.
_ENTER = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
_AS_ROOT = ("--map-root-user", "--map-auto", "--setuid", "0", "--setgid", "0")

_INSIDE = Path(__file__).with_name("enter.py")


class CannotMake(Exception):
    """This computer cannot make the machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that can be entered.

    Attributes:
        folder: Its root.
        cache: What it may keep for the next one of its kind: downloaded packages and wheels.
    """

    folder: Path
    cache: Path

    def run(
        self, argv: Sequence[str], *, cwd: str = "/", timeout: float, output: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command as the machine's root.

        Args:
            argv: The command.
            cwd: Folder in the machine.
            timeout: Seconds.
            output: Where standard output goes; to that of this process if None.

        Raises:
            TimeoutExpired: It took longer; none of its processes is left.
        """
        inside = (
            "/usr/bin/env", "-i", *self._environment(),
            "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", cwd, *argv,
        )  # fmt: skip
        enter = (sys.executable, "-I", _INSIDE, self.folder, self.cache)
        return subprocess.run(
            (*_ENTER, *rights(), *enter, *inside),
            stdin=subprocess.DEVNULL, stdout=output, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def put(self, path: Path, place: str) -> None:
        """Copies a file of this computer to a path in the machine; raises `CannotMake`."""
        inside = self.folder / place.lstrip("/")
        copy = ("cp", "--remove-destination", "-L", path, inside)
        _must((*_ENTER, *rights(), *copy), f"copy {path}")

    def _environment(self) -> Iterator[str]:
        yield "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        yield "HOME=/root"
        yield "LANG=C.UTF-8"
        yield "PIP_CACHE_DIR=/var/cache/pip"
        yield f"PIP_CERT={_AUTHORITIES}"  # Debian 12's pip asks only its own otherwise
        yield from (f"{name}={os.environ[name]}" for name in _PASSED_ON if name in os.environ)


def rights() -> tuple[str, ...]:
    """Returns what lets unshare make its caller root inside; nothing where he is root."""
    return () if os.geteuid() == 0 else ("--user", *_AS_ROOT)


@contextmanager
def machine(suite: str, packages: Sequence[str], cache: Path) -> Iterator[Machine]:
    """Makes a machine and removes it.

    Args:
        suite: Of Debian.
        packages: What it has beyond the essential ones.
        cache: Folder that outlives it.

    Raises:
        CannotMake: There is no mmdebstrap, no network, no room or no right to.
    """
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < _ROOM:
        raise CannotMake(f"{tempfile.gettempdir()} has {free:,} bytes left, {_ROOM:,} are needed")
    base = bare(suite, packages, cache)
    scratch = Path(tempfile.mkdtemp(prefix=f"machine-{suite}-"))
    folder = scratch / "root"
    try:
        folder.mkdir()
        # A tar of all owners: in the namespace where there is one, files of mapped users.
        _must(
            (*_ENTER, *rights(), "tar", "-C", folder, "--exclude", "./dev/*", "-xpf", base),
            "unpack the bare system",
        )
        kept = cache / suite
        made = Machine(folder, kept)
        _dress(made)
        yield made
    finally:
        subprocess.run((*_ENTER, *rights(), "rm", "-rf", "--one-file-system", scratch), check=True)


def bare(suite: str, packages: Sequence[str], cache: Path) -> Path:
    """Returns a tar of the bare system, made anew once it is a week old; raises `CannotMake`."""
    base = cache / f"{suite}.tar"
    if base.exists() and time.time() - base.stat().st_mtime < _FRESH:
        return base
    if shutil.which("mmdebstrap") is None:
        raise CannotMake("mmdebstrap is not installed")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix=f"{suite}-", dir=cache)
    except OSError as error:
        raise CannotMake(f"cannot write {cache}: {error.strerror}") from error
    with place as folder:
        _bootstrap(suite, packages, partial := Path(folder) / "bare.tar")
        partial.rename(base)
    return base


def _bootstrap(suite: str, packages: Sequence[str], tar: Path) -> None:
    _must(
        (
            "mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(packages)}",
            # A mirror may lag behind; what it has is signed all the same.
            '--aptopt=Acquire::Check-Valid-Until "false"',
            suite, tar, _MIRROR,
        ),
        f"make {suite} with mmdebstrap",
    )  # fmt: skip


def _dress(made: Machine) -> None:
    """Gives a machine this computer's way to the network and what it may keep."""
    for name in ("/etc/resolv.conf", _AUTHORITIES):
        if Path(name).exists():
            made.put(Path(name), name)
    update = ("apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")
    try:
        done = made.run(update, timeout=300, output=subprocess.PIPE)
    except subprocess.TimeoutExpired as error:
        raise CannotMake("apt-get update took more than 300 s") from error
    if done.returncode != 0:
        raise CannotMake(f"apt-get update fails: {_last(done.stdout)}")


def _must(argv: Sequence[str | Path], what: str) -> None:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=_PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise CannotMake(f"cannot {what} within {_PATIENCE} s") from error
    if done.returncode != 0:
        raise CannotMake(f"cannot {what}: {_last(done.stdout)}")


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E:")]
    return (errors or lines or ["it says nothing"])[-1]
