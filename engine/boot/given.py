"""The kernel and initrd that a spec names: a path in the image, else a file of the host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.boot.tree import regular
from engine.manifest.entry import Entry
from engine.manifest.lookup import LeadsNowhere, resolve
from engine.manifest.manifest import Manifest
from engine.manifest.memory import host_file
from engine.problem import Problem
from engine.spec.settings import Settings

_FOLDER = b"boot"


@dataclass(frozen=True, slots=True)
class Given:
    """What `boot.kernel` and `boot.initrd` lead to.

    Attributes:
        kernel, initrd: Their entries, None where the spec names none or what it names is missing.
        added: Those of them that come from the host and have to go into the image.
        problems: What leads nowhere.
    """

    kernel: Entry | None
    initrd: Entry | None
    added: tuple[Entry, ...]
    problems: tuple[Problem, ...]


def given(settings: Settings, root: Manifest, mtime_ns: int) -> Given:
    """Looks up what a spec names.

    Args:
        settings: The spec, resolved.
        root: The root file system's contents.
        mtime_ns: Time of files that are taken from the host.
    """
    kernel, initrd = (
        _entry(root, text, file, mtime_ns)
        for text, file in (
            (settings.boot.kernel, settings.boot.kernel_file),
            (settings.boot.initrd, settings.boot.initrd_file),
        )
    )
    added = tuple(e for e in (kernel, initrd) if e is not None and root.get(e.path) is not e)
    return Given(kernel, initrd, added, tuple(_problems(settings, kernel, initrd)))


def _entry(root: Manifest, text: str, file: str, mtime_ns: int) -> Entry | None:
    if not text:
        return None
    there = regular(root, os.fsencode(text))
    if there is not None:
        return there
    name = os.fsencode(Path(file).name)
    try:
        path = resolve(root.get, _FOLDER + b"/" + name, may_miss=True)
        return host_file(path, os.fsencode(file), mtime_ns=mtime_ns)
    except (OSError, LeadsNowhere):
        return None


def _problems(settings: Settings, kernel: Entry | None, initrd: Entry | None) -> Iterator[Problem]:
    for key, text, file, entry in (
        ("kernel", settings.boot.kernel, settings.boot.kernel_file, kernel),
        ("initrd", settings.boot.initrd, settings.boot.initrd_file, initrd),
    ):
        if text and entry is None:
            yield Problem(
                code=f"{key}-missing",
                severity="error",
                path=f"boot.{key}",
                message=f"the image has no file {text!r}, and there is no file {file} either",
                hint="give a path in the image, or a file relative to the spec",
            )
