"""The wizard's own pair of themes, and the colours of volumes that every theme gets.

One accent; colour otherwise only tells volumes apart in the partition map and shares in the
breakdown, and the state of a message. Each pair of text and ground has a contrast of at
least 4.5:1 (WCAG 2.1, 1.4.3), which a test holds.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="diskwright-dark",
    primary="#6cb6c9",
    secondary="#4a8fa3",
    accent="#6cb6c9",
    warning="#e3b261",
    error="#f28b82",
    success="#8cc98f",
    foreground="#dfe3e8",
    background="#14181d",
    surface="#1b2027",
    panel="#262d36",
    dark=True,
    variables={
        "block-cursor-background": "#6cb6c9",
        "block-cursor-foreground": "#101418",
        "block-cursor-text-style": "bold",
        "border": "#6cb6c9",
        "border-blurred": "#3a434f",
        "footer-key-foreground": "#6cb6c9",
        "footer-background": "#1b2027",
        "input-selection-background": "#6cb6c9 35%",
        "input-cursor-background": "#dfe3e8",
        "input-cursor-foreground": "#14181d",
    },
)

LIGHT = Theme(
    name="diskwright-light",
    primary="#1d6478",
    secondary="#2b7d94",
    accent="#1d6478",
    warning="#7a4f00",
    error="#a3232e",
    success="#1f6b35",
    foreground="#1d2329",
    background="#f7f7f4",
    surface="#eeeeea",
    panel="#e0e1dc",
    dark=False,
    variables={
        "block-cursor-background": "#1d6478",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "bold",
        "border": "#1d6478",
        "border-blurred": "#b9bcb6",
        "footer-key-foreground": "#1d6478",
        "footer-background": "#e8e8e3",
        "input-selection-background": "#1d6478 30%",
        "input-cursor-background": "#1d2329",
        "input-cursor-foreground": "#f7f7f4",
    },
)

COLOURS = 6
"""Grounds for volumes, each told from every other with any kind of colour blindness.

They are as many as 16 colours give that differ so. How far apart they are, a test computes: for
protanopia, deuteranopia and tritanopia as for everybody else.
"""


def _texts(colour: str) -> dict[str, str]:
    names = [*map(str, range(1, COLOURS + 1)), "many"]
    return {f"volume-{name}-text": colour for name in names}


_DARK = {
    "volume-1": "#4b70d3",
    "volume-2": "#215c43",
    "volume-3": "#9d600c",
    "volume-4": "#780601",
    "volume-5": "#702c83",
    "volume-6": "#3b2f3f",
    "volume-many": "#686c77",
    "volume-free": "#7d8896",
    **_texts("#ffffff"),
    "share-contents": "#58b184",
    "share-metadata": "#c79a4b",
    "share-reserved": "#a98bd6",
    "share-free": "#6b7683",
    "share-esp": "#6fa3e0",
    "share-table": "#98a2ad",
    "muted": "#98a2ad",
    "faint": "#4a5461",
    "state-warning": "#e3b261",
    "state-error": "#f28b82",
    "state-done": "#8cc98f",
}

_LIGHT = {
    "volume-1": "#8db9fc",
    "volume-2": "#cfe9c7",
    "volume-3": "#e2c25f",
    "volume-4": "#9a8325",
    "volume-5": "#7e81a7",
    "volume-6": "#009579",
    "volume-many": "#b9b4bc",
    "volume-free": "#5f6872",
    **_texts("#14181d"),
    "share-contents": "#2e8259",
    "share-metadata": "#966612",
    "share-reserved": "#7352ab",
    "share-free": "#8b939b",
    "share-esp": "#2d68ad",
    "share-table": "#6a737c",
    "muted": "#555e67",
    "faint": "#aeb3ae",
    "state-warning": "#7a4f00",
    "state-error": "#a3232e",
    "state-done": "#1f6b35",
}

_ANSI = {
    "volume-1": "ansi_blue",
    "volume-1-text": "ansi_bright_white",
    "volume-2": "ansi_green",
    "volume-2-text": "ansi_black",
    "volume-3": "ansi_bright_yellow",
    "volume-3-text": "ansi_black",
    "volume-4": "ansi_red",
    "volume-4-text": "ansi_bright_white",
    "volume-5": "ansi_bright_magenta",
    "volume-5-text": "ansi_black",
    "volume-6": "ansi_bright_cyan",
    "volume-6-text": "ansi_black",
    "volume-many": "ansi_white",
    "volume-many-text": "ansi_black",
    "volume-free": "ansi_default",
    "share-contents": "ansi_green",
    "share-metadata": "ansi_yellow",
    "share-reserved": "ansi_magenta",
    "share-free": "ansi_default",
    "share-esp": "ansi_blue",
    "share-table": "ansi_cyan",
    "muted": "ansi_default",
    "faint": "ansi_default",
    "state-warning": "ansi_yellow",
    "state-error": "ansi_red",
    "state-done": "ansi_green",
}


def volume_variables(theme: Theme | None) -> dict[str, str]:
    """Returns the colours of volumes and shares that go with a theme, Textual's own included."""
    if theme is not None and theme.ansi:
        return _ANSI
    return _DARK if theme is None or theme.dark else _LIGHT


def preferred(environment: dict[str, str], wanted: str = "") -> str:
    """Returns the theme to start with.

    Args:
        environment: `TEXTUAL_THEME` wins, then `wanted`; the Linux console has 16 colours.
        wanted: The theme saved by the user, or "".
    """
    if theme := environment.get("TEXTUAL_THEME") or wanted:
        return theme
    return "ansi-dark" if environment.get("TERM") == "linux" else DARK.name
