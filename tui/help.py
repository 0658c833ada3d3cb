"""What F1 shows: words on the focused thing, and the keys that act on it."""

from __future__ import annotations

import inspect
from typing import Any

from textual.app import App


def help_for(app: App[Any]) -> tuple[str, list[tuple[str, str]]]:
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
    keys: dict[str, tuple[str, str]] = {}
    for active in app.screen.active_bindings.values():
        binding = active.binding
        what = binding.tooltip or binding.description
        if not what or not binding.id:
            continue
        shown = app.get_key_display(binding)
        if binding.id in keys:
            shown = f"{keys[binding.id][0]}, {shown}"
        keys[binding.id] = (shown, what)
    return text, list(keys.values())
