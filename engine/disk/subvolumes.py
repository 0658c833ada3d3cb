"""Subvolumes: parts of a Btrfs that are mounted like volumes and share its room.

Source: btrfs-subvolume(8) (a subvolume is a folder of the file system as a whole, named by its path
from the top); the options subvol= and the default subvolume of btrfs(5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

_OPTION = "subvol="


@dataclass(frozen=True, slots=True)
class Subvolume:
    """One subvolume.

    Attributes:
        name: Its path from the top of the file system, without a leading slash.
        mount: Where it is mounted, an absolute path, or "" for nowhere.
    """

    name: str
    mount: str = ""

    @classmethod
    def parsed(cls, text: str) -> Subvolume:
        """Returns what "@home:/home" stands for; its rules are in `engine.spec`."""
        name, _, mount = text.partition(":")
        return cls("/".join(filter(None, name.split("/"))), place(mount) if mount else "")

    def __str__(self) -> str:
        return f"{self.name}:{self.mount}" if self.mount else self.name


def subvolume_in(options: Iterable[str]) -> str | None:
    """Returns the subvolume that mount options name, "" for the top; None if they name none.

    The last of several counts.
    """
    named = [each.removeprefix(_OPTION) for each in options if each.startswith(_OPTION)]
    return named[-1].strip("/") if named else None


def place(path: str) -> str:
    """Returns an absolute path without slashes that mean nothing."""
    return "/" + "/".join(filter(None, path.split("/")))


def below(path: str, top: str) -> str | None:
    """Returns what of a path comes below another one, "" if it is that, or None."""
    if path == top:
        return ""
    prefix = top if top.endswith("/") or not top else f"{top}/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def mounted(subvolumes: Iterable[Subvolume], top: str) -> tuple[Subvolume, ...]:
    """Returns what is mounted of a file system, parents first.

    Args:
        subvolumes: All that it has.
        top: Where it is mounted itself. If no subvolume is mounted there its own top is, which has
            the name "".
    """
    found = {one.mount: one for one in subvolumes if one.mount}
    found.setdefault(top, Subvolume("", top))
    return tuple(found[mount] for mount in sorted(found, key=lambda mount: mount.rstrip("/")))


def with_default(subvolumes: Iterable[Subvolume], default: str, top: str) -> tuple[Subvolume, ...]:
    """Returns subvolumes with the default one mounted at the volume's place, if none is there."""
    found = tuple(subvolumes)
    if not default or any(one.mount == top for one in found):
        return found
    return tuple(
        replace(one, mount=top) if one.name == default and not one.mount else one for one in found
    )


def told(subvolumes: Iterable[Subvolume], default: str) -> str:
    """Returns subvolumes in words: "@ at / (the default), @home at /home, @spare"."""

    def words(one: Subvolume) -> str:
        at = f"{one.name} at {one.mount}" if one.mount else one.name
        return f"{at} (the default)" if one.name == default else at

    return ", ".join(map(words, subvolumes))


class Arrangement:
    """Where in a file system with subvolumes a path of the mounted tree lies, and back.

    Paths are relative to where the file system is mounted, without a leading slash.
    """

    def __init__(self, subvolumes: Iterable[Subvolume], top: str) -> None:
        self._names = frozenset(one.name.encode() for one in subvolumes)
        self._at = {
            (below(one.mount, top) or "").encode(): one.name.encode()
            for one in mounted(subvolumes, top)
        }
        self._mounts = {name: point for point, name in self._at.items()}

    @property
    def names(self) -> frozenset[bytes]:
        """The subvolumes, as paths from the top."""
        return self._names

    def is_point(self, path: bytes) -> bool:
        """Whether a subvolume is mounted at a path below the top one."""
        return bool(path) and path in self._at

    def points(self) -> list[bytes]:
        """Returns where subvolumes are mounted, parents first."""
        return sorted(point for point in self._at if point)

    def inside(self, path: bytes) -> bytes:
        """Returns the path from the top of the file system."""
        return _moved(path, self._at)

    def above(self, point: bytes) -> bytes:
        """Returns the path of the directory that a subvolume is mounted on."""
        folder, _, name = point.rpartition(b"/")
        return _joined(self.inside(folder), name)

    def outside(self, path: bytes) -> bytes | None:
        """Returns the path in the mounted tree, or None for what is not mounted."""
        container = path
        while container not in self._mounts:
            if not container:
                return None
            container = container.rpartition(b"/")[0]
        return _joined(self._mounts[container], path[len(container) :].lstrip(b"/"))

    def home(self, path: bytes) -> bytes:
        """Returns the subvolume that a path from the top lies in; b"" is the top itself."""
        while path and path not in self._names:
            path = path.rpartition(b"/")[0]
        return path


def _moved(path: bytes, at: dict[bytes, bytes]) -> bytes:
    point = path
    while point not in at:
        point = point.rpartition(b"/")[0]
    return _joined(at[point], path[len(point) :].lstrip(b"/"))


def _joined(above: bytes, name: bytes) -> bytes:
    return b"/".join(filter(None, (above, name)))
