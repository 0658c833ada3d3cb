"""What a kernel can do: its modules, and what is part of it (modules.dep(5), modules.builtin)."""

from __future__ import annotations

from collections.abc import Iterable

BUILTIN = "modules.builtin"
"""Name of the list of what is part of a kernel, in the folder of its modules."""


class Modules:
    """What a kernel has as modules, and what is part of it."""

    def __init__(self, dependencies: str, builtin: str) -> None:
        lines = (line.partition(":") for line in dependencies.splitlines() if ":" in line)
        self._needs = {path: needs.split() for path, _, needs in lines}
        self._paths = {name_of(path): path for path in self._needs}
        self._builtin = {name_of(path) for path in builtin.split()}

    def has(self, name: str) -> bool:
        """Whether the kernel can do it, one way or the other."""
        return name in self._paths or name in self._builtin

    def load_order(self, names: Iterable[str]) -> list[str]:
        """Returns the paths of modules after what they depend on, each once."""
        order: dict[str, None] = {}
        for path in (self._paths[name] for name in names if name in self._paths):
            # modules.dep lists what comes first last.
            order |= dict.fromkeys([*reversed(self._needs[path]), path])
        return list(order)


def name_of(path: str) -> str:
    """Returns a module's name of its path, as modprobe knows it: dm_verity of dm-verity.ko.xz."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")
