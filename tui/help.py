"""What F1 and Ctrl+G show: words on the focused thing, and the keys that act on it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from textual.app import App
from textual.binding import ActiveBinding
from textual.screen import Screen

from tui.keys import KEYS

_BY_ID = {key.id: key for key in KEYS}
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class KeyHelp:
    """One action and its keys.

    Attributes:
        place: "Here" (the focused thing), "This page" or "Everywhere".
        shown: Its keys as people write them.
        letter: What runs it from the list of keys; "" where nothing does.
        label: Two words at most.
        what: A sentence.
        action: What it runs, and on what.
    """

    place: str
    shown: str
    letter: str
    label: str
    what: str
    action: tuple[str, Any]


def help_for(app: App[Any]) -> tuple[str, tuple[KeyHelp, ...]]:
    """Returns the help text of the focused widget or of what it stands in, and the keys here."""
    text = ""
    focused = app.focused
    for node in focused.ancestors_with_self if focused is not None else [app.screen]:
        if node is app:
            break
        found = getattr(node, "help_text", None) or getattr(node, "HELP", None)
        if found:
            text = inspect.cleandoc(found)
            break
    return text, tuple(_steps_together(keys_of(app)))


def by_letter(keys: Iterable[KeyHelp]) -> tuple[KeyHelp, ...]:
    """Returns keys for a list in which a letter runs them: it stands first, then their own key."""
    return tuple(_steps_together(map(_with_letter, keys)))


def _with_letter(key: KeyHelp) -> KeyHelp:
    first = key.shown.split(", ")[0]
    if key.letter.isdigit() or key.letter == first:
        return replace(key, shown=key.letter)
    return replace(key, shown=f"{key.letter} {first}" if key.letter else f"  {first}")


def keys_of(app: App[Any]) -> list[KeyHelp]:
    """Returns every action that can be done now, those of the focused thing first."""
    keys: dict[str, KeyHelp] = {}
    for active in app.screen.active_bindings.values():
        name = active.binding.id
        if name is None or name not in _BY_ID:
            continue
        key, shown = _BY_ID[name], app.get_key_display(active.binding)
        if name in keys:
            shown = f"{keys[name].shown}, {shown}"
        keys[name] = KeyHelp(
            place=_place(active, app),
            shown=shown,
            letter=key.letter or (active.binding.key if len(active.binding.key) == 1 else ""),
            label=key.label,
            what=key.tooltip,
            action=(key.action, active.node),
        )
    order = ["Here", "This page", "Everywhere"]
    return sorted(keys.values(), key=lambda key: order.index(key.place))


def _place(active: ActiveBinding, app: App[Any]) -> str:
    if active.node is app:
        return "Everywhere"
    return "This page" if isinstance(active.node, Screen) else "Here"


def _steps_together(keys: Iterable[KeyHelp]) -> Iterable[KeyHelp]:
    """Yields keys, those that differ in a digit as one: 1 to 6."""
    for _, same in groupby(keys, key=lambda key: (key.place, _DIGIT.sub("0", key.shown), key.what)):
        first, *more = same
        if not more:
            yield first
            continue
        pairs = zip(first.shown.split(", "), more[-1].shown.split(", "), strict=True)
        shown = ", ".join(f"{one} to {other[-1]}" for one, other in pairs)
        yield replace(first, shown=shown)
