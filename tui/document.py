"""The document being designed: a spec, where it lives, and whether it is saved."""

from __future__ import annotations

import difflib
import errno
import shutil
from dataclasses import dataclass
from pathlib import Path

from engine.spec.load import load
from engine.spec.model import ImageSpec
from engine.spec.save import dumps


class ChangedOnDisk(OSError):
    """Others have changed a file since it was read here."""


@dataclass(slots=True)
class Document:
    """A spec and its file.

    Attributes:
        path: Its file, or None while it has none.
        base: Folder that relative sources start from.
        text: The file as read, whose comments saving keeps.
        saved: The spec as it stands in the file, or None.
        title: What it is called while it has no file.
    """

    spec: ImageSpec
    base: Path
    path: Path | None = None
    text: str | None = None
    saved: ImageSpec | None = None
    title: str = "new image"

    @property
    def name(self) -> str:
        """What the title bar calls it."""
        return str(self.path) if self.path else self.title

    def is_saved(self, spec: ImageSpec) -> bool:
        """Whether the file holds this spec; an untouched preset has nothing to lose."""
        if self.saved is not None and self.path is not None and _is_gone(self.path):
            return False
        return spec == (self.saved if self.saved is not None else self.spec)

    def save(self, spec: ImageSpec, path: Path, *, overwrite: bool = False) -> None:
        """Writes the spec, comments and order kept where there were any.

        Args:
            spec: What to write.
            path: Where.
            overwrite: What others wrote there since it was read here may be lost.

        Raises:
            ChangedOnDisk: Others have changed the file since it was read here.
            OSError: It cannot be written; the old file is untouched.
        """
        if path == self.path and not overwrite and self._changed(path):
            raise ChangedOnDisk(errno.ESTALE, "the file changed on disk", str(path))
        text = dumps(spec, self.text)
        place = path.resolve()  # a link to the file stays one
        temporary = place.with_name(f".{place.name}.part")
        try:
            temporary.write_text(text, encoding="utf-8")
            if place.exists():
                shutil.copymode(place, temporary)
            temporary.replace(place)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self.path, self.text, self.saved, self.base = path, text, spec, path.resolve().parent

    def _changed(self, path: Path) -> bool:
        """Whether a file that is there holds something else than was read from it."""
        try:
            return self.text is not None and path.read_bytes() != self.text.encode()
        except FileNotFoundError:
            return False


def _is_gone(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        pass  # nobody can tell
    return False


def differing_lines(before: str, spec: ImageSpec, names: tuple[str, str]) -> tuple[str, ...]:
    """Returns the lines in which a spec file and a spec, written into it, differ ("+", "-").

    Args:
        before: The file's text.
        spec: What would be written.
        names: What the two are called.
    """
    try:
        after = dumps(spec, before)
    except ValueError:  # it is no TOML any more
        after = dumps(spec, None)
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, "", "", 1, "")
    return tuple(found)


def open_document(path: Path) -> Document:
    """Reads a spec file.

    Raises:
        Refused: It is not a valid spec; every problem is in it.
    """
    loaded = load(path)
    return Document(
        spec=loaded.spec,
        base=loaded.base,
        path=loaded.path,
        text=loaded.text,
        saved=loaded.spec,
    )
