"""`python -m tui [SPEC.toml]` opens the wizard."""

from __future__ import annotations

import sys
from pathlib import Path

from tui.launch import run

if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
