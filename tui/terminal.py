"""What terminals send, where Textual reads it otherwise than we need."""

from __future__ import annotations

from typing import Any, cast

from textual import _ansi_sequences


def read_alt_digits() -> None:
    """Lets Alt with a digit be that.

    xterm, VTE, tmux and screen send Escape and the digit. Textual reads this as what a Mac's Option
    key types with it, so that Alt+4 would write a cent sign; without that entry it falls back to
    `alt+4`.
    """
    sequences = cast("dict[str, Any]", _ansi_sequences.ANSI_SEQUENCES_KEYS)
    for digit in "0123456789":
        sequences.pop(f"\x1b{digit}", None)
