"""From a finished image to a disk: which there are, what speaks against one, the writing."""
