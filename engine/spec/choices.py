"""The values that keys of a spec take, where they are few."""

from __future__ import annotations

from engine.spec.filesystems import FILESYSTEMS
from engine.spec.rules import RULES

COMPATS = tuple(RULES)
FSTABS = ("auto", "write", "keep")
VOLUME_FORMATS = tuple(row.key for row in FILESYSTEMS.values() if not row.layer)
VOLUME_COMPRESSIONS = (
    "", "none", *dict.fromkeys(each for row in FILESYSTEMS.values() for each in row.compressions),
)  # fmt: skip
SECTOR_SIZES = (512, 4096)
CONTENT_PARTITIONS = ("root", "esp")
COMPRESSIONS = ("none", "zst", "xz", "gz")
SUMS = ("auto", "sha256", "fsverity", "none")
