"""The text of an os-release file as fields."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED = re.compile(r"\\(.)")
_ESCAPED_IN_QUOTES = re.compile(r'\\([$"`\\])')


def release_fields(text: str) -> dict[str, str]:
    """Returns the fields of an os-release, quotes and escapes resolved as a shell would.

    The form is that of os-release(5): assignments of one word each, without expansion; of two
    with one name the last counts.
    """
    fields = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and _NAME.fullmatch(name):
            fields[name] = _unquoted(value)
    return fields


def _unquoted(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1]
    if quoted and value[0] == "'":
        return value[1:-1]
    if quoted and value[0] == '"':
        return _ESCAPED_IN_QUOTES.sub(r"\1", value[1:-1])
    return _ESCAPED.sub(r"\1", value)
