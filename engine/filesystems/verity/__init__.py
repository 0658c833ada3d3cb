"""dm-verity: the hash tree of a volume, written and read."""
