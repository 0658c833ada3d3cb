"""An image being looked at: opened, read, copied from, made a spec of. Knows no screen.

Its methods read the file and so belong on a thread, except where they say otherwise; what cannot
be read comes as `Unreadable`, in words.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from engine.image.container import BadImage
from engine.image.mounted import MountedView
from engine.image.reading import Filesystem, Node, contents
from engine.importers.files import extract_all
from engine.importers.image import is_unknown, take, unknown_why, with_archives
from engine.importers.model import IsCancelled, OnProgress, free_name
from engine.inspect.extract import Extracted
from engine.inspect.image import open_image
from engine.units import in_bytes
from tui.document import Document
from tui.excerpt import MOST_BYTES
from tui.image_summary import ImageSummary, summarize
from tui.shared_image import SharedImage
from tui.text import reason, visible

LONGEST = 2000
"""Names listed of one folder."""


class Unreadable(Exception):
    """Something cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder in one of the image's file systems."""

    part: str
    filesystem: Filesystem
    node: Node

    @property
    def name(self) -> str:
        """What to call it, as safe text."""
        path = visible(self.node.path)
        return f"/{path}" if path else f"all of {self.part}"

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.node.mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.node.mode)

    @property
    def words(self) -> str:
        """Its path, mode, owner and size."""
        node = self.node
        mode = stat.filemode(node.mode)
        return f"/{visible(node.path)}\n{mode} {node.uid}:{node.gid}  {in_bytes(node.size)}"


@dataclass(frozen=True, slots=True)
class Part:
    """A file system of the image; `top` is None where its topmost folder cannot be read.

    Attributes:
        likely: Its files are the ones that are likeliest wanted.
    """

    label: str
    top: Place | None
    likely: bool


class ImageSession:
    """One image at hand.

    Attributes:
        path: Of its file.
        summary: What it holds, once it is read.
        parts: Its file systems, once it is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.summary: ImageSummary | None = None
        self.parts: tuple[Part, ...] = ()
        self._shared: SharedImage | None = None
        self._is_left = False

    def open(self) -> ImageSummary:
        """Opens and reads the image, on a thread that may outlive whoever wanted it.

        Raises:
            Unreadable: It is not an image, or a damaged one.
        """
        with _in_words():
            self._shared = shared = SharedImage(open_image(self.path))
            if self._is_left:
                shared.close()
            with shared as image:
                if is_unknown(image):
                    raise BadImage(f"it {unknown_why(image)}")
                summary = summarize(image)
                found = [
                    (f"{part.name}, {part.filesystem.type} {part.filesystem.label}".rstrip(),
                     part.filesystem, _top(part.name, part.filesystem))
                    for part in image.parts if part.filesystem is not None
                ]  # fmt: skip
        likely = summary.takeover.filesystems.get("root") or (found[0][1] if found else None)
        if isinstance(likely, MountedView):
            likely = likely.stored
        self.parts = tuple(
            Part(visible(label), top, filesystem is likely) for label, filesystem, top in found
        )
        self.summary = summary
        return summary

    def close(self) -> None:
        """Lets go of the file as soon as nobody reads it; may be called anywhere."""
        self._is_left = True
        if self._shared is not None:
            self._shared.close()

    # ------------------------------------------------------------------ files

    def children(self, place: Place) -> list[Place]:
        """Returns what is in a folder, `LONGEST` names at most.

        Raises:
            Unreadable: The folder is damaged.
        """
        with _in_words(), self._open:
            nodes = islice(place.filesystem.children(place.node), LONGEST)
            return [Place(place.part, place.filesystem, node) for node in nodes]

    def beginning(self, place: Place) -> bytes:
        """Returns the first bytes of a file, as many as are shown.

        Raises:
            Unreadable: The file is damaged.
        """
        with _in_words(), self._open:
            return contents(place.filesystem, place.node, MOST_BYTES)

    def proposed(self, place: Place) -> str:
        """Returns the name that what is extracted gets unless the user says otherwise."""
        if place.node.path:
            return visible(place.node.name)
        stem = visible(self.path.name).partition(".")[0] or "image"
        return free_name(Path.cwd(), f"{stem}-{place.part.replace(' ', '-')}").name

    def extract(
        self, wanted: list[tuple[Place, Path]], progress: OnProgress, cancelled: IsCancelled
    ) -> Extracted:
        """Writes places to disk, as `engine.importers.files.extract_all` does."""
        with self._open:
            places = [(place.filesystem, place.node, dest) for place, dest in wanted]
            return extract_all(places, progress, cancelled)

    @property
    def _open(self) -> SharedImage:
        assert self._shared is not None
        return self._shared

    # ------------------------------------------------------------------ a spec

    def take(
        self, dests: Mapping[str, Path], progress: OnProgress, cancelled: IsCancelled
    ) -> Extracted:
        """Writes what comes along into a spec, as `engine.importers.image.take` does."""
        assert self.summary is not None
        with self._open:
            return take(self.summary.takeover, dests, progress, cancelled)

    def document(self, archives: Mapping[str, Path]) -> Document:
        """Returns the beginning of a design like this image.

        Args:
            archives: Where what comes along was written to, by volume.
        """
        assert self.summary is not None
        folder = next((dest.parent for dest in archives.values()), self.path.resolve().parent)
        sources = {name: dest.name for name, dest in archives.items()}
        spec = with_archives(self.summary.spec, sources)
        return Document(spec=spec, base=folder, title=f"like {self.path.name}")


def _top(part: str, filesystem: Filesystem) -> Place | None:
    try:
        node = filesystem.lookup(b"")
    except (BadImage, struct.error):
        return None
    return None if node is None else Place(part, filesystem, node)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (BadImage, struct.error, OSError) as error:
        raise Unreadable(reason(error)) from error
