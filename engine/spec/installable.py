"""What `nix.system` may name: a store path, a flake reference, or an attribute of a Nix file."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

STORE_PREFIX = "/nix/store/"
STORE_WORDS = ("auto", "daemon", "local")
"""What --store takes besides URLs and folders (the Nix manual, "Store types")."""
_FILE_OPTIONS = ("-f", "--file")
_ATTRIBUTE_OPTIONS = ("-A", "--attr")


@dataclass(frozen=True, slots=True)
class InStore:
    """A path in the store."""

    path: str


@dataclass(frozen=True, slots=True)
class Flake:
    """A flake reference ("github:owner/repo#attribute"), as `nix build` takes it."""

    reference: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a Nix expression in a file."""

    file: str
    name: str


Installable = InStore | Flake | Attribute


def parse(text: str) -> Installable:
    """Returns what a text names.

    Raises:
        ValueError: It begins as `-f FILE -A ATTRIBUTE` and does not go on like it; the message
            is a sentence.
    """
    if text.startswith(STORE_PREFIX):
        return InStore(text.rstrip("/"))
    if text.startswith("-"):
        return _attribute(text)
    return Flake(text)


def absolute(text: str, base: Path) -> str:
    """Returns the text with a relative path in it made absolute.

    Args:
        text: Value of `nix.system`.
        base: Folder of the spec.
    """
    try:
        installable = parse(text)
    except ValueError:
        return text
    if isinstance(installable, Attribute):
        file = base.absolute() / installable.file
        return shlex.join(("-f", str(file), "-A", installable.name))
    scheme, path = ("path:", text[5:]) if text.startswith("path:") else ("", text)
    if not path.startswith("."):
        return text
    folder, mark, attribute = path.partition("#")
    return f"{scheme}{os.path.normpath(base.absolute() / folder)}{mark}{attribute}"


def _attribute(text: str) -> Attribute:
    shape = f'"{text}" must be `-f FILE -A ATTRIBUTE`'
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{shape}: {error}") from None
    found: dict[str, str] = {}
    pairs = zip(words[::2], words[1::2], strict=False)
    for option, value in pairs:
        if option in _FILE_OPTIONS:
            found["file"] = value
        elif option in _ATTRIBUTE_OPTIONS:
            found["name"] = value
        else:
            raise ValueError(f"{shape}, not {option}")
    if len(words) != 4 or len(found) != 2:
        raise ValueError(shape)
    return Attribute(found["file"], found["name"])
