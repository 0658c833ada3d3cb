"""The few glyphs the wizard draws, in Unicode and in ASCII.

Every Unicode glyph here is in DejaVu Sans Mono, the least common denominator of terminals
and of the pictures in the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["done", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """One set of glyphs; every attribute is exactly one cell wide unless it says otherwise."""

    done: str
    error: str
    warning: str
    untouched: str
    chosen: str
    open: str
    blocked: str
    cursor: str
    used: str
    free: str
    gap: str
    plain: str
    divider: str
    rule: str
    dot: str
    dash: str
    unsaved: str
    arrow: str
    up: str
    ellipsis: str
    checked: str
    unchecked: str
    spinner: str

    def state(self, state: State) -> str:
        """Returns the mark of a step's state."""
        marks = {
            "done": self.done,
            "error": self.error,
            "warning": self.warning,
        }
        return marks[state]


UNICODE = Glyphs(
    done="✓",
    error="✗",
    warning="!",
    untouched="·",
    chosen="●",
    open="○",
    blocked="-",
    cursor="▸",
    used="█",
    free="░",
    gap="╱",  # noqa: RUF001 - a hatching
    plain="▒",
    divider="│",
    rule="─",
    dot="·",
    dash="-",
    unsaved="●",
    arrow="→",
    up="↑",
    ellipsis="…",
    checked="■",
    unchecked="□",
    spinner="◐◓◑◒",
)

ASCII = Glyphs(
    done="v",
    error="x",
    warning="!",
    untouched=".",
    chosen="*",
    open="o",
    blocked="-",
    cursor=">",
    used="#",
    free=".",
    gap="/",
    plain="%",
    divider="|",
    rule="-",
    dot=",",
    dash="-",
    unsaved="*",
    arrow=">",
    up="^",
    ellipsis="~",
    checked="x",
    unchecked=" ",
    spinner="-\\|/",
)
