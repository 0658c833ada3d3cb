"""Gives up every privilege, so that what runs next runs as it does for an ordinary user."""

from __future__ import annotations

import asyncio
import codecs
import ctypes
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import engine

NOBODY = 65534
_ROOT = Path(__file__).parents[2]
_COMMAND = (
    "import sys; from pathlib import Path; from tests.support.ordinary import become_ordinary\n"
    "from engine.cli.main import main\n"
    "become_ordinary(Path(sys.argv[1])); sys.exit(main(sys.argv[2:]))\n"
)
_PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP = 38, 24  # linux/prctl.h
_CAPABILITIES = 64
_CODECS = ("cp437", "idna", "latin-1", "unicode_escape", "utf-16-le", "utf-16-be")


def import_all() -> None:
    """Imports what is imported late: the files may be out of an ordinary user's reach."""
    for codec in _CODECS:
        codecs.lookup(codec)
    asyncio.run(_try_out())
    for module in pkgutil.walk_packages(engine.__path__, "engine."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


async def _try_out() -> None:
    """Has asyncio import what it needs for threads and processes."""
    await asyncio.to_thread(int)
    await (await asyncio.create_subprocess_exec("true")).wait()


def become_ordinary(folder: Path) -> None:
    """Makes this process an ordinary user's, with `folder` for a home; for good.

    Who is not root stays who he is. Nobody's rights are given by user, group, bounding set,
    and the promise that no program gains any (prctl(2), capabilities(7)).
    """
    import_all()
    for name, place in (("HOME", folder), ("TMPDIR", folder), ("XDG_CACHE_HOME", folder)):
        os.environ[name] = str(place)
    os.chdir(folder)
    if os.geteuid() == 0:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        for capability in range(_CAPABILITIES):
            prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.chown(folder, NOBODY, NOBODY)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    status = Path("/proc/self/status").read_text()
    held = {line.split(":")[0]: line.split()[-1] for line in status.splitlines() if ":" in line}
    assert int(held["CapEff"], 16) == int(held["CapPrm"], 16) == 0
    assert os.geteuid() != 0


def as_nobody(home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `diskwright` as an ordinary user, in a folder that becomes his."""
    command = [sys.executable, "-c", _COMMAND, str(home), *map(str, arguments)]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
