"""Files on their way out of an image: several places at once, all or none of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.image.reading import Filesystem, Node
from engine.inspect.extract import Extracted, extract

Wanted = Sequence[tuple[Filesystem, Node, Path]]
"""File system, file or folder in it, and the name it gets outside."""


def extract_all(
    wanted: Wanted,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> Extracted:
    """Copies out of an image; what one of several leaves behind goes if a later one fails.

    Args:
        wanted: What goes where; the image stays open meanwhile.
        progress: Takes entries and bytes so far.
        cancelled: Asked whether to stop.

    Raises:
        Refused: There is something at a destination, or nothing can be made there.
        engine.inspect.extract.ExtractFailed: A destination cannot be written.
        engine.manifest.progress.ScanCancelled: It was asked to stop; nothing is left.
    """
    done: list[Extracted] = []
    made: list[Path] = []
    entries = size = 0

    def told(more: int, bytes_more: int) -> None:
        progress(entries + more, size + bytes_more)

    try:
        for filesystem, node, dest in wanted:
            found = extract(filesystem, node, dest, progress=told, cancelled=cancelled)
            done.append(found)
            made.append(dest)
            entries += found.files + found.directories + found.links
            size += found.bytes
    except BaseException:
        for dest in made:
            _remove(dest)
        raise
    return _sum(done)


def _remove(made: Path) -> None:
    if made.is_dir() and not made.is_symlink():
        shutil.rmtree(made, ignore_errors=True)
    else:
        made.unlink(missing_ok=True)


def _sum(done: Sequence[Extracted]) -> Extracted:
    return Extracted(
        files=sum(found.files for found in done),
        directories=sum(found.directories for found in done),
        links=sum(found.links for found in done),
        bytes=sum(found.bytes for found in done),
        notes=tuple(note for found in done for note in found.notes),
        failed=sum(found.failed for found in done),
    )
