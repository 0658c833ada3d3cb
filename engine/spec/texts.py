"""Texts of a spec: what no line may hold, and how one is made shorter."""

from __future__ import annotations

import re


def control_character(text: str) -> str:
    """Returns the first control character of a text as a message shows it, or ""."""
    found = re.search(r"[\x01-\x1f\x7f-\x9f\u2028\u2029]", text)
    return f"U+{ord(found[0]):04X}" if found else ""


def shorten(text: str, limit: int) -> str:
    """Returns the longest beginning of a text whose UTF-8 has at most `limit` bytes."""
    return text.encode(errors="replace")[:limit].decode(errors="ignore")
