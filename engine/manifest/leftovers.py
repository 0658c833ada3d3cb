"""What `docker export` and its like leave in a root: places that the container's host filled.

Source: the runtime mounts /etc/hostname, /etc/hosts and /etc/resolv.conf over empty files, and
/dev/console is one (moby, daemon/initlayer); /.dockerenv and /run/.containerenv say to systemd that
it runs in a container (systemd, src/basic/virt.c).
"""

from __future__ import annotations

import stat
from collections.abc import Sequence

from engine.manifest.entry import Entry
from engine.manifest.findings import shown
from engine.problem import Problem

_MARKS = frozenset((b".dockerenv", b"run/.containerenv"))
_MOUNTED_OVER = frozenset((b"etc/hostname", b"etc/hosts", b"etc/resolv.conf"))
_DEVICES = frozenset((b"dev/console",))
PLACES = _MARKS | _MOUNTED_OVER | _DEVICES
"""Paths whose entries decide what is said."""

_ENOUGH = 2
"""Of places that were mounted over, where nothing else says that it was a container."""


def container_leftovers(entries: Sequence[Entry]) -> list[Problem]:
    """Returns a warning of what a container left, or nothing.

    Args:
        entries: Of the root, rising by path.
    """
    files = [entry for entry in entries if stat.S_ISREG(entry.mode) and entry.size == 0]
    marks = [entry.path for entry in entries if entry.path in _MARKS]
    empty = [entry.path for entry in files if entry.path in _MOUNTED_OVER]
    devices = [entry.path for entry in files if entry.path in _DEVICES]
    if not marks and len(empty) + len(devices) < _ENOUGH:
        return []
    what = [
        *(f"/{shown(path)} tells systemd that it is in a container" for path in marks),
        *(f"/{shown(path)} is empty" for path in empty),
        *(f"/{shown(path)} is a plain file, not the device" for path in devices),
    ]
    names = ", ".join(f'"{shown(path)}"' for path in (*marks, *empty, *devices))
    return [
        Problem(
            "container-leftovers",
            "warning",
            "contents",
            f"the root is that of a container: {'; '.join(what)}",
            f"leave them out with exclude = [{names}], and bring the files that the machine needs",
        )
    ]
