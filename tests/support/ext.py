"""What e2fsprogs say of an ext file system that lies somewhere in an image.

From 1.47.2 on, dumpe2fs takes no `IMAGE?offset=N`; debugfs and e2fsck of every version do.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.tools import run_tool

_CHUNK = 1 << 20


def place(image: Path | str, offset: int) -> str:
    """Returns a file system's place as e2fsck and debugfs take it; `offset` is in bytes."""
    return f"{image}?offset={offset}" if offset else str(image)


def stats(image: Path | str, offset: int = 0, *, groups: bool = False) -> str:
    """Returns the superblock's fields as debugfs prints them, on demand with those of the groups.

    Raises:
        CalledProcessError: debugfs finds no file system there.
    """
    return _debugfs(image, offset, "stats" if groups else "stats -h")


def superblock(image: Path | str, offset: int = 0) -> dict[str, str]:
    """Returns the superblock's fields by name; raises like `stats`."""
    found = dict(re.findall(r"^([^:\n]+):[ \t]+(.*)$", stats(image, offset), re.MULTILINE))
    assert found, f"debugfs prints nothing of {place(image, offset)}"
    return found


def inode_size(image: Path, offset: int, number: int) -> int:
    """Returns the bytes that an inode says it has, whether it is in use or not."""
    found = re.search(
        r"^User:.* Size: (\d+)$", _debugfs(image, offset, f"stat <{number}>"), re.MULTILINE
    )
    assert found, f"debugfs prints no size of inode {number}"
    return int(found[1])


def dumped(image: Path, offset: int, scratch: Path) -> str:
    """Returns what dumpe2fs prints of a file system, copied out to `scratch` with its holes."""
    with image.open("rb") as source, scratch.open("wb") as copy:
        size = source.seek(0, os.SEEK_END) - offset
        copy.truncate(size)
        for start, end in _data(source.fileno(), offset):
            source.seek(start)
            copy.seek(start - offset)
            for at in range(start, end, _CHUNK):
                copy.write(source.read(min(_CHUNK, end - at)))
    shown = run_tool(("dumpe2fs", scratch), capture_output=True, text=True, check=True)
    scratch.unlink()
    return str(shown.stdout)


def _data(file: int, start: int) -> Iterator[tuple[int, int]]:
    """Yields start and end of every piece that is not a hole, from a place on."""
    while True:
        try:
            start = os.lseek(file, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole follows
                return
            raise
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end
        start = end


def _debugfs(image: Path | str, offset: int, command: str) -> str:
    shown = run_tool(
        ("debugfs", "-R", command, place(image, offset)), capture_output=True, text=True, check=True
    )
    return str(shown.stdout)
