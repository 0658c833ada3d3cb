"""The kernel and initrds that a spec names: paths in the image, else files of the host."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.boot.tree import regular
from engine.manifest.entry import Entry
from engine.manifest.lookup import LeadsNowhere, resolve
from engine.manifest.manifest import Listing
from engine.manifest.memory import host_file
from engine.problem import Problem
from engine.spec.settings import Settings

_FOLDER = b"boot"


@dataclass(frozen=True, slots=True)
class Given:
    """What `boot.kernel` and `boot.initrd` lead to.

    Attributes:
        kernel: Its entry; None where the spec names none or what it names is missing.
        initrds: Their entries in order; None where the spec names none.
        added: Those of them that come from the host and have to go into the image.
        problems: What leads nowhere.
    """

    kernel: Entry | None
    initrds: tuple[Entry, ...] | None
    added: tuple[Entry, ...]
    problems: tuple[Problem, ...]


def given(settings: Settings, root: Listing, mtime_ns: int) -> Given:
    """Looks up what a spec names.

    Args:
        settings: The spec, resolved.
        root: The root file system's contents.
        mtime_ns: Time of files that are taken from the host.
    """
    added: dict[bytes, Entry] = {}
    problems: list[Problem] = []

    def look(key: str, text: str, file: str) -> Entry | None:
        there = regular(root, os.fsencode(text))
        entry = there or _of_host(root, file, added, mtime_ns)
        if entry is None:
            problems.append(_missing(key, text, file))
        elif there is None:
            added[entry.path] = entry
        return entry

    kernel = (
        look("kernel", settings.boot.kernel, settings.boot.kernel_file)
        if settings.boot.kernel
        else None
    )
    named = zip(settings.boot.initrds, settings.boot.initrd_files, strict=True)
    initrds = tuple(filter(None, [look("initrd", text, file) for text, file in named]))
    return Given(kernel, initrds or None, tuple(added.values()), tuple(problems))


def _of_host(root: Listing, file: str, taken: dict[bytes, Entry], mtime_ns: int) -> Entry | None:
    """Returns a file of the host under a name in /boot that nothing else has."""
    try:
        folder = resolve(root.get, _FOLDER, may_miss=True)
        name = os.fsencode(Path(file).name)
        path, number = folder + b"/" + name, 1
        while path in taken or root.get(path) is not None:
            number += 1
            path = folder + b"/%d-%s" % (number, name)
        return host_file(path, os.fsencode(file), mtime_ns=mtime_ns)
    except (OSError, LeadsNowhere):
        return None


def _missing(key: str, text: str, file: str) -> Problem:
    return Problem(
        code="kernel-missing" if key == "kernel" else "initrd-missing",
        severity="error",
        path=f"boot.{key}",
        message=f"the image has no file {text!r}, and there is no file {file} either",
        hint="give a path in the image, or a file relative to the spec",
    )
