"""XFS: made empty by mkfs.xfs, the same every time; filled by a kernel; its superblock read."""
