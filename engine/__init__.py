"""Diskwright's engine: from a spec to a verified disk image. Knows no user interface.

`diskwright.py` is its public surface.
"""

__version__ = "0.1.0"
