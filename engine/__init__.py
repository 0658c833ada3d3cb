"""Diskwright's engine: from a spec to a verified disk image. Knows no user interface."""

__version__ = "0.1.0"
