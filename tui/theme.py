"""The wizard's own pair of themes, and the role colours every theme gets.

One accent; colour otherwise only names roles in the partition map and shares in the
breakdown, and the state of a message. Each pair of text and ground has a contrast of at
least 4.5:1 (WCAG 2.1, 1.4.3), which a test holds.
"""

from __future__ import annotations

from collections.abc import Callable

from textual.color import Color
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

_DARK_ROLES = {
    "role-esp": "#2c5f9e",
    "role-xbootldr": "#6a4c99",
    "role-bios-boot": "#7d5410",
    "role-boot": "#6a4c99",
    "role-root": "#2b6b4c",
    "role-usr": "#155e5c",
    "role-home": "#96451c",
    "role-srv": "#8a3a78",
    "role-var": "#5c6a1a",
    "role-tmp": "#4f5866",
    "role-swap": "#8f3346",
    "role-data": "#1f6a86",
    "role-hash": "#46487d",
    "role-raw": "#6b4a3c",
    "role-other": "#4b5563",
    "role-text": "#ffffff",
    "role-free": "#7d8896",
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

_LIGHT_ROLES = {
    "role-esp": "#b9d4f3",
    "role-xbootldr": "#dbcbf3",
    "role-bios-boot": "#f1d8a2",
    "role-boot": "#dbcbf3",
    "role-root": "#b8e0ca",
    "role-usr": "#a5dcd8",
    "role-home": "#f6c9ad",
    "role-srv": "#f1c4e3",
    "role-var": "#d9e29b",
    "role-tmp": "#cdd3da",
    "role-swap": "#f5bfc8",
    "role-data": "#aedcee",
    "role-hash": "#c5c8ee",
    "role-raw": "#dfc8bd",
    "role-other": "#d3d8de",
    "role-text": "#14181d",
    "role-free": "#5f6872",
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

_ANSI_ROLES = {
    "role-esp": "ansi_blue",
    "role-xbootldr": "ansi_magenta",
    "role-bios-boot": "ansi_yellow",
    "role-boot": "ansi_magenta",
    "role-root": "ansi_green",
    "role-usr": "ansi_bright_green",
    "role-home": "ansi_cyan",
    "role-srv": "ansi_bright_magenta",
    "role-var": "ansi_bright_yellow",
    "role-tmp": "ansi_white",
    "role-swap": "ansi_red",
    "role-data": "ansi_bright_cyan",
    "role-hash": "ansi_bright_blue",
    "role-raw": "ansi_bright_red",
    "role-other": "ansi_white",
    "role-text": "ansi_black",
    "role-free": "ansi_default",
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


ROLE_COLOURS = frozenset(
    name.removeprefix("role-") for name in _DARK_ROLES if name.startswith("role-")
)
"""Roles that have a colour of their own."""

_SHADE = 0.12
"""How much the second volume of a role differs from the first, on the side away from its text."""
_ANSI_SHADES = {
    "ansi_white": "ansi_bright_white",
    **{
        f"ansi_{a}{name}": f"ansi_{b}{name}"
        for name in ("blue", "yellow", "magenta", "green", "cyan", "red")
        for a, b in (("", "bright_"), ("bright_", ""))
    },
}


def role_variables(theme: Theme | None) -> dict[str, str]:
    """Returns the role colours that go with a theme, Textual's own themes included.

    Each role has a second shade ("role-root-2"), for the second, fourth... volume of it.
    """
    if theme is not None and theme.ansi:
        return _ANSI_ROLES | _shades(_ANSI_ROLES, _ANSI_SHADES.__getitem__)
    if theme is None or theme.dark:
        return _DARK_ROLES | _shades(_DARK_ROLES, lambda hex6: Color.parse(hex6).darken(_SHADE).hex)
    return _LIGHT_ROLES | _shades(_LIGHT_ROLES, lambda hex6: Color.parse(hex6).lighten(_SHADE).hex)


def _shades(colours: dict[str, str], shade: Callable[[str], str]) -> dict[str, str]:
    return {
        f"{name}-2": shade(colour)
        for name, colour in colours.items()
        if name.startswith("role-") and name not in {"role-text", "role-free"}
    }


def preferred(environment: dict[str, str], wanted: str = "") -> str:
    """Returns the theme to start with.

    Args:
        environment: `TEXTUAL_THEME` wins, then `wanted`; the Linux console has 16 colours.
        wanted: The theme saved by the user, or "".
    """
    if theme := environment.get("TEXTUAL_THEME") or wanted:
        return theme
    return "ansi-dark" if environment.get("TERM") == "linux" else DARK.name
