"""What an importer is given, and what it makes of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.problem import Problem, Refused
from engine.spec.model import ImageSpec

if TYPE_CHECKING:
    from engine.inspect.extract import Extracted

MOST_TEXT_BYTES = 16 << 20
"""A text beyond this is not one that somebody wrote."""
HEAD_BYTES = 64 << 10
"""As much as is looked at to tell texts from images."""


class Candidate:
    """A file or folder that is to be imported; read when it is asked for.

    Attributes:
        path: Where it is.
        root: The tree of files that its tool would be run on, where that is known.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self.path, self.root = path, root

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path.is_dir()

    @cached_property
    def head(self) -> bytes:
        """Its first bytes, b"" for a folder.

        Raises:
            Refused: It cannot be read.
        """
        return b"" if self.is_folder else self._read(HEAD_BYTES)

    @cached_property
    def text(self) -> str | None:
        """All of it, where it is a text of a bearable size; else None.

        Raises:
            Refused: It cannot be read.
        """
        if self.is_folder or b"\0" in self.head:
            return None
        data = self._read(MOST_TEXT_BYTES + 1)
        if len(data) > MOST_TEXT_BYTES:
            return None
        try:
            return data.decode()
        except UnicodeDecodeError:
            return None

    def _read(self, size: int) -> bytes:
        try:
            with self.path.open("rb") as stream:
                return stream.read(size)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise refused(f"{self.path} cannot be read: {reason}") from None


@dataclass(frozen=True, slots=True)
class Imported:
    """A spec made of something else.

    Attributes:
        spec: What could be carried over.
        notes: What could not, a sentence each, with its line where it has one.
        files: What can come along: suffixes of the files that it becomes, by the id of its volume.
    """

    spec: ImageSpec
    notes: tuple[Problem, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


OnProgress = Callable[[int, int], None]
IsCancelled = Callable[[], bool]


class ImporterModule(Protocol):
    """What the module of an importer offers."""

    def recognise(self, candidate: Candidate) -> bool:
        """Whether this importer is for it, by its content alone."""

    def read(self, candidate: Candidate, environment: Mapping[str, str]) -> Imported:
        """Makes a spec of it.

        Raises:
            Refused: With all that is wrong with it.
        """


class BringsFiles(ImporterModule, Protocol):
    """The module of an importer whose `Imported.files` is not empty."""

    def write_files(
        self,
        candidate: Candidate,
        archives: Mapping[str, Path],
        progress: OnProgress,
        cancelled: IsCancelled,
    ) -> Extracted:
        """Writes the files of volumes to archives and raw bytes to files, all or none of them.

        Raises:
            Refused: There is something at a destination, or nothing can be made there.
            engine.inspect.extract.ExtractFailed: A destination cannot be written.
            engine.manifest.progress.ScanCancelled: It was asked to stop; nothing is left.
        """


def refused(message: str, hint: str = "") -> Refused:
    """Returns the refusal of a whole file."""
    return Refused([Problem("import-failed", "error", "", message, hint)])


def not_carried(message: str, hint: str = "") -> Problem:
    """Returns a note on what a spec does not have a place for."""
    return Problem("not-carried-over", "warning", "", message, hint)


def free_archives(folder: Path, stem: str, files: Mapping[str, str]) -> dict[str, Path]:
    """Returns where each of `Imported.files` can go: names that are not there yet."""
    return {name: free_name(folder, f"{stem}-{name}", files[name]) for name in files}


def free_name(folder: Path, stem: str, suffix: str = "tar") -> Path:
    """Returns where a file can go: `STEM.SUFFIX`, or with a number if that is there."""
    path, number = folder / f"{stem}.{suffix}", 2
    while os.path.lexists(path):
        path, number = folder / f"{stem}-{number}.{suffix}", number + 1
    return path
