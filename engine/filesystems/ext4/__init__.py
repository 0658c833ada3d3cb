"""The ext2/3/4 family: geometry, sizes, and the writer."""
