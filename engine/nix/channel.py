"""The channel that `copy_channel` puts into an image: a nixpkgs tree as a store path."""

from __future__ import annotations

import os
import re
import stat

from engine.manifest.entry import Entry
from engine.manifest.folder import FolderSource
from engine.manifest.memory import copy, symlink
from engine.nix.closure import StorePath
from engine.nix.files import MTIME_NS, entries_of
from engine.nix.nar import add

_TREE = b"nixos"
"""Name of the tree in a channel: `<nixos>` is found below it (nixpkgs, make-channel.nix)."""

# What nixpkgs' lib.cleanSource takes for no part of a source tree.
_VERSION_CONTROL = {b".svn", b"CVS", b".hg"}
_REMAINS = re.compile(rb".*(~|\.o|\.so)|\.(.*\.)?sw[a-z]", re.DOTALL)


def channel(tree: str, store: bytes) -> tuple[StorePath, list[Entry]]:
    """Returns a channel's store path, and its entries.

    Args:
        tree: A nixpkgs tree on this machine.
        store: Path of the store in the image; b"" for its root.

    Raises:
        OSError: It cannot be read.
        SourceChanged: It changed while it was.
    """
    folder = os.fsencode(tree)
    here = FolderSource(folder, _TREE)
    entries = entries_of(here, folder, _TREE, _left_out)
    if not any(entry.path == _TREE + b"/nixpkgs" for entry in entries):
        link = symlink(_TREE + b"/nixpkgs", b".", mtime_ns=MTIME_NS)
        entries = sorted([*entries, link], key=lambda entry: entry.path.replace(b"/", b"\0"))
    top = Entry(b"", stat.S_IFDIR | 0o555, mtime_ns=MTIME_NS)
    path = add([top, *entries], f"nixos-{_version(tree)}")
    prefix = store + b"/" + path.base.encode() if store else path.base.encode()
    there = FolderSource(folder, prefix + b"/" + _TREE)
    return path, [_moved(entry, prefix, there) for entry in (top, *entries)]


def _moved(entry: Entry, prefix: bytes, source: FolderSource) -> Entry:
    moved = copy(entry)
    moved.path = prefix + b"/" + entry.path if entry.path else prefix
    moved.source = source if entry.source is not None else None
    return moved


def _left_out(name: bytes, mode: int) -> bool:
    if stat.S_ISDIR(mode) and name in _VERSION_CONTROL:
        return True
    if stat.S_ISLNK(mode) and name.startswith(b"result"):
        return True
    regular = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
    return name == b".git" or not regular or _REMAINS.fullmatch(name) is not None


def _version(tree: str) -> str:
    """Returns the release that a nixpkgs tree says it is, or "channel"."""
    try:
        with open(os.path.join(tree, ".version"), encoding="ascii") as stream:
            text = stream.read(32).strip()
    except (OSError, ValueError):
        return "channel"
    return text if re.fullmatch(r"[0-9A-Za-z.+_-]+", text) else "channel"
