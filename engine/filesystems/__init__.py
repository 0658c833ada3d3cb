"""One folder for each file system."""
