"""FAT: geometry, writing, reading."""
