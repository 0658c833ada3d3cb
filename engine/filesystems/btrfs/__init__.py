"""Btrfs: made empty by mkfs.btrfs, the same every time, and its superblock read."""
