"""The importers as data: adding one is its module and its row here.

The command's help, its refusals and the manual read this table. Rows are asked in order whether
something is theirs, by its content; a file's name does not matter.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from engine.importers.foreign import foreign
from engine.importers.model import BringsFiles, Candidate, Imported, ImporterModule, refused
from engine.problem import Problem
from engine.spec.model import ImageSpec
from engine.spec.shape import fields_of


@dataclass(frozen=True, slots=True)
class Importer:
    """One importer.

    Attributes:
        key: Its name.
        title: What it imports, for a list in a sentence.
        module: Where it lives (`engine.importers.model.ImporterModule`).
        loose: Whether files of other tools begin in the same way.
    """

    key: str
    title: str
    module: str
    loose: bool = False

    def load(self) -> ImporterModule:
        """Imports its module."""
        return cast("ImporterModule", importlib.import_module(self.module))


IMPORTERS: tuple[Importer, ...] = (
    Importer("image", "a disk image", "engine.importers.image"),
    Importer("repart", "a repart.d folder", "engine.importers.repart"),
    Importer("wks", "a kickstart file of wic (.wks)", "engine.importers.wks"),
    Importer("genimage", "a configuration of genimage", "engine.importers.genimage"),
    Importer(
        "json", "make-disk-image's arguments as JSON", "engine.importers.json_arguments", loose=True
    ),
    Importer(
        "nix", "a Nix file with a call of make-disk-image in it", "engine.importers.nix", loose=True
    ),
)


def find(candidate: Candidate) -> Importer | None:
    """Returns the importer of a file or folder, or None.

    Raises:
        Refused: It cannot be read.
    """
    return next((row for row in IMPORTERS if row.load().recognise(candidate)), None)


def importer_of(candidate: Candidate) -> Importer:
    """Returns the importer of a file or folder.

    Raises:
        Refused: There is none, or it cannot be read.
    """
    importer = find(candidate)
    if importer is None or importer.loose:
        other = foreign(candidate)
        if other is not None:
            raise refused(f"{candidate.path} is {other.title}, which is not imported", other.hint)
    if importer is not None:
        return importer
    if is_spec(candidate.text):
        raise refused(
            f"{candidate.path} is a spec already",
            f"open it: diskwright {candidate.path}",
        )
    what = ", ".join(importer.title for importer in IMPORTERS)
    raise refused(f"{candidate.path} is not something that can be imported", f"what can be: {what}")


def import_file(path: Path, environment: Mapping[str, str], root: Path | None = None) -> Imported:
    """Makes a spec of a file or folder, by what it holds.

    Args:
        path: The file.
        environment: That of tools that help reading it (nix), and of variables that it names.
        root: The tree of files that its tool would be run on, where that is known.

    Raises:
        Refused: It cannot be imported, with everything that is wrong with it.
    """
    candidate = Candidate(path, root)
    return importer_of(candidate).load().read(candidate, environment)


def bringer(candidate: Candidate) -> BringsFiles:
    """Returns the module that writes the files of a candidate whose `Imported.files` names some."""
    return cast("BringsFiles", importer_of(candidate).load())


def text_instead(path: Path) -> Problem | None:
    """Returns what a file is that was taken for an image and is a text; None where it is not one.

    Raises:
        Refused: It cannot be read.
    """
    candidate = Candidate(path)
    if not candidate.text:
        return None
    if is_spec(candidate.text):
        what, hint = "a spec", f"diskwright plan {path} shows what it makes"
    elif importer := find(candidate):
        what, hint = importer.title, f"diskwright import {path} makes a spec of it"
    else:
        what, hint = "a text", "name a disk image"
    return Problem("not-an-image", "error", "", f"{path} is {what}, not a disk image", hint)


def is_spec(text: str | None) -> bool:
    """Whether a text is TOML with a key of a spec in it."""
    if text is None:
        return False
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError):
        return False
    return any(name in table for name in fields_of(ImageSpec))
