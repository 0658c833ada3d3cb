"""`diskwright explain`: what a problem's code means and how to mend it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from engine.cli import exits

if TYPE_CHECKING:
    from engine.explain.table import Explanation


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `explain`."""
    parser.add_argument(
        "codes",
        nargs="*",
        metavar="CODE",
        help="code of a problem, such as esp-too-small; all codes are listed without one",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the explanations of the codes, or a line for each code there is."""
    from engine.explain.table import explanations

    known = explanations()
    unknown = [code for code in args.codes if code not in known]
    if unknown:
        raise _refused(unknown, list(known))
    chosen = [known[code] for code in args.codes] or list(known.values())
    if args.json:
        _print_json(chosen)
    elif args.codes:
        from engine.explain.manual import text

        print("\n".join(text(one) for one in chosen), end="")
    else:
        width = max(map(len, known))
        for one in chosen:
            print(f"{one.code:<{width}}  {one.means}")
    return exits.DONE


def _print_json(chosen: list[Explanation]) -> None:
    import json
    from dataclasses import asdict

    print(json.dumps({"problems": [asdict(one) for one in chosen]}, indent=2, ensure_ascii=False))


def _refused(unknown: list[str], known: list[str]) -> Exception:
    from engine.explain.table import near
    from engine.problem import Problem, Refused, quote

    def problem(word: str) -> Problem:
        hints = near(word, known)
        hint = f"did you mean {', '.join(hints)}?" if hints else "`diskwright explain` lists them"
        return Problem("no-such-code", "error", "", f"no problem has the code {quote(word)}", hint)

    return Refused([problem(word) for word in unknown])
