"""What the start page offers: presets, recent specs and images, unsaved work. Knows no screen."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.problem import Refused
from engine.spec.resolve import resolve
from engine.spec.starters import STARTERS
from engine.units import human
from tui.config import Config
from tui.document import open_document
from tui.proofs import badge, proofs_of
from tui.session import UnfinishedSession
from tui.text import visible

Kind = Literal["resume", "preset", "recent", "built", "open", "image", "compare"]
_DAY = 24 * 3600
_AGES = ((60, 60, "min"), (3600, 48, "h"), (_DAY, 60, "days"))
"""Seconds of a unit, how many of them are told in it, and its name."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A line of the page.

    Attributes:
        kind: What it does.
        key: What it names: a preset, a path, a session's file.
        title: Its safe text.
        roles: Of the volumes to draw, in disk order; None where there is nothing to draw.
        note: Size and age, or what is proved.
    """

    kind: Kind
    key: str
    title: str
    roles: tuple[str, ...] | None = None
    note: str = ""

    @property
    def id(self) -> str:
        """Unique on the page."""
        return f"{self.kind}:{self.key}"


Group = tuple[str, tuple[Offer, ...]]


class StartSession:
    """The offers of one look at the start page.

    Attributes:
        folder: The current one.
    """

    def __init__(
        self, folder: Path, config: Config, found: Sequence[UnfinishedSession], now: float
    ) -> None:
        self.folder = folder
        self.unfinished = {str(item.file): item for item in found}
        self._specs = [path for path in map(Path, config.recent) if path.is_file()]
        self._images = [path for path in map(Path, config.images) if path.is_file()]
        self._sizes, self._now = dict(config.sizes), now

    def groups(self, *, read: bool = False) -> tuple[Group, ...]:
        """Returns headings and offers; with `read`, what has to be read from files as well."""
        specs = tuple(self._spec(path, read=read) for path in self._specs)
        images = tuple(self._image(path, read=read) for path in self._images)
        groups: tuple[Group, ...] = (
            ("Unsaved work", tuple(self._resumes())),
            ("New image", tuple(self._presets())),
            ("Recent specs", specs),
            ("Recent images", images),
            ("Existing files", (
                Offer("open", "", "Open a file..."),
                Offer("image", "", "Look into an image..."),
                Offer("compare", "", "Compare two images..."),
            )),
        )  # fmt: skip
        return tuple(group for group in groups if group[1])

    def _resumes(self) -> list[Offer]:
        return [
            Offer("resume", key, visible(f"Resume {item.name}"))
            for key, item in self.unfinished.items()
        ]

    def _presets(self) -> list[Offer]:
        return [
            Offer("preset", key, starter.title, _roles(starter.spec, self.folder))
            for key, starter in STARTERS.items()
        ]

    def _spec(self, path: Path, *, read: bool) -> Offer:
        offer = Offer("recent", str(path), self.shown(path))
        if not read:
            return offer
        size = self._sizes.get(str(path))
        notes = [human(size)] if size is not None else []
        try:
            notes.append(age(self._now - path.stat().st_mtime))
            roles = _roles(open_document(path).spec, path.parent)
        except (Refused, OSError):
            return Offer("recent", str(path), self.shown(path), None, "cannot be read as it is")
        return Offer("recent", str(path), self.shown(path), roles, ", ".join(notes))

    def _image(self, path: Path, *, read: bool) -> Offer:
        offer = Offer("built", str(path), self.shown(path))
        if not read:
            return offer
        try:
            status = path.stat()
        except OSError:
            return offer
        notes = [human(status.st_size), age(self._now - status.st_mtime), badge(proofs_of(path))]
        return Offer("built", str(path), offer.title, None, ", ".join(filter(None, notes)))

    def shown(self, path: Path) -> str:
        """Returns a path as short as it can be: from here, or from home."""
        for start, sign in ((self.folder, ""), (Path.home(), "~/")):
            if path.is_relative_to(start):
                return visible(f"{sign}{path.relative_to(start)}")
        return visible(os.fspath(path))


def _roles(spec: object, folder: Path) -> tuple[str, ...]:
    settings, _problems = resolve(spec, folder, {})  # type: ignore[arg-type]
    if settings.scheme == "none":
        return ()
    return tuple(volume.role for volume in settings.volumes if volume.partitioned)


def age(seconds: float) -> str:
    """Returns how long ago something was, in words; a date beyond two months."""
    if seconds < 60:
        return "just now"
    for unit, most, name in _AGES:
        if seconds < unit * most:
            return f"{int(seconds // unit)} {name} ago"
    return time.strftime("%Y-%m-%d", time.localtime(time.time() - seconds))
