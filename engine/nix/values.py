"""Values of Nix expressions, as far as a call of make-disk-image has any use for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

from engine.spec.installable import Attribute, Installable, InStore, parse


@dataclass(frozen=True, slots=True)
class Path:
    """A path literal, absolute; what follows a `${...}` of one in a text belongs to it."""

    text: str


@dataclass(frozen=True, slots=True)
class Buildable:
    """Something that Nix builds or has built.

    Attributes:
        text: As `nix.system` names it (`engine.spec.installable`).
    """

    text: str


@dataclass(frozen=True, slots=True)
class Import:
    """What a Nix file evaluates to, called with nothing (`import PATH { }`)."""

    path: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """An expression that only Nix can evaluate.

    Attributes:
        text: Its source.
        closed: Whether it depends on nothing else of its file, so that Nix can be asked.
    """

    text: str
    closed: bool = field(default=False, compare=False)


Value = Union[  # noqa: UP007 - the names below refer to it before it exists
    str, int, float, bool, None, Path, Buildable, Import, Opaque,
    Sequence["Value"], Mapping[str, "Value"],
]  # fmt: skip

TOPLEVEL = "config.system.build.toplevel"
"""Where a NixOS system has what is installed (nixpkgs, nixos/modules/system/activation)."""

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")
PATH = re.compile(r"(?:\.{1,2}|~)?(?:/[A-Za-z0-9._+-]+)+/?|/(?=[\s;\])])")
_KEYWORDS = {"assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"}
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def show(value: Value, indent: str = "") -> str:
    """Returns a value as Nix source.

    Args:
        value: The value.
        indent: Blanks before the line that it stands in.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return show_text(value)
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Path):
        return _show_path(value.text)
    if isinstance(value, Buildable):
        return _show_buildable(parse(value.text))
    if isinstance(value, Import):
        return f"import {_applied(value.path)} {{ }}"
    if isinstance(value, Opaque):
        return value.text
    inner = indent + "  "
    if isinstance(value, Mapping):
        lines = [f"{inner}{show_key(key)} = {show(item, inner)};\n" for key, item in value.items()]
        return "{\n" + "".join(lines) + indent + "}" if lines else "{ }"
    lines = [f"{inner}{_item(item, inner)}\n" for item in value]
    return "[\n" + "".join(lines) + indent + "]" if lines else "[ ]"


def _item(value: Value, indent: str) -> str:
    """Returns a list's item: what is applied or chosen from goes into parentheses."""
    text = show(value, indent)
    if isinstance(value, Path):
        return _applied(value.text)
    compound = isinstance(value, Buildable | Import | Opaque) or text.startswith("-")
    return f"({text})" if compound else text


def _applied(path: str) -> str:
    """Returns a path as an argument or item."""
    text = _show_path(path)
    return f"({text})" if text.startswith("/. ") else text


def _show_buildable(installable: Installable) -> str:
    if isinstance(installable, InStore):
        return f"builtins.storePath {show_text(installable.path)}"
    if isinstance(installable, Attribute):
        return f"(import {_applied(installable.file)} {{ }}).{installable.name}"
    reference, _, attribute = installable.reference.partition("#")
    chosen = attribute or "packages.x86_64-linux.default"
    return f"(builtins.getFlake {show_text(reference)}).{chosen}"


def show_key(key: str) -> str:
    """Returns an attribute's name as Nix source."""
    plain = IDENTIFIER.fullmatch(key) and key not in _KEYWORDS
    return key if plain else show_text(key)


def show_text(text: str) -> str:
    """Returns a text as Nix source."""
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in text)
    return '"' + escaped.replace("${", "\\${") + '"'


def _show_path(text: str) -> str:
    """Returns a path as Nix source; a pattern stays outside of what is copied to the store."""
    folder, star, rest = text.partition("*")
    if star:
        folder, _, begin = folder.rpartition("/")
        return f'"${{{_show_path(folder or "/")}}}' + show_text(f"/{begin}{star}{rest}")[1:]
    if PATH.fullmatch(text) and text != "/":
        return text
    return f"/. + {show_text(text)}"
