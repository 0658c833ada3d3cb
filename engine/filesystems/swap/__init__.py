"""Swap space: planning, writing, reading."""
