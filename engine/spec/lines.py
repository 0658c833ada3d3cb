"""Where in a spec file each key stands.

Works on text that is TOML already (toml.io, v1.0.0); it finds headers and keys and skips values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(?P<open>\[\[?)[ \t]*(?P<key>{_DOTTED})")
_KEY = re.compile(rf"[ \t]*(?P<key>{_DOTTED})[ \t]*=")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""+|\'\'\'.*?\'\'\'+|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[][{}\n]',
    re.DOTALL,
)


def key_lines(text: str) -> dict[str, int]:
    """Returns the line, from 1, of every key path and header of a TOML text.

    Keys of inline tables and entries of arrays count as the key they stand behind.
    """
    found: dict[str, int] = {}
    entries: Counter[str] = Counter()
    prefix, at, line = "", 0, 1
    while at < len(text):
        header = _HEADER.match(text, at)
        key = None if header else _KEY.match(text, at)
        if header:
            prefix = _path(header["key"], entries)
            if header["open"] == "[[":
                entries[prefix] += 1
                prefix = f"{prefix}[{entries[prefix] - 1}]"
            found.setdefault(prefix, line)
            end = text.find("\n", header.end())
            end = len(text) if end < 0 else end
        elif key:
            own = _path(key["key"], Counter())
            found.setdefault(f"{prefix}.{own}" if prefix else own, line)
            end = _value_end(text, key.end())
        else:
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
        line += text.count("\n", at, end + 1)
        at = end + 1
    return found


def line_of(lines: Mapping[str, int], path: str) -> int | None:
    """Returns the line of a key path, or of what it is part of; None where neither is there."""
    if f"{path}[0]" in lines:
        return lines[f"{path}[0]"]  # of a list of tables the first header
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)


def _path(dotted: str, entries: Counter[str]) -> str:
    """Returns a dotted key as a key path; a part that is a list of tables means its last one."""
    path = ""
    parts = re.findall(_PART, dotted)
    for number, part in enumerate(parts, start=1):
        name = part[1:-1] if part[0] in "\"'" else part
        path = f"{path}.{name}" if path else name
        if entries[path] and number < len(parts):
            path = f"{path}[{entries[path] - 1}]"
    return path


def _value_end(text: str, at: int) -> int:
    """Returns where the line feed behind a value is, or the end of the text."""
    depth = 0
    for token in _TOKEN.finditer(text, at):
        match token[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "\n" if depth <= 0:
                return token.start()
    return len(text)
