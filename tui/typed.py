"""Paths as people type them."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

_QUOTES = ("'", '"')
_FILE = "file://"


def pasted(text: str) -> str:
    """Returns what a pasted path names, without what a file manager or terminal put around it.

    In quotes, as a terminal gets it where a file is dropped; as a `file:` address; with a blank
    behind it. What is quoted only in part is a name as any other.
    """
    text = text.strip()
    if text.startswith(_FILE):
        return unquote(text.removeprefix(_FILE).removeprefix("localhost"))
    if text[:1] in _QUOTES and text[-1:] == text[:1] and len(text) > 1:
        with suppress(ValueError):
            words = shlex.split(text)
            if len(words) == 1 and words[0]:
                return words[0]
    return text


def typed_path(base: Path, text: str) -> Path:
    """Returns what a text names: `~` is somebody's home, relative paths count from `base`.

    The `~` of somebody nobody knows is a name as any other.
    """
    path = Path(pasted(text))
    with suppress(RuntimeError):
        path = path.expanduser()
    return base / path


def dropped(base: Path, text: str) -> tuple[Path, ...]:
    """Returns the paths that a text names as terminals and file managers put them in.

    One path as it is; or several words, quoted or escaped as in a shell; or `file:` addresses, one
    a line. Words count only where each names something that is there.
    """
    found: list[Path] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        whole = typed_path(base, line)
        words: list[Path] = []
        if not os.path.lexists(whole):
            with suppress(ValueError):
                words = [typed_path(base, word) for word in shlex.split(line)]
        found += words if words and all(map(os.path.lexists, words)) else [whole]
    return tuple(found)
