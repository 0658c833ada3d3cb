"""Lists of digests: SHA256SUMS as coreutils write it, FSVERITYSUMS as fsverity-utils do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """How a list of digests is written.

    Attributes:
        algorithm: As `output.sums` names it.
        name: File name of the list.
        title: What it is called in a message.
        before, between: What stands before a digest, and between it and the file's name.
    """

    algorithm: str
    name: str
    title: str
    before: bytes
    between: bytes


SHA256 = Form("sha256", "SHA256SUMS", "SHA-256", b"", b"  ")
"""Which `sha256sum -c` reads."""
FSVERITY = Form("fsverity", "FSVERITYSUMS", "fs-verity digest", b"sha256:", b" ")
"""Which `fsverity digest FILE...` prints."""
FORMS = (SHA256, FSVERITY)

_LINES = {
    SHA256: re.compile(rb"(\\?)([0-9a-f]{64}) [ *]([^\n]+)"),
    FSVERITY: re.compile(rb"(\\?)sha256:([0-9a-f]{64}) ([^\n]+)"),
}
_ESCAPES = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r"}


class BadSums(ValueError):
    """The text is not a list of checksums; the message says where."""


def dumps(sums: Mapping[str, str], form: Form = SHA256) -> bytes:
    """Returns the file for sums by name (any bytes, as surrogates), sorted by name.

    A name with a backslash or an end of line is escaped and its line begins with a backslash
    (GNU coreutils manual, "cksum output modes").
    """
    return b"".join(_line(name, sums[name], form) for name in sorted(sums))


def _line(name: str, digest: str, form: Form) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    escaped = raw
    for written, meant in _ESCAPES.items():
        escaped = escaped.replace(meant, written)
    mark = b"\\" if escaped != raw else b""
    return mark + form.before + digest.encode() + form.between + escaped + b"\n"


def loads(data: bytes, form: Form = SHA256) -> dict[str, str]:
    """Returns the digests by name.

    Raises:
        BadSums: A line is not of the form.
    """
    sums = {}
    for number, line in enumerate(data.splitlines(), 1):
        found = _LINES[form].fullmatch(line)
        if found is None:
            raise BadSums(f"line {number} is not a {form.title} and a name")
        mark, digest, name = found.groups()
        if mark:
            name = re.sub(rb"\\[\\nr]", lambda match: _ESCAPES[match[0]], name)
        sums[name.decode("utf-8", "surrogateescape")] = digest.decode()
    return sums
