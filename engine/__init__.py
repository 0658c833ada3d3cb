"""Diskwright's engine: from a spec to a verified disk image. Knows no user interface.

`diskwright.py` is its public surface.
"""

__version__ = "0.1.0"
RELEASED = "2026-11-27"
"""The day of that version, as CHANGELOG.md has it."""
