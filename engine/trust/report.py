"""A check's report as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.compare.diff import Comparison
from engine.trust.check import Report
from engine.units import sized

SCHEMA = 1


def to_json(report: Report, difference: Callable[[Comparison], dict[str, Any]]) -> dict[str, Any]:
    """Returns the report as `check --json` prints it.

    Args:
        report: The report.
        difference: How `diff --json` shows a comparison.
    """
    return {
        "schema": SCHEMA,
        "identical": report.identical,
        "seconds": {name: round(value, 2) for name, value in report.seconds.items()},
        "conditions": [
            {"what": row.what, "first": row.first, "second": row.second or None, "why": row.why}
            for row in report.rows
        ],
        "outputs": [
            {
                "path": output.name,
                "bytes": output.bytes,
                "identical": output.identical,
                output.kind: [output.first or None, output.second or None],
            }
            for output in report.outputs
        ],
        "difference": None if report.difference is None else difference(report.difference),
        "not_repeatable": list(report.foretold),
        "kept": {name: str(path) for name, path in report.kept.items()},
    }


def to_text(report: Report, difference: Callable[[Comparison], str]) -> str:
    """Returns the report for a terminal."""
    width = max(len(row.what) for row in report.rows)
    lines = ["the second build had another:"]
    lines += [
        f"  {row.what:<{width}}  {row.first} -> {row.second}" for row in report.rows if row.second
    ]
    same = [row for row in report.rows if not row.second or row.why]
    if same:
        lines += ["", "not changed:"]
        lines += [f"  {row.what:<{width}}  {row.why}" for row in same]
    lines.append("")
    for output in report.outputs:
        verdict = "identical" if output.identical else "DIFFERS"
        lines.append(f"{verdict}  {output.name}  {sized(output.bytes)}")
        sums = (output.first,) if output.identical else (output.first, output.second)
        lines += [f"  {output.kind} {text or '(not made)'}" for text in sums]
    if report.foretold:
        lines += ["", "as the plan says:", *(f"  {text}" for text in report.foretold)]
    if report.difference is not None:
        lines += ["", difference(report.difference)]
    times = ", ".join(f"{name} {value:.1f} s" for name, value in report.seconds.items())
    lines += ["", f"{_verdict(report)} ({times})"]
    lines += [f"{name} build kept in {path}" for name, path in report.kept.items()]
    return "\n".join(lines)


def _verdict(report: Report) -> str:
    count = len(report.outputs)
    noun = "output is" if count == 1 else f"{count} outputs are"
    if report.identical:
        return f"reproducible: the {noun} the same, bit for bit"
    changed = sum(not output.identical for output in report.outputs)
    return f"NOT reproducible: {changed} of {count} outputs differ"
