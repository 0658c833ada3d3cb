"""References to variables, `${NAME}` and `${NAME:-default}`, as build systems leave them."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """Returns a text with what the environment, or a reference's own default, says.

    References that neither knows stay as they are.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        known = environment.get(name) or default
        return match[0] if known is None else known

    return _REFERENCE.sub(value, text)


def unknown(text: str) -> str:
    """Returns the first reference that is left in a text, or ""."""
    match = re.search(r"\$\{[^}]*\}?|@[A-Z_]+@", text)
    return match[0] if match else ""
