"""What a path that somebody wants to open turns out to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.importers.model import Candidate
from engine.importers.table import find
from engine.problem import Refused
from tui.document import Document, open_document


@dataclass(frozen=True, slots=True)
class Importable:
    """A file or folder that is not a spec, and can become one.

    Attributes:
        what: What it is, in words.
        is_image: It can be looked into.
    """

    path: Path
    what: str
    is_image: bool


@dataclass(frozen=True, slots=True)
class Import:
    """A spec made of a file, and sentences on what it does not have of it."""

    document: Document
    left: tuple[str, ...]


def opened(path: Path) -> Document | Importable:
    """Opens a spec; of anything else, says what it is.

    Raises:
        Refused: It is a spec with problems, or nothing that can be opened.
    """
    try:
        return open_document(path)
    except Refused as refused:
        try:
            importer = find(Candidate(path))
        except Refused:
            raise refused from None
        if importer is None or not (path.is_file() or path.is_dir()):
            raise
        return Importable(path, importer.title, importer.key == "image")


def import_document(path: Path, environment: Mapping[str, str]) -> Import:
    """Makes a document of a file that is not a spec.

    Raises:
        Refused: It cannot be imported.
    """
    from engine.importers.table import import_file

    imported = import_file(path, environment)
    document = Document(spec=imported.spec, base=path.absolute().parent, title=f"from {path.name}")
    return Import(document, tuple(note.line() for note in imported.notes))
