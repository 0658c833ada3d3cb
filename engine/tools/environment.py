"""The environment tools run in: an allow-list, so that the caller's settings change no byte.

Every program that this one runs gets its environment here, in builds and in tests alike. What it
answers to is the table in `engine.tools.influences`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from engine.tools.influences import FIXED

_KEPT = ("HOME", "LOGNAME", "TMPDIR", "USER", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
_KEPT_PREFIXES = ("NIX_",)
# Debian leaves these out of an ordinary user's PATH, and mke2fs, fsck.fat and sfdisk live there.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
_lock = threading.Lock()


def search_path(environ: Mapping[str, str] | None = None) -> str:
    """Returns PATH with the system's own folders after the caller's."""
    given = (os.environ if environ is None else environ).get("PATH", "")
    folders = [folder for folder in given.split(os.pathsep) if folder]
    folders += [folder for folder in _SYSTEM_FOLDERS if folder not in folders]
    return os.pathsep.join(folders)


def tool_environment(epoch: int = 0, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns what a tool gets to see.

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
        **FIXED,
        "PATH": search_path(given),
        "SOURCE_DATE_EPOCH": str(epoch),
        # e2fsprogs before 1.47.1 know only this name, and take 0 for "not given".
        "E2FSPROGS_FAKE_TIME": str(max(epoch, 1)),
    }


def nix_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns what nix gets to see: all that the caller does.

    Builders, substituters, proxies and keys are found through it. It may decide which store path
    a name stands for, never what the bytes of a store path are.
    """
    given = os.environ if environ is None else environ
    return dict(given) | {"PATH": search_path(given)}


@contextmanager
def set_variables(values: Mapping[str, str]) -> Iterator[None]:
    """Has this process's own environment hold these values for a while, for a library."""
    with _lock:
        before = {name: os.environ.get(name) for name in values}
        os.environ.update(values)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
