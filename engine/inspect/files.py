"""Finds files in an untrusted file system: links stay inside, sizes and counts are bounded."""

from __future__ import annotations

import stat
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from engine.image.container import BadImage
from engine.image.reading import BadFilesystem, Filesystem, Node, contents, is_divided
from engine.inspect.image import Part

OnFinding = Callable[[str], None]
"""Told, in a sentence, what is wrong with the image."""

SMALL = 1 << 16
"""Bytes read of a file of settings."""
_MAX_LINKS = 40
"""As many as the kernel follows: path_resolution(7)."""
_MAX_CHILDREN = 4096
_MAX_LOOKUPS = 1000
"""Of different paths: a large directory is read anew for each."""


class Files:
    """The files of one part of an image.

    Attributes:
        part: The partition, or the disk without a table.
        filesystem: What is in it.
        say: Told what is found wrong on the way.
    """

    def __init__(self, part: Part, filesystem: Filesystem, say: OnFinding) -> None:
        self.part = part
        self.filesystem = filesystem
        self.say = say
        self._known: dict[bytes, Node | None] = {}

    @contextmanager
    def tolerant(self) -> Iterator[None]:
        """Turns damage met inside into a finding."""
        try:
            yield
        except (BadImage, struct.error) as error:
            self.say(f"{self.part.name}: {error}")

    def where(self, path: bytes | str) -> str:
        """Returns how reports name a path in here."""
        return f"{self.part.name}: {absolute(path)}"

    def follow(self, path: bytes | str) -> Node | None:
        """Returns what a path leads to, symlinks followed with the file system's root as "/".

        Raises:
            BadFilesystem: The path leads through more links than a kernel follows, or more paths
                were looked up than any sound image needs.
            BadImage: The file system is damaged.
        """
        wanted = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
        if wanted not in self._known:
            if len(self._known) >= _MAX_LOOKUPS:
                raise BadFilesystem(f"names over {_MAX_LOOKUPS} files; the rest is not looked at")
            self._known[wanted] = self._follow(wanted)
        return self._known[wanted]

    def _follow(self, path: bytes) -> Node | None:
        pending = deque(_components(path))
        at: list[bytes] = []
        links = 0
        while pending:
            component = pending.popleft()
            if component == b"..":
                at = at[:-1]
                continue
            node = self.filesystem.lookup(b"/".join([*at, component]))
            if node is None:
                return None
            if not stat.S_ISLNK(node.mode):
                at.append(component)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise BadFilesystem(f"{absolute(path)} leads round in circles of symlinks")
            at = self._root_of(at) if node.target.startswith(b"/") else at
            pending.extendleft(reversed(_components(node.target)))
        return self.filesystem.lookup(b"/".join(at))

    def _root_of(self, at: list[bytes]) -> list[bytes]:
        """Returns the subvolume that a folder is in, which is "/" to the links in it."""
        if not is_divided(self.filesystem):
            return []
        tops = [_components(top) for top in self.filesystem.tops]
        return max((top for top in tops if at[: len(top)] == top), key=len, default=[])

    def regular(self, path: bytes | str) -> Node | None:
        """Returns the regular file that a path leads to, or None."""
        node = self.follow(path)
        return node if node is not None and stat.S_ISREG(node.mode) else None

    def has(self, path: bytes | str) -> bool:
        """Whether a path leads to a regular file."""
        return self.regular(path) is not None

    def listed(self, path: bytes | str) -> Iterator[Node]:
        """Yields what the directory at a path holds, by name; nothing where there is none."""
        node = self.follow(path)
        if node is not None and stat.S_ISDIR(node.mode):
            yield from islice(self.filesystem.children(node), _MAX_CHILDREN)

    def head(self, node: Node, limit: int) -> bytes:
        """Returns the first `limit` bytes of a file."""
        return contents(self.filesystem, node, limit)

    def text(self, path: bytes | str, limit: int = SMALL) -> str | None:
        """Returns the first `limit` bytes of a text file, or None where there is none."""
        node = self.regular(path)
        return None if node is None else decoded(self.head(node, limit))


def absolute(path: bytes | str) -> str:
    """Returns a path of a file system as text, with its leading slash."""
    return "/" + (path if isinstance(path, str) else decoded(path)).lstrip("/")


def decoded(raw: bytes) -> str:
    """Returns text whose paths still lead to the same files."""
    return raw.decode("utf-8", "surrogateescape")


def _components(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]
