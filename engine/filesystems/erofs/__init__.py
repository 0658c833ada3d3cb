"""EROFS, uncompressed: layout, writing, reading."""
