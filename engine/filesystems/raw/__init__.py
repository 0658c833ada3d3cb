"""Raw bytes of a file."""
