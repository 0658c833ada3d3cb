"""Files out of an image: to standard output, into a folder or into an archive."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.units import sized

if TYPE_CHECKING:
    from engine.image.reading import Filesystem, Node
    from engine.inspect.extract import Extracted

Show = Callable[[int, int], None]
"""Takes entries and bytes so far."""

_WIPE = "\r\033[K"
_LINE = re.compile(r"[^\n\t]+")


def cat(filesystem: Filesystem, node: Node) -> int:
    """Writes a file to standard output: its bytes, or to a terminal what can be shown of them.

    Raises:
        Refused: It is not a regular file.
        BadImage: Its size or its map cannot be.
        BrokenPipeError: Who reads standard output has seen enough.
    """
    from engine.image.container import BadImage
    from engine.inspect.rescue import data_ranges
    from engine.problem import Problem, Refused, text

    if not stat.S_ISREG(node.mode):
        hint = "--extract copies directories" if stat.S_ISDIR(node.mode) else ""
        what = f"/{text(node.path)} is not a regular file ({stat.filemode(node.mode)})"
        raise Refused([Problem("no-file", "error", "", what, hint)])
    try:
        data_ranges(filesystem, node)
    except BadImage as error:
        raise BadImage(f"/{text(node.path)}: {error}") from error
    output = sys.stdout.buffer
    pieces = _whole(filesystem, node)
    try:
        for data in _shown(pieces) if output.isatty() else pieces:
            output.write(data)
        output.flush()
    except BadImage as error:
        output.flush()
        print(f"error: /{text(node.path)} is cut short: {error}", file=sys.stderr)
        return exits.FAILED
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"error: standard output: {error.strerror}", file=sys.stderr)
        with Path(os.devnull).open("wb") as nowhere:  # for what is still in the buffer
            os.dup2(nowhere.fileno(), output.fileno())
        return exits.FAILED
    return exits.DONE


def extract_to(filesystem: Filesystem, node: Node, dest: Path) -> int:
    """Copies a file or tree to `dest` and tells what was copied and what not.

    Raises:
        Refused: There is something at `dest`, or nothing can be made there.
    """
    from engine.cli.signals import cancellable
    from engine.inspect.extract import ExtractFailed

    try:
        with _progress() as show:
            done = cancellable(_extracted(filesystem, node, dest, show))
    except ExtractFailed as error:
        print(f"error: {error}; nothing is left there", file=sys.stderr)
        return exits.FAILED
    if done is None:
        print("cancelled: nothing is left there", file=sys.stderr)
        return exits.CANCELLED
    print(_summary(done, dest), file=sys.stderr)
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    if done.failed:
        print(f"error: entries missing or not whole: {done.failed}", file=sys.stderr)
    return exits.FAILED if done.failed else exits.DONE


async def _extracted(
    filesystem: Filesystem, node: Node, dest: Path, show: Show | None
) -> Extracted:
    """Copies in a thread; a cancel is passed on to it and waited for."""
    import asyncio
    import threading

    from engine.inspect.extract import extract

    stop = threading.Event()
    work = asyncio.ensure_future(
        asyncio.to_thread(extract, filesystem, node, dest, progress=show, cancelled=stop.is_set)
    )
    try:
        await asyncio.wait([work])  # not shield: since 3.14 that tells errors after a cancel
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([work])
        work.exception()  # seen: how the thread ended matters to nobody
        raise
    return work.result()


@contextmanager
def _progress() -> Iterator[Show | None]:
    """Yields what shows progress on a line of a terminal that is wiped at the end, or None."""
    from engine.units import human

    if not sys.stderr.isatty():
        yield None
        return

    def show(entries: int, size: int) -> None:
        print(f"{_WIPE}{entries} entries, {human(size)}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print(_WIPE, end="", file=sys.stderr, flush=True)


def _summary(done: Extracted, dest: Path) -> str:

    return (
        f"{dest}: files {done.files}, directories {done.directories}, symlinks {done.links}, "
        f"data {sized(done.bytes)}"
    )


def _whole(filesystem: Filesystem, node: Node) -> Iterator[bytes]:
    """Yields a file from its first byte to its last, holes as zeros.

    Raises:
        BadImage: It cannot be read any further.
    """
    from engine.image.container import BadImage
    from engine.image.whole import zeros

    at = 0
    try:
        for offset, data in filesystem.data(node):
            yield from zeros(offset - at)
            yield data
            at = offset + len(data)
    except OSError as error:
        raise BadImage(error.strerror) from error
    yield from zeros(node.size - at)


def _shown(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yields text with everything escaped that a terminal would act on."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    for piece in pieces:
        yield _escaped(decoder.decode(piece)).encode()
    yield _escaped(decoder.decode(b"", final=True)).encode()


def _escaped(text: str) -> str:
    from engine.problem import printable

    return _LINE.sub(lambda kept: printable(kept[0]), text)
