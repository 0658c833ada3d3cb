"""Menu entries: one kernel with its initrds and command line, whatever loader shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from engine.manifest.entry import Entry

Origin = Literal["given", "bootspec", "boot", "modules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuEntry:
    """One thing the image can boot.

    Attributes:
        title: Name of the system ("Debian GNU/Linux 12 (bookworm)").
        version: Kernel release or generation label, what tells entries apart.
        kernel, initrds: Names in the root file system, of regular files.
        options: The kernel's command line, complete.
        origin: Which rule found the kernel.
    """

    title: str
    version: str
    kernel: Entry
    initrds: tuple[Entry, ...]
    options: str
    origin: Origin

    @property
    def heading(self) -> str:
        """Title and version, as a menu shows them."""
        return f"{self.title}, {self.version}" if self.version else self.title

    @property
    def kernel_path(self) -> str:
        """Absolute path of the kernel in the root file system."""
        return "/" + self.kernel.path.decode("utf-8", "surrogateescape")

    @property
    def initrd_paths(self) -> tuple[str, ...]:
        """Absolute paths of the initrds in the root file system."""
        return tuple("/" + e.path.decode("utf-8", "surrogateescape") for e in self.initrds)


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Returns a sort key by which 6.10 is newer than 6.9, and 6.1 newer than 6.1-rc1."""
    key: list[tuple[int, int, str]] = []
    for number, word in re.findall(r"(\d+)|([^\d.\-_+]+)", version):
        if number:
            key.append((2, int(number), ""))
        else:
            key.append((0 if word in {"rc", "alpha", "beta"} else 1, 0, word))
    key.append((1, -1, ""))
    return tuple(key)


def slug(text: str) -> str:
    """Returns `text` as a file name that FAT and every loader accept."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.") or "linux"
