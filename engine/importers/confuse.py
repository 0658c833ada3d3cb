"""The language of libconfuse, which genimage's configuration files are in.

Source: libconfuse's manual and genimage's README: `key = value`, lists in braces, sections with or
without a title, three kinds of comments, `include("FILE")`, `${NAME:-default}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.importers.draft import Place
from engine.importers.model import Candidate, refused
from engine.importers.variables import expanded

_TOKEN = re.compile(
    r"""(?P<blank>\s+|;)
    |(?P<comment>\#[^\n]*|//[^\n]*|/\*.*?\*/)
    |(?P<double>"(?:[^"\\]|\\.)*")
    |(?P<single>'(?:[^'\\]|\\.)*')
    |(?P<sign>\+=|[{}()=,])
    |(?P<word>(?:\$\{[^}\n]*\}|[^\s"'{}()=,\#;+$]|\$(?!\{)|\+(?!=))+)""",
    re.VERBOSE | re.DOTALL,
)
_DEEPEST = 16
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Option:
    """`key = value`, or a list of values."""

    key: str
    values: tuple[str, ...]
    where: Place

    @property
    def value(self) -> str:
        """Its one value."""
        return self.values[-1] if self.values else ""


@dataclass(slots=True)
class Section:
    """A section, with what it holds in the order of the file."""

    kind: str
    title: str
    where: Place
    options: list[Option] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)

    def option(self, *keys: str) -> Option | None:
        """Returns what holds of a key, by any of its names."""
        found = [option for option in self.options if option.key in keys]
        return found[-1] if found else None

    def text(self, *keys: str) -> str:
        """Returns the value of a key, or ""."""
        found = self.option(*keys)
        return found.value if found else ""

    def yes(self, key: str, *, default: bool = False) -> bool:
        """Whether a key is true; libconfuse takes true, yes and on."""
        text = self.text(key).lower()
        return text in {"true", "yes", "on"} if text else default

    def inside(self, *kinds: str) -> Section | None:
        """Returns the first section of a kind in it."""
        return next((section for section in self.sections if section.kind in kinds), None)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def parse(candidate: Candidate, environment: Mapping[str, str]) -> Section:
    """Returns a file as one section without a name.

    Raises:
        Refused: It is not of this language, or a file that it includes is not there.
    """
    top = Section("", "", Place(candidate.path.name, 1))
    _Parser(candidate, environment, 0).fill(top, closed=False)
    return top


class _Parser:
    """Reads one file, and those that it includes."""

    def __init__(self, candidate: Candidate, environment: Mapping[str, str], depth: int) -> None:
        if candidate.text is None:
            raise refused(f"{candidate.path} is not a text")
        self._path, self._environment, self._depth = candidate.path, environment, depth
        self._tokens = list(self._read(candidate.text))
        self._at = 0

    def _read(self, text: str) -> Iterator[_Token]:
        at, line = 0, 1
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._wrong(line, f"{text[at]!r} is not expected here")
            kind, found = match.lastgroup or "", match[0]
            if kind not in {"blank", "comment"}:
                yield _Token("sign" if kind == "sign" else "word", self._value(kind, found), line)
            line += found.count("\n")
            at = match.end()

    def _value(self, kind: str, text: str) -> str:
        if kind == "single":
            return re.sub(r"\\(['\\])", r"\1", text[1:-1])
        if kind == "double":
            plain = re.sub(
                r"\\(.)",
                lambda found: _ESCAPES.get(found[1], found[1]),
                text[1:-1],
                flags=re.DOTALL,
            )
            return expanded(plain, self._environment)
        return text if kind == "sign" else expanded(text, self._environment)

    def _wrong(self, line: int, message: str) -> Exception:
        return refused(f"{self._path.name}:{line}: {message}")

    def _next(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self, *signs: str) -> str:
        """Takes one of several signs if it is next; returns it, or ""."""
        token = self._next()
        if token is not None and token.kind == "sign" and token.text in signs:
            self._at += 1
            return token.text
        return ""

    def _word(self, what: str) -> _Token:
        token = self._next()
        if token is None or token.kind != "word":
            line = token.line if token else self._tokens[-1].line if self._tokens else 1
            raise self._wrong(line, f"{what} is expected here")
        self._at += 1
        return token

    def fill(self, section: Section, *, closed: bool, level: int = 0) -> None:
        """Reads what a section holds, up to its brace or the end of the file."""
        while self._next() is not None:
            if self._take("}"):
                if closed:
                    return
                raise self._wrong(self._tokens[self._at - 1].line, "} closes nothing")
            self._statement(section, level)
        if closed:
            raise self._wrong(section.where.line, f"the section {section.kind} is not closed")

    def _statement(self, section: Section, level: int) -> None:
        name = self._word("a name")
        where = Place(self._path.name, name.line)
        if self._take("("):
            argument = self._word("a file")
            if not self._take(")") or name.text != "include":
                raise self._wrong(name.line, 'only include("FILE") is a function')
            self._include(argument.text, name.line, section)
            return
        if self._take("=", "+="):
            section.options.append(Option(name.text, self._values(), where))
            return
        token = self._next()
        title = ""
        if token is not None and token.kind == "word":
            title = self._word("a title").text
        if not self._take("{"):
            raise self._wrong(name.line, f"= or {{ is expected behind {name.text}")
        if level >= _DEEPEST:
            raise self._wrong(name.line, "sections are nested too deeply")
        inner = Section(name.text, title, where)
        self.fill(inner, closed=True, level=level + 1)
        section.sections.append(inner)

    def _values(self) -> tuple[str, ...]:
        if not self._take("{"):
            return (self._word("a value").text,)
        found = []
        while not self._take("}"):
            found.append(self._word("a value").text)
            self._take(",")
        return tuple(found)

    def _include(self, name: str, line: int, section: Section) -> None:
        path = Path(name) if Path(name).is_absolute() else self._path.parent / name
        if self._depth >= _DEEPEST:
            raise self._wrong(line, "files include each other")
        if not path.is_file():
            raise self._wrong(line, f"includes {path}, which is not there")
        _Parser(Candidate(path), self._environment, self._depth + 1).fill(section, closed=False)
