"""Autosave and resume: the spec outlives a crash, a lost terminal, a power cut.

One file for each running wizard, named by its process, replaced whole; a clean end removes it.
A file is renamed before it is opened, so a spec that brings the wizard down does so once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import platformdirs

from engine.spec.model import ImageSpec
from tui.document import Document
from tui.fields import DEFAULT_OUTDIR

SESSION_SCHEMA = 1
_REPLAYED = ".replayed"
# ValueError is for what is not UTF-8.
_UNREADABLE = (OSError, ValueError, RecursionError, msgspec.MsgspecError)


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a session."""

    schema: int = SESSION_SCHEMA
    time: float = 0.0
    title: str = ""
    path: str | None = None
    base: str = "."
    step: str = "layout"
    outdir: str = DEFAULT_OUTDIR
    spec: ImageSpec = ImageSpec()


@dataclass(frozen=True, slots=True)
class UnfinishedSession:
    """A session that did not end cleanly."""

    file: Path
    saved: Saved

    @property
    def name(self) -> str:
        """What was being designed."""
        return self.saved.path or self.saved.title


def state_folder() -> Path:
    """Returns where sessions and reports are kept."""
    return Path(platformdirs.user_state_path("diskwright"))


class Session:
    """The session file of this process."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        pid: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = state_folder() if folder is None else folder
        self.file = self.folder / f"session-{os.getpid() if pid is None else pid}.json"
        self._clock = clock

    def keep(self, document: Document, spec: ImageSpec, step: str, outdir: str) -> bool:
        """Writes the session; whether that worked (a full disk must not stop the work)."""
        saved = Saved(
            time=self._clock(),
            title=document.title,
            path=None if document.path is None else str(document.path),
            base=str(document.base),
            step=step,
            outdir=outdir,
            spec=spec,
        )
        temporary = self.file.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_bytes(msgspec.json.encode(saved))
            temporary.replace(self.file)
        except (OSError, UnicodeEncodeError):  # a path that JSON cannot hold
            return False
        return True

    def end(self) -> None:
        """Removes the session: it ended cleanly."""
        with suppress(OSError):
            self.file.unlink(missing_ok=True)

    def unfinished_of(self, document: Document) -> list[UnfinishedSession]:
        """Returns those of `unfinished` that have other things in a document's file than it has."""
        if document.path is None:
            return []
        place = document.base / document.path.name
        return [
            found
            for found in self.unfinished()
            if found.saved.path is not None
            and Path(found.saved.base) / Path(found.saved.path).name == place
            and found.saved.spec != document.spec
        ]

    def unfinished(self) -> list[UnfinishedSession]:
        """Returns sessions whose process is gone, the newest first.

        What cannot be read, or was written by a newer Diskwright, is left alone.
        """
        found = []
        try:
            files = sorted(self.folder.glob("session-*.json"))
        except OSError:
            return []
        for file in files:
            pid = file.stem.partition("-")[2]
            if file == self.file or not pid.isdigit() or _alive(int(pid)):
                continue
            try:
                saved = msgspec.json.decode(file.read_bytes(), type=Saved)
            except _UNREADABLE:
                continue
            if saved.schema == SESSION_SCHEMA:
                found.append(UnfinishedSession(file, saved))
        return sorted(found, key=lambda item: -item.saved.time)


def resume(found: UnfinishedSession) -> Document:
    """Takes a session over; its file is renamed first.

    Raises:
        OSError: Another process took it.
    """
    found.file.replace(found.file.with_suffix(f".json{_REPLAYED}"))
    saved = found.saved
    path = None if saved.path is None else Path(saved.path)
    return Document(
        spec=saved.spec,
        base=Path(saved.base),
        path=path,
        text=None if path is None else _text(path),
        saved=ImageSpec(),
        title=saved.title,
    )


def _text(path: Path) -> str | None:
    """Returns what a spec file holds, whose comments saving keeps; None if not a text."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def discard(found: UnfinishedSession) -> None:
    """Forgets a session."""
    with suppress(OSError):
        found.file.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
