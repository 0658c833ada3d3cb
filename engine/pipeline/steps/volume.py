"""What is done to each volume, by its format."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from engine.disk.verity import SIGNATURE, TREE
from engine.filesystems.ext4.format import FORMATS as EXT
from engine.pipeline.steps import ext, fat, inprocess, raw, settled, squashfs, verity
from engine.pipeline.work import Work
from engine.spec.filesystems import RAW

_OWN: Mapping[str, ModuleType] = {
    **dict.fromkeys(EXT, ext),
    "vfat": fat,
    RAW: raw,
    "squashfs": squashfs,
    "xfs": settled,
    "btrfs": settled,
    **dict.fromkeys((TREE, SIGNATURE), verity),
}
"""Formats with steps of their own; all others are written in process by their `Writer`."""


async def make(work: Work) -> None:
    """Makes the empty file system at its place in the image."""
    await _steps(work).make(work)


async def populate(work: Work) -> None:
    """Writes every entry of the manifest.

    Raises:
        StepFailed: An entry cannot be written.
        SourceChanged: A source changed or cannot be read, by name.
    """
    await _steps(work).populate(work)


async def check(work: Work) -> None:
    """Checks the file system without changing it, and reads it back against the plan.

    Raises:
        StepFailed: The file system is not clean, or not the one that was planned.
        SourceChanged: A source that it is held against is no longer what was scanned.
    """
    await _steps(work).check(work)


def _steps(work: Work) -> ModuleType:
    return _OWN.get(work.filesystem.type, inprocess)
