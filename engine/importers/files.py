"""Files on their way out of an image: several places at once, all or none of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from engine.image.reading import Filesystem, Node, Window
from engine.inspect.extract import Extracted, ExtractFailed, extract
from engine.manifest.progress import ScanCancelled
from engine.problem import Problem, Refused
from engine.units import MIB

Wanted = Sequence[tuple[Filesystem, Node, Path]]
"""File system, file or folder in it, and the name it gets outside."""


def extract_all(
    wanted: Wanted,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
    copies: Sequence[tuple[Window, Path]] = (),
) -> Extracted:
    """Copies out of an image; what one of several leaves behind goes if a later one fails.

    Args:
        wanted: What goes where; the image stays open meanwhile.
        progress: Takes entries and bytes so far.
        cancelled: Asked whether to stop.
        copies: Bytes of the image, and the file that each become.

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
        for window, dest in copies:
            _copy(window, dest, made, partial(told, 0), cancelled)
            done.append(Extracted(1, 0, 0, window.size, (), 0))
            entries, size = entries + 1, size + window.size
    except BaseException:
        for dest in made:
            _remove(dest)
        raise
    return _sum(done)


def _copy(
    window: Window,
    dest: Path,
    made: list[Path],
    told: Callable[[int], None],
    cancelled: Callable[[], bool],
) -> None:
    """Copies bytes into a new file, in which zeros take no space; it is among `made` then."""
    try:
        with dest.open("xb") as stream:
            made.append(dest)
            for at in range(0, window.size, MIB):
                if cancelled():
                    raise ScanCancelled
                chunk = window.read(at, min(MIB, window.size - at))
                if chunk.strip(b"\0"):
                    stream.seek(at)
                    stream.write(chunk)
                told(at + len(chunk))
            stream.truncate(window.size)
    except FileExistsError:
        raise Refused([Problem("file-exists", "error", "", f"{dest} exists")]) from None
    except OSError as error:
        raise ExtractFailed(f"{dest} cannot be written: {error.strerror}") from None


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
