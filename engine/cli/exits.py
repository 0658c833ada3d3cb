"""Exit codes of the command line."""

from __future__ import annotations

DONE = 0
FAILED = 1
REFUSED = 2
DIFFERENT = 3
NOT_SEEN = 4
INTERNAL = 70
"""EX_SOFTWARE of sysexits(3): a fault of Diskwright itself."""
CANCELLED = 130
