"""Problems on a terminal: a line each, and where to read more."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engine.problem import Problem, errors

_NAMED = 3


def show_problems(problems: Sequence[Problem]) -> None:
    """Prints problems on standard error; below errors, the command that explains them."""
    for problem in problems:
        print(f"{problem.severity}: {problem.line()}", file=sys.stderr)
    codes = list(dict.fromkeys(problem.code for problem in errors(problems)))[:_NAMED]
    if codes:
        print(f"more: diskwright explain {' '.join(codes)}", file=sys.stderr)
