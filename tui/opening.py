"""What a path that somebody wants to open turns out to be."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from engine.fleet.read import is_fleet
from engine.importers.model import Candidate
from engine.importers.table import find
from engine.manifest.archive import holds_tar, is_archive
from engine.manifest.oci.recognise import is_image_archive, is_image_folder
from engine.problem import Problem, Refused
from engine.spec.model import Content
from engine.spec.starters import STARTERS
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
class Fleet:
    """A description of many images."""

    path: Path


@dataclass(frozen=True, slots=True)
class Sources:
    """Folders and archives: the contents of a new image.

    Attributes:
        name: What to call the image.
        contents: An entry for each, its source absolute.
    """

    name: str
    contents: tuple[Content, ...]

    def document(self, base: Path) -> Document:
        """Returns a UEFI disk with them in it, for whoever works in the folder `base`."""
        entries = tuple(replace(one, source=_from(base, one.source)) for one in self.contents)
        spec = replace(STARTERS["uefi-disk"].spec, name=self.name, contents=entries)
        title = f"from {self.contents[0].source.rstrip('/')}"
        return Document(spec=spec, base=base, title=title)


@dataclass(frozen=True, slots=True)
class Import:
    """A spec made of a file, and sentences on what it does not have of it."""

    document: Document
    left: tuple[str, ...]


def opened(path: Path) -> Document | Importable | Sources | Fleet:
    """Opens a spec; of anything else, says what it is.

    Raises:
        Refused: It is a spec with problems, or nothing that can be opened.
    """
    try:
        return open_document(path)
    except Refused as refused:
        if path.is_file() and is_fleet(path):
            return Fleet(path)
        if not path.is_dir() and (archive := _sources(path)) is not None:
            return archive
        try:
            importer = find(Candidate(path))
        except Refused:
            raise refused from None
        if importer is not None and (path.is_file() or path.is_dir()):
            return Importable(path, importer.title, importer.key == "image")
        sources = _sources(path)
        if sources is None:
            raise
        return sources


def opened_all(paths: Sequence[Path]) -> Document | Importable | Sources | Fleet:
    """Opens what several paths name: folders and archives together become one image.

    Raises:
        Refused: As `opened`; or they are several things of other kinds.
    """
    found = [opened(path) for path in paths]
    if len(found) == 1:
        return found[0]
    several = [one for one in found if isinstance(one, Sources)]
    if len(several) == len(found):
        return Sources(several[0].name, tuple(one for each in several for one in each.contents))
    message = "several paths can only be folders and archives, the contents of one image"
    raise Refused([Problem("several-paths", "error", "", message, "open one after the other")])


def _sources(path: Path) -> Sources | None:
    """Returns a folder or an archive as contents; None where it is neither."""
    raw = os.fsencode(path)
    source = str(path.absolute())
    stem = re.sub(r"\.(tar|tgz|txz|oci)?(\.\w+)?$", "", path.name)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "disk"
    if path.is_dir():
        if is_image_folder(raw):
            return Sources(name, (Content(source=source, target="/", extract="oci"),))
        return Sources(name, (Content(source=f"{source}/", target="/"),))
    if path.is_file() and is_archive(raw):
        if not holds_tar(raw):
            message = f"{path} is compressed, and not an archive"
            hint = "unpack it first; a disk image goes to a disk as it is: diskwright flash"
            raise Refused([Problem("compressed-file", "error", "", message, hint)])
        extract: bool | str = "oci" if is_image_archive(raw) else True
        return Sources(name, (Content(source=source, target="/", extract=extract),))
    return None


def _from(base: Path, source: str) -> str:
    """Returns a source as it is written in a spec of a folder: relative where it is below it."""
    path = Path(source)
    if not path.is_relative_to(base) or path == base:
        return source
    return str(path.relative_to(base)) + ("/" if source.endswith("/") else "")


def import_document(path: Path, environment: Mapping[str, str]) -> Import:
    """Makes a document of a file that is not a spec.

    Raises:
        Refused: It cannot be imported.
    """
    from engine.importers.table import import_file

    imported = import_file(path, environment)
    document = Document(spec=imported.spec, base=path.absolute().parent, title=f"from {path.name}")
    return Import(document, tuple(note.line() for note in imported.notes))
