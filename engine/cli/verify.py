"""`diskwright verify`: holds an output folder against its sums, its manifest and its plan."""

from __future__ import annotations

import argparse

from engine.cli import exits
from engine.cli.planning import named_path


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `verify`."""
    parser.add_argument(
        "outdir", type=named_path, metavar="OUTDIR", help="output folder of a build"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the findings; 3 if one is bad."""
    from engine.cli.images import refused
    from engine.trust.verify import bad, to_json, to_text, verify

    with refused():
        findings = verify(args.outdir)
    print(to_json(findings) if args.json else to_text(findings))
    return exits.DIFFERENT if bad(findings) else exits.DONE
