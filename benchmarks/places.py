"""Folders that a user of a benchmark names."""

from __future__ import annotations

import argparse
from pathlib import Path


def made(text: str) -> Path:
    """Returns a folder, which is made if it is missing; for argparse."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be made: {error.strerror}") from None
    return path


def existing(text: str) -> Path:
    """Returns a folder that is there; for argparse."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path
