"""SHA256SUMS: checksums of files in the form of coreutils, which `sha256sum -c` reads."""

from __future__ import annotations

import re
from collections.abc import Mapping

NAME = "SHA256SUMS"

_LINE = re.compile(rb"(\\?)([0-9a-f]{64}) [ *]([^\n]+)")
_ESCAPES = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r"}


class BadSums(ValueError):
    """The text is not a list of checksums; the message says where."""


def dumps(sums: Mapping[str, str]) -> bytes:
    """Returns the file for sums by name (any bytes, as surrogates), sorted by name.

    A name with a backslash or an end of line is escaped and its line begins with a backslash
    (GNU coreutils manual, "cksum output modes").
    """
    return b"".join(_line(name, sums[name]) for name in sorted(sums))


def _line(name: str, digest: str) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    escaped = raw
    for written, meant in _ESCAPES.items():
        escaped = escaped.replace(meant, written)
    mark = b"\\" if escaped != raw else b""
    return b"%s%s  %s\n" % (mark, digest.encode(), escaped)


def loads(data: bytes) -> dict[str, str]:
    """Returns the sums by name.

    Raises:
        BadSums: A line is not of the form.
    """
    sums = {}
    for number, line in enumerate(data.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise BadSums(f"line {number} is not a checksum and name")
        mark, digest, name = found.groups()
        if mark:
            name = re.sub(rb"\\[\\nr]", lambda match: _ESCAPES[match[0]], name)
        sums[name.decode("utf-8", "surrogateescape")] = digest.decode()
    return sums
