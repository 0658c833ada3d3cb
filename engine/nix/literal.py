"""Reads a call of make-disk-image, or its arguments alone, from Nix source, without Nix.

Literal values are read as what they are: texts of both kinds, numbers, booleans, null, lists,
attribute sets, paths, and the few ways to name something built. Any other expression is kept as
its source. Grammar: the Nix manual, "Nix Language".
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Mapping

from engine.nix.values import IDENTIFIER, PATH, Buildable, Import, Opaque, Path, Value

_BLANK = re.compile(r"(?:\s+|#[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"-?(?:\d+\.\d*(?:[eE][+-]?\d+)?|\d+)")
_MAX_DIGITS = 400
"""More than any number has; Python refuses integers of thousands."""
_CLAUSE = re.compile(r"(?:with|assert)\b")
_INHERIT = re.compile(r"inherit\b")
_REC = re.compile(r"rec(?=\s*\{)")
_END_OF_VALUE = re.compile(r"[;\]})]")
_WORDS: dict[str, Value] = {"true": True, "false": False, "null": None}
_SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_STORE_PATH = re.compile(r"builtins\.storePath(?=[\s\"/(])")
_FLAKE = re.compile(r"builtins\.getFlake(?=[\s\"])")
_IMPORT = re.compile(r"import\b")
_SELECTION = re.compile(r"(?:\s*\.\s*(?:[A-Za-z_][A-Za-z0-9_'-]*|\"[^\"$\\]*\"))+")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class NotNix(ValueError):
    """The text is no such expression; the message has line and column."""


class _NotLiteral(Exception):
    """What stands here only Nix can evaluate."""


def read(text: str, folder: str) -> Mapping[str, Value]:
    """Returns the attribute set that a text is, or that the call in it is given.

    Args:
        text: Nix source: `{ ... }`, `import PATH { ... }`, or either behind `{ arguments }:`.
        folder: What relative paths start from.

    Raises:
        NotNix: It is neither.
    """
    reader = _Reader(text, folder)
    try:
        reader.skip_head()
        result = reader.attributes()
    except RecursionError:
        raise NotNix("lists or sets are nested too deeply") from None
    reader.blank()
    if reader.at != len(text):
        raise reader.wrong("the expression to end here")
    return result


class _Reader:
    """A recursive descent over the text."""

    def __init__(self, text: str, folder: str) -> None:
        self.text = text
        self.folder = folder
        self.at = 0

    def wrong(self, expected: str) -> NotNix:
        """Returns the error of something else standing here."""
        before = self.text[: self.at]
        line = before.count("\n") + 1
        column = self.at - (before.rfind("\n") + 1) + 1
        return NotNix(f"line {line}, column {column}: expected {expected}")

    def blank(self) -> None:
        """Goes past blanks and comments."""
        found = _BLANK.match(self.text, self.at)
        assert found is not None
        self.at = found.end()

    def next(self, token: str) -> bool:
        """Goes past a token, if it stands here."""
        self.blank()
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def word(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Goes past what a pattern matches here, if it does."""
        self.blank()
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def need(self, token: str) -> None:
        """Goes past a token that must stand here."""
        if not self.next(token):
            raise self.wrong(f'"{token}"')

    def skip_head(self) -> None:
        """Goes to the attribute set: past a function's arguments and the function called."""
        while True:
            self.blank()
            start = self.at
            if self.word(_CLAUSE):
                self._skip_to(";")
                self.need(";")
            elif self.text.startswith("{", start):
                self._skip_group()
                if self.next("@"):
                    self.word(IDENTIFIER)
                if not self.next(":"):
                    self.at = start
                    return
            elif not (self.word(IDENTIFIER) and (self.next(":") or self.next("@"))):
                self.at = start
                self._skip_to("{")
                return

    def _skip_to(self, stop: str) -> None:
        """Goes to a token on this level, past groups and texts."""
        while True:
            self.blank()
            if self.at >= len(self.text):
                raise self.wrong("an attribute set { ... }")
            if self.text.startswith(stop, self.at):
                return
            self._skip_one()

    def _skip_one(self) -> None:
        """Goes past one token, a group or a text being one."""
        letter = self.text[self.at]
        if letter in _CLOSING:
            self._skip_group()
        elif letter == '"' or self.text.startswith("''", self.at):
            self._skip_string()
        else:
            self.at += 1

    def _skip_group(self) -> None:
        opening = self.text[self.at]
        closing = _CLOSING[opening]
        self.at += 1
        while True:
            self.blank()
            if self.at >= len(self.text):
                raise self.wrong(f'"{closing}"')
            if self.text[self.at] == closing:
                self.at += 1
                return
            self._skip_one()

    def _skip_string(self) -> None:
        quote = '"' if self.text[self.at] == '"' else "''"
        self.at += len(quote)
        while not self.text.startswith(quote, self.at) or self._escaped(quote):
            if self.at >= len(self.text):
                raise self.wrong(f"the text to end with {quote}")
            if self.text.startswith("${", self.at) and self.text[self.at - 1] != "$":
                self.at += 1
                self._skip_group()
            elif quote == '"' and self.text[self.at] == "\\":
                self.at += 2
            else:
                self.at += 1
        self.at += len(quote)

    def _escaped(self, quote: str) -> bool:
        """Whether the quote here is the first half of an escape; goes past it if so."""
        if quote == "''" and self.text[self.at + 2 : self.at + 3] in {"'", "$", "\\"}:
            self.at += 4 if self.text[self.at + 2] == "\\" else 3
            return True
        return False

    def attributes(self) -> dict[str, Value]:
        """Reads an attribute set."""
        self.word(_REC)
        self.need("{")
        result: dict[str, Value] = {}
        while not self.next("}"):
            if self.word(_INHERIT):
                self._inherit(result)
                continue
            keys = [self._key()]
            while self.next("."):
                keys.append(self._key())
            self.need("=")
            value = self.value_or_source()
            self.need(";")
            self._put(result, keys, value)
        return result

    def _put(self, result: dict[str, Value], keys: list[str], value: Value) -> None:
        for key in keys[:-1]:
            inner = result.setdefault(key, {})
            if not isinstance(inner, dict):
                raise self.wrong(f"{key} to be set once")
            result = inner
        if keys[-1] in result:
            raise self.wrong(f"{keys[-1]} to be set once")
        result[keys[-1]] = value

    def _inherit(self, result: dict[str, Value]) -> None:
        origin = ""
        self.blank()
        if self.text.startswith("(", self.at):
            start = self.at
            self._skip_group()
            origin = self.text[start : self.at] + "."
        while found := self.word(IDENTIFIER):
            result[found[0]] = Opaque(origin + found[0])
        self.need(";")

    def _key(self) -> str:
        self.blank()
        start = self.at
        if self.text.startswith('"', self.at):
            with contextlib.suppress(_NotLiteral):
                key = self._string()
                if isinstance(key, str):
                    return key
            self.at = start
        elif found := self.word(IDENTIFIER):
            return found[0]
        raise self.wrong("the name of an attribute")

    def value_or_source(self) -> Value:
        """Reads a value up to what ends it; keeps the source of what is not literal."""
        self.blank()
        start = self.at
        try:
            value = self.value()
            self.blank()
            if _END_OF_VALUE.match(self.text, self.at):
                return value
        except _NotLiteral:
            pass
        self.at = start
        self._skip_to(";")
        return Opaque(self.text[start : self.at].strip())

    def value(self) -> Value:
        """Reads one literal value.

        Raises:
            _NotLiteral: It is none.
        """
        self.blank()
        rest = self.text[self.at : self.at + 2]
        if rest[:1] == '"':
            return self._string()
        if rest == "''":
            return self._indented()
        if rest[:1] == "[":
            return self._list()
        if found := self.word(PATH):
            return self._path(found[0])
        if found := self.word(_NUMBER):
            if len(found[0]) > _MAX_DIGITS:
                raise self.wrong("a number that Nix can hold")
            return float(found[0]) if "." in found[0] else int(found[0])
        if rest[:1] == "{" or _REC.match(self.text, self.at):
            return self.attributes()
        return self._named()

    def _named(self) -> Value:
        if self.next("("):
            value = self.value()
            if self.next(")"):
                return self._chosen(value)
        elif self.word(_STORE_PATH):
            value = self.value()
            if isinstance(value, str | Path):
                return Buildable(value if isinstance(value, str) else value.text)
        elif self.word(_FLAKE):
            value = self.value()
            if isinstance(value, str):
                return Buildable(value)
        elif self.word(_IMPORT):
            value = self.value()
            if isinstance(value, Path) and self.next("{") and self.next("}"):
                return Import(value.text)
        elif (found := self.word(IDENTIFIER)) and found[0] in _WORDS:
            return _WORDS[found[0]]
        raise _NotLiteral

    def _chosen(self, value: Value) -> Value:
        """Returns what is chosen from a value in parentheses, or the value."""
        found = self.word(_SELECTION)
        if found is None:
            return value
        attribute = re.sub(r"\s", "", found[0])[1:]
        if isinstance(value, Import):
            return Buildable(shlex.join(("-f", value.path, "-A", attribute)))
        if isinstance(value, Buildable):
            return Buildable(f"{value.text}#{attribute}")
        raise _NotLiteral

    def _list(self) -> list[Value]:
        self.need("[")
        items: list[Value] = []
        while not self.next("]"):
            items.append(self.value())
        return items

    def _path(self, text: str) -> Path:
        """Returns an absolute path; `/. + "text"` is how one with blanks is written."""
        if text.startswith("~"):
            raise _NotLiteral
        whole = os.path.normpath(os.path.join(self.folder, text))
        if self.next("+"):
            more = self.value()
            if not isinstance(more, str):
                raise _NotLiteral
            whole = os.path.normpath(whole + "/" + more)
        return Path(whole)

    def _string(self) -> str | Path:
        self.need('"')
        return self._joined(self._pieces('"'))

    def _indented(self) -> str | Path:
        self.need("''")
        pieces = self._pieces("''")
        if len(pieces) == 1 and isinstance(pieces[0], str):
            return _unindented(pieces[0])
        raise _NotLiteral

    def _joined(self, pieces: list[str | Path]) -> str | Path:
        if len(pieces) == 1:
            return pieces[0]
        if len(pieces) == 2 and isinstance(pieces[0], Path) and isinstance(pieces[1], str):
            return Path(pieces[0].text.rstrip("/") + pieces[1])
        raise _NotLiteral

    def _pieces(self, quote: str) -> list[str | Path]:
        """Reads a text to its end: what is written, and paths between `${` and `}`."""
        pieces: list[str | Path] = []
        written: list[str] = []
        while True:
            if self.at >= len(self.text):
                raise self.wrong(f"the text to end with {quote}")
            letter = self.text[self.at]
            if self.text.startswith("$${", self.at):
                written.append("$${")
                self.at += 3
            elif self.text.startswith("${", self.at):
                self.at += 2
                value = self.value()
                if not isinstance(value, Path) or not self.next("}"):
                    raise _NotLiteral
                pieces += ["".join(written)] if written else []
                pieces.append(value)
                written = []
            elif quote == '"' and letter == "\\":
                escape = self.text[self.at + 1 : self.at + 2]
                written.append(_SIMPLE_ESCAPES.get(escape, escape))
                self.at += 2
            elif self.text.startswith("''", self.at) and quote == "''" and self._escape(written):
                continue
            elif self.text.startswith(quote, self.at):
                self.at += len(quote)
                break
            else:
                written.append(letter)
                self.at += 1
        return [*pieces, "".join(written)] if written or not pieces else pieces

    def _escape(self, written: list[str]) -> bool:
        """Reads an escape of an indented text, if one stands here."""
        kind = self.text[self.at + 2 : self.at + 3]
        if kind == "'":
            written.append("''")
        elif kind == "$":
            written.append("$")
        elif kind == "\\":
            raise _NotLiteral  # what it stands for takes no part in the indentation
        else:
            return False
        self.at += 3
        return True


def _unindented(text: str) -> str:
    """Removes an indented text's first empty line and the blanks all its lines share."""
    lines = text.split("\n")
    if len(lines) > 1 and not lines[0].strip(" "):
        lines = lines[1:]
    filled = [line for line in lines if line.strip(" ")]
    shared = min((len(line) - len(line.lstrip(" ")) for line in filled), default=0)
    if lines and not lines[-1].strip(" "):
        lines[-1] = ""
    return "\n".join(line[min(shared, len(line) - len(line.lstrip(" "))) :] for line in lines)
