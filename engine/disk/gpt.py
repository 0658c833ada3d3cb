"""Where a GUID partition table lies, by logical sector size.

Source: UEFI specification, section 5.3: protective MBR in sector 0, header in sector 1, then an
array of 128 entries of 128 bytes; the same array and a header once more at the end of the disk.
"""

from __future__ import annotations

ENTRIES = 128
_ARRAY_BYTES = ENTRIES * 128

SECTOR_SIZES = (512, 4096)
BACKUP_SECTORS = {size: _ARRAY_BYTES // size + 1 for size in SECTOR_SIZES}
"""Sectors of the copy at the end: 33 of 512 bytes, 5 of 4096."""
FIRST_USABLE = {size: _ARRAY_BYTES // size + 2 for size in SECTOR_SIZES}
"""First sector that a partition may have: 34 of 512 bytes, 6 of 4096."""
