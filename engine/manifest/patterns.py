"""Exclude patterns and globs, over names of any bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator

Excluded = Callable[[bytes, bool], bool]
"""Whether a path (relative to the source, no leading slash) is left out; True for a directory."""


def _component(pattern: bytes) -> bytes:
    """Returns the regular expression of a pattern in which `*` stays within one component."""
    return b"[^/]*".join(re.escape(part) for part in pattern.split(b"*"))


def _expression(pattern: bytes) -> bytes:
    """Returns the regular expression of an exclude pattern over whole relative paths."""
    anchored = b"/" in pattern.rstrip(b"/")
    pieces = [_component(piece) for piece in pattern.strip(b"/").split(b"**")]
    return (b"" if anchored else b"(?:.*/)?") + b".*".join(pieces)


def excluder(patterns: Iterable[str]) -> Excluded | None:
    """Returns the test for exclude patterns, or None where there are none.

    A pattern with a slash is anchored at the source's root ("var/cache/*", "/tmp"); one without
    matches a name at any depth ("*.o"). `*` stays within a component, `**` does not; a slash at
    the end limits the pattern to directories. What lies below an excluded directory is excluded.
    """
    named = [os.fsencode(pattern) for pattern in patterns if pattern.strip("/")]
    if not named:
        return None
    of_any = [_expression(pattern) for pattern in named if not pattern.endswith(b"/")]
    of_all = [_expression(pattern) for pattern in named]
    match_file = re.compile(b"|".join(of_any) or b"(?!)", re.DOTALL).fullmatch
    match_directory = re.compile(b"|".join(of_all), re.DOTALL).fullmatch

    def excluded(path: bytes, is_directory: bool) -> bool:
        return (match_directory if is_directory else match_file)(path) is not None

    return excluded


def is_glob(source: os.PathLike[str] | str) -> bool:
    """Whether a source is a glob: only `*` makes one, `?` and brackets are ordinary bytes."""
    return "*" in os.fspath(source)


def glob(pattern: bytes) -> Iterator[bytes]:
    """Yields the absolute paths that match, sorted by byte.

    `*` matches within one component and, as in a shell, not a leading dot.
    """
    parts = [part for part in pattern.split(b"/") if part]
    yield from _below(b"/", parts)


def _below(folder: bytes, parts: list[bytes]) -> Iterator[bytes]:
    part, rest = parts[0], parts[1:]
    if b"*" in part:
        match = re.compile(_component(part), re.DOTALL).fullmatch
        hidden = part.startswith(b".")
        try:
            listed = sorted(os.listdir(folder))
        except OSError:
            return
        names = [name for name in listed if match(name) and (hidden or not name.startswith(b"."))]
    else:
        names = [part]
    for name in names:
        path = os.path.join(folder, name)
        if rest:
            yield from _below(path, rest)
        elif os.path.lexists(path):
            yield path
