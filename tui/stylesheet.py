"""The style sheet, parsed once: a theme that was seen before costs no second parse.

Textual parses all its sources anew whenever a theme, a mode or a screen asks for a refresh, three
times before the first page stands. What a source means depends on nothing but its text and the
variables of the theme.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.cache import LRUCache
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.css.types import CSSLocation

# The same answer, identity, without a call into Python: a page asks 300,000 times.
RuleSet.__hash__ = object.__hash__  # type: ignore[method-assign]

_Key = tuple[frozenset[tuple[str, str]], str, CSSLocation, bool, int, str]

_PARSED: LRUCache[_Key, list[RuleSet]] = LRUCache(1024)
"""Rules by the theme's variables and the source; nothing changes a rule once it is parsed."""

COLUMNS: list[tuple[int, str]] = [(0, "-tiny"), (50, "-narrow"), (80, "-normal"), (120, "-wide")]
ROWS: list[tuple[int, str]] = [(0, "-short"), (18, "-low"), (24, "-medium"), (34, "-tall")]
"""Columns and rows of the terminal from which the style sheet has rules of their own."""


def class_for(cells: int, breakpoints: Iterable[tuple[int, str]]) -> str:
    """Returns the style class of a width or height in cells."""
    return max((least, name) for least, name in breakpoints if least <= cells)[1]


class SharedStylesheet(Stylesheet):
    """A style sheet that keeps what any of its kind has parsed in this process."""

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._variables_key = frozenset((variables or {}).items())

    def set_variables(self, variables: dict[str, str]) -> None:
        super().set_variables(variables)
        self._variables_key = frozenset(variables.items())

    def reparse(self) -> None:
        """Applies new variables; leaves the rules as they are where a source is at fault."""
        self.parse()

    def _parse_rules(
        self,
        css: str,
        read_from: CSSLocation,
        is_default_rules: bool = False,
        tie_breaker: int = 0,
        scope: str = "",
    ) -> list[RuleSet]:
        key = (self._variables_key, css, read_from, is_default_rules, tie_breaker, scope)
        if (rules := _PARSED.get(key)) is None:
            rules = super()._parse_rules(css, read_from, is_default_rules, tie_breaker, scope)
            _PARSED[key] = rules
        return rules
