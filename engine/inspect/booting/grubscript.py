"""Splits GRUB's scripts into commands, without running any.

Source: GRUB's manual, section "Writing full configuration files directly" (words, quoting,
variables).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<comment>(?<!\S)#[^\n]*)"
    r"|(?P<joined>\\\n)"
    r"|(?P<blank>[^\S\n]+)"
    r"|(?P<end>[\n;])"
    r"|(?P<open>\{)|(?P<close>\})"
    r"|'(?P<single>[^']*)'"
    r'|"(?P<double>(?:[^"\\]|\\.)*)"'
    r"|\\(?P<escaped>.)"
    r"|\$\{(?P<braced>\w+)\}|\$(?P<named>\w+|[?*@#])"
    r"|(?P<plain>[^\s;{}'\"\\$]+|\$)",
    re.DOTALL,
)
_IN_QUOTES = re.compile(
    r'\\(?P<escaped>[$"\\\n])|\$\{(?P<braced>\w+)\}|\$(?P<named>\w+)', re.DOTALL
)


MAX_WORD = 4096
"""Characters kept of a word: variables that double themselves would grow without end."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A piece of a word that stands for a variable's value."""

    name: str


Word = tuple[str | Variable, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """One command with its arguments.

    Attributes:
        words: None where the command only begins or ends a block.
        opens: Whether a block in braces begins behind it.
        closes: Whether it stands for the end of a block.
    """

    words: tuple[Word, ...] = ()
    opens: bool = False
    closes: bool = False


def commands(text: str) -> Iterator[Command]:
    """Yields the commands of a script; it ends early at a quote that never closes."""
    words: list[Word] = []
    word: list[str | Variable] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return
        at = token.end()
        kind = token.lastgroup or ""
        if kind in _PIECES:
            word += _PIECES[kind](token[kind])
            continue
        if word:
            words.append(tuple(word))
            word = []
        if kind in {"end", "open", "close"}:
            if words or kind == "open":
                yield Command(tuple(words), opens=kind == "open")
                words = []
            if kind == "close":
                yield Command(closes=True)
    if word:
        words.append(tuple(word))
    if words:
        yield Command(tuple(words))


def expanded(word: Word, variables: Mapping[str, str], unknown: set[str]) -> str:
    """Returns a word with the values of its variables; adds those it does not know to `unknown`."""
    text = ""
    for piece in word:
        if isinstance(piece, str):
            text += piece
        elif piece.name in variables:
            text += variables[piece.name]
        else:
            unknown.add(piece.name)
        if len(text) > MAX_WORD:
            break
    return text[:MAX_WORD]


def _quoted(text: str) -> list[str | Variable]:
    pieces: list[str | Variable] = [""]
    at = 0
    for found in _IN_QUOTES.finditer(text):
        pieces.append(text[at : found.start()])
        name = found["braced"] or found["named"]
        escaped = found["escaped"] or ""
        pieces.append(Variable(name) if name else escaped.replace("\n", ""))
        at = found.end()
    return [*pieces, text[at:]]


_PIECES: dict[str, Callable[[str], list[str | Variable]]] = {
    "single": lambda text: [text],
    "double": _quoted,
    "escaped": lambda text: [text],
    "braced": lambda text: [Variable(text)],
    "named": lambda text: [Variable(text)],
    "plain": lambda text: [text],
}
