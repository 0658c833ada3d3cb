"""`diskwright diff`: what differs between two images, from table fields to single bytes."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from engine.cli import exits
from engine.cli.planning import named_path
from engine.units import in_bytes

if TYPE_CHECKING:
    from engine.compare.diff import Comparison

_SHOWN_RANGES = 40


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `diff`."""
    parser.add_argument("image_a", metavar="IMAGE_A", type=named_path)
    parser.add_argument("image_b", metavar="IMAGE_B", type=named_path)
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the differences; 3 if there are any."""
    import json

    from engine.cli.images import no_texts, refused
    from engine.compare.diff import compare

    with refused():
        no_texts(args.image_a, args.image_b)
        found = compare(args.image_a, args.image_b)
    if args.json:
        print(json.dumps(to_json(found), indent=1))
    else:
        print(to_text(found))
    for note in found.notes:
        print(f"warning: {note}", file=sys.stderr)
    return exits.DONE if found.identical else exits.DIFFERENT


def to_json(found: Comparison) -> dict[str, Any]:
    """Returns a comparison as `diff --json` prints it."""
    return {
        "schema": 1,
        "identical": found.identical,
        "differing_bytes": found.bytes,
        "fields": [
            {"kind": d.kind, "where": d.where, "a": d.a, "b": d.b} for d in found.fields
        ],
        "ranges": [
            {"start": r.start, "end": r.end, "a": r.a, "b": r.b} for r in found.ranges
        ],
        "more_ranges": found.cut,
        "notes": list(found.notes),
    }  # fmt: skip


def to_text(found: Comparison) -> str:
    """Returns a comparison for a terminal."""
    if found.identical:
        return "the two disks are identical, bit for bit"
    lines = [f"{d.where}: {d.a or '-'} | {d.b or '-'}" for d in found.fields]
    lines += ["", f"{in_bytes(found.bytes)} differ:"] if found.ranges else []
    for piece in found.ranges[:_SHOWN_RANGES]:
        where = piece.a if piece.a == piece.b else f"{piece.a} | {piece.b}"
        lines.append(f"  {piece.start}..{piece.end - 1} ({piece.end - piece.start}): {where}")
    hidden = len(found.ranges) - _SHOWN_RANGES
    if hidden > 0:
        lines.append(f"  and {hidden} more ranges; --json lists them")
    if found.cut:
        lines.append(f"  and {found.cut} more ranges that are only counted")
    return "\n".join(lines)
