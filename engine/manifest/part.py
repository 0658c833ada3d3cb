"""What one content entry brings to the image, before it meets what the others bring."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.manifest.entry import Entry, order
from engine.manifest.findings import Finding
from engine.manifest.memory import directory

Kind = Literal["folder", "file", "glob", "archive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Entries from one origin, in manifest order.

    Attributes:
        where: Key path of the content entry ("contents[2]"), or "" for what the builder adds.
        origin: What to call it in a message, such as the source's path.
        kind: What the source was.
        target: Path in the image, without leading slash.
        entries: With their full paths in the image, as if no other part were there. Every
            directory below the target that they lie in is among them; one without a source is
            only there to hold the others.
        heads: First names of files with several, by inode.
        findings: What is wrong with it.
        stated: Mode or owner were asked for, so that its directories' metadata take precedence.
        user, group: Names still to be looked up in the image, or numbers, or "".
        replaces: What it brings takes the place of what parts before it brought.
        into: The directory that a file goes into, where its target named that.
        also: What else the content entry brings, such as a unit that runs what is in it.
        about: What a container image says about itself, or "".
    """

    where: str = ""
    origin: str = ""
    kind: Kind = "folder"
    target: bytes = b""
    entries: list[Entry] = field(default_factory=list)
    heads: Mapping[Hashable, Entry] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    stated: bool = False
    user: str = ""
    group: str = ""
    replaces: bool = False
    into: bytes | None = None
    also: tuple[Part, ...] = ()
    about: str = ""


def with_parents(entries: Iterable[Entry], target: bytes, mtime_ns: int) -> list[Entry]:
    """Returns entries in manifest order, with those directories below `target` they lack."""
    by_path = {entry.path: entry for entry in entries}
    for path in list(by_path):
        above = path.rpartition(b"/")[0]
        while len(above) > len(target) and above not in by_path:
            by_path[above] = directory(above, mtime_ns=mtime_ns)
            above = above.rpartition(b"/")[0]
    return sorted(by_path.values(), key=lambda entry: order(entry.path))
