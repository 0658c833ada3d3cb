"""Which of two versions is newer, as systemd-boot sees it and as people do.

Source: the UAPI Group's "Version Format Specification", section "Version Comparison". As systemd
has it, `~` makes a version older than the one that ends there (1.0~rc1 comes before 1.0).
"""

from __future__ import annotations

import re
from functools import cmp_to_key

from engine.boot.names import without_copy

_OTHERS = re.compile(r"[^A-Za-z0-9~^.-]*")
_NUMBER = re.compile(r"[0-9]*")
_WORD = re.compile(r"[A-Za-z]*")
# In the order of the comparison; what a mark says of the version that has it where the other not.
_MARKS = (("~", -1), ("", -1), ("-", -1), ("^", 1), (".", -1))
_MAX_VERSION = 256
"""Characters compared."""


def compare(left: str, right: str) -> int:
    """Returns a number below zero where `left` is the older version, above where it is newer."""
    left, right = left[:_MAX_VERSION], right[:_MAX_VERSION]
    while True:
        left, right = _OTHERS.sub("", left, count=1), _OTHERS.sub("", right, count=1)
        for mark, meaning in _MARKS:
            if left[:1] == mark and right[:1] == mark:
                if not mark:
                    return 0
                left, right = left[1:], right[1:]
            elif left[:1] == mark:
                return meaning
            elif right[:1] == mark:
                return -meaning
        numeric = left[:1].isdigit() or right[:1].isdigit()
        one, left = _split(left, _NUMBER if numeric else _WORD)
        other, right = _split(right, _NUMBER if numeric else _WORD)
        if numeric:
            # Without leading zeros the longer number is the larger one.
            one, other = one.lstrip("0"), other.lstrip("0")
            one, other = one.rjust(len(other), "0"), other.rjust(len(one), "0")
        if one != other:
            return -1 if one < other else 1


age = cmp_to_key(compare)
"""Key that sorts versions, the oldest first."""


def _split(text: str, pattern: re.Pattern[str]) -> tuple[str, str]:
    found = pattern.match(text)
    end = found.end() if found is not None else 0
    return text[:end], text[end:]


# What makes a version older than the one without it: pre-releases ("6.10-rc5", Ubuntu's
# "6.10.0-061000rc5"), kernels for debugging.
_EARLIER = re.compile(
    r"(?:(?<=[0-9A-Za-z])[-+._~]|(?<=[0-9]))"
    r"(?=(?:rc|alpha|beta|pre)[-.]?[0-9]|(?:alpha|beta)(?![A-Za-z]))"
    r"|[-+._~](?=(?:debug|dbg)$)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"^([0-9]+\.[0-9]+)(?![0-9.])")


def sortable(version: str) -> str:
    """Returns a version so written that systemd-boot sorts it as people read it.

    For systemd "6.10.0-rc5" is newer than "6.10.0", as any version is that goes on with a dash; a
    tilde makes it older. So it does with copies ("6.10.0.old").
    """
    version, copy = without_copy(version)
    return _EARLIER.sub("~", version) + (f"~{copy}" if copy else "")


def comparable(version: str) -> str:
    """Returns a version so written that `compare` orders it as people do.

    6.10 is then newer than 6.9, and 6.1 newer than 6.1.0-rc1.
    """
    return _SHORT.sub(r"\1.0", sortable(version))
