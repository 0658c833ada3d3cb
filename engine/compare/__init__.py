"""How two images differ: from the partition table's fields to the last unallocated byte."""
