"""How filling a file system ends when it does not succeed."""

from __future__ import annotations

import os

from engine.manifest.entry import Entry


class PopulateFailed(Exception):
    """The file system cannot take the manifest; the message is for a person to read."""


class Cancelled(Exception):
    """The caller asked to stop; the image is incomplete."""


def refuse(entry: Entry, reason: str) -> PopulateFailed:
    """Returns the failure of one entry, named as in the image and as at its origin."""
    origin = f" (from {entry.source.describe(entry)})" if entry.source else ""
    return PopulateFailed(f"/{os.fsdecode(entry.path)}{origin}: {reason}")
