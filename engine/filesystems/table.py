"""The table of file systems: one row for each format that a volume can have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.filesystems.driver import Driver
from engine.filesystems.ext4.driver import DRIVERS as EXT
from engine.filesystems.fat.driver import FatDriver
from engine.filesystems.raw.driver import TYPE as RAW
from engine.filesystems.raw.driver import RawDriver

DRIVERS: Mapping[str, Driver] = MappingProxyType({**EXT, "vfat": FatDriver(), RAW: RawDriver()})
"""By format."""
