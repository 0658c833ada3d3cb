"""Btrfs: made empty by mkfs.btrfs, the same every time; filled by a kernel; its superblock read."""
