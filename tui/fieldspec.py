"""What a field of the form is: how text becomes a value of the spec, and back."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.plan.model import Plan
from engine.problem import Scalar
from engine.spec.settings import Settings

Kind = Literal["text", "size", "number", "switch", "choice", "path", "list"]
Value = Scalar | tuple[str, ...]
Echo = Callable[[Settings, "Plan | None"], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """A field.

    Attributes:
        path: Key path in the spec.
        step: The pane it stands in.
        label: Up to 18 cells.
        help: One line, shown below while there is nothing more urgent.
        guide: Markdown for F1.
        choices: Value and title, for kind "choice".
        default: The default of the key, as text.
        echo: What the engine makes of the value.
        restrict: Regular expression of what can be typed.
        max_length: Characters, 0 for no limit.
    """

    path: str
    step: str
    label: str
    help: str
    guide: str
    kind: Kind = "text"
    choices: tuple[tuple[str, str], ...] = ()
    default: Callable[[Settings], str] = lambda _settings: ""
    echo: Echo = lambda _settings, _plan: ""
    restrict: str = ""
    max_length: int = 0

    @property
    def widget_id(self) -> str:
        """The id of its widget."""
        return "field-" + self.path.replace(".", "-").replace("_", "-")

    def help_markdown(self) -> str:
        """Returns the text of F1."""
        return f"# {self.label}\n\n`{self.path}`\n\n{self.guide}\n"

    def to_text(self, value: Value) -> str:
        """Returns an authored value as the control shows it."""
        if value is None:
            return ""
        if isinstance(value, tuple):
            return shlex.join(value)
        if isinstance(value, bool):
            return "yes" if value else "no"
        if self.kind == "list" and isinstance(value, str):
            return shlex.quote(value)
        return str(value)

    def to_value(self, text: str) -> Value:
        """Returns what was entered as the spec has it; empty for the default."""
        if self.kind == "switch":
            return text == "yes"
        stripped = text if self.kind == "text" else text.strip()
        if not stripped:
            return None
        if self.kind == "list":
            return _words(stripped)
        if stripped.isascii() and stripped.isdigit() and self._is_number(stripped):
            return int(stripped)
        return stripped

    def _is_number(self, _text: str) -> bool:
        return self.kind in {"number", "size"} or self.path == "layout.sector_size"


def _words(text: str) -> Value:
    """Returns the words of a list; text with an open quote as it is, which the engine refuses."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return text
