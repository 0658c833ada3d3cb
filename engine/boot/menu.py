"""Menu entries: one kernel with its initrds and command line, whatever loader shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from engine.boot.tree import data
from engine.manifest.entry import Entry

Origin = Literal["given", "bootspec", "boot", "modules"]

_LONGEST = 120
"""Characters of a file name made here, so that FAT's 255 hold it with all that goes around it."""
_COUNTER = re.compile(r"\+(?=\d+(?:-\d+)?$)")
_SKIPPED = re.compile(r"(^|[-.])[_+]+")
"""What systemd-boot passes over when it compares names, except behind a mark that it has just read:
with it there, names have no order ("a-_1" < "a-c" < "a-0r" < "a-_1")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuEntry:
    """One thing the image can boot.

    Attributes:
        title: Name of the system ("Debian GNU/Linux 12 (bookworm)").
        version: Kernel release or generation label, what tells entries apart.
        release: Kernel release, where `version` is none ("linux-lts"); else "".
        kernel, initrds: Names in the root file system, of regular files.
        options: The kernel's command line, complete.
        origin: Which rule found the kernel.
        packing: How the kernel is packed as a whole ("gzip"), or "".
        unpacked: What a packed kernel unpacks to, once a loader needs it.
    """

    title: str
    version: str
    release: str = ""
    kernel: Entry
    initrds: tuple[Entry, ...]
    options: str
    origin: Origin
    packing: str = ""
    unpacked: Entry | None = None

    @property
    def heading(self) -> str:
        """Title and version, as a menu shows them."""
        return f"{self.title}, {self.version}" if self.version else self.title

    @property
    def image(self) -> Entry:
        """What holds the bytes of the kernel that UEFI starts."""
        return self.unpacked or data(self.kernel)

    @property
    def kernel_path(self) -> str:
        """Absolute path of the kernel in the root file system."""
        return "/" + self.kernel.path.decode("utf-8", "surrogateescape")

    @property
    def initrd_paths(self) -> tuple[str, ...]:
        """Absolute paths of the initrds in the root file system."""
        return tuple("/" + e.path.decode("utf-8", "surrogateescape") for e in self.initrds)


def slug(text: str) -> str:
    """Returns `text` as a file name that FAT and every loader take for just that name.

    systemd-boot reads a number behind a plus as the tries that are left ("6.1+3.conf").
    """
    name = _SKIPPED.sub(r"\1", re.sub(r"[^A-Za-z0-9._+-]+", "-", text))[:_LONGEST]
    return _COUNTER.sub("_", name.strip("-._+") or "linux")


def distinct(names: Iterable[str]) -> list[str]:
    """Returns file names with a number behind those that FAT, without case, would confuse."""
    taken: set[str] = set()
    found = []
    for name in names:
        free, number = name, 1
        while free.lower() in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free.lower())
        found.append(free)
    return found
