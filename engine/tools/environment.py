"""The environment tools run in: an allow-list, so that the caller's settings change no byte."""

from __future__ import annotations

import os
from collections.abc import Mapping

_KEPT = ("HOME", "LOGNAME", "TMPDIR", "USER", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
_KEPT_PREFIXES = ("NIX_",)
# Debian leaves these out of an ordinary user's PATH, and mke2fs, mkfs.fat and sfdisk live there.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
FAT_EPOCH = 315_532_800
"""1980-01-01T00:00:00Z, the earliest time FAT can hold (Microsoft FAT specification, 1.03)."""


def search_path(environ: Mapping[str, str] | None = None) -> str:
    """Returns PATH with the system's own folders after the caller's."""
    given = (os.environ if environ is None else environ).get("PATH", "")
    folders = [folder for folder in given.split(os.pathsep) if folder]
    folders += [folder for folder in _SYSTEM_FOLDERS if folder not in folders]
    return os.pathsep.join(folders)


def tool_environment(epoch: int, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns what a tool of the pipeline gets to see.

    Args:
        epoch: Seconds since 1970 that stand for "now" (`identity.source_date_epoch`).
        environ: The caller's environment; that of this process if None.
    """
    given = os.environ if environ is None else environ
    kept = {
        name: value
        for name, value in given.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    return kept | {
        "PATH": search_path(given),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(epoch),
        # e2fsprogs before 1.47.1 know only this name, and take 0 for "not given".
        "E2FSPROGS_FAKE_TIME": str(max(epoch, 1)),
        "MTOOLS_SKIP_CHECK": "1",
        "MTOOLSRC": os.devnull,
    }
