"""What was copied out of an image, in a sentence."""

from __future__ import annotations

from engine.inspect.extract import Extracted
from engine.units import human
from tui.text import counted


def summary(found: Extracted) -> str:
    """Returns what was written, in a sentence."""
    counts = ((found.files, "file"), (found.directories, "folder"), (found.links, "link"))
    parts = [counted(number, noun) for number, noun in counts if number]
    return ", ".join([*parts, human(found.bytes)])
