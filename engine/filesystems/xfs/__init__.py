"""XFS: made empty by mkfs.xfs, the same every time, and its superblock read."""
