"""Many images of one description: read, planned, built side by side, built again."""
