"""The plan and the bytes of small images of every layout, as they were when they were recorded."""
