"""The plan of a fleet as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.fleet.model import Wrong
from engine.fleet.plan import FleetPlan, RowPlan
from engine.plan.as_json import problems_to_json
from engine.plan.tables import columns
from engine.units import counted, human, sized

SCHEMA = 1
_MOST_NAMES = 3


def to_text(plan: FleetPlan) -> str:
    """Returns the table: a line for each row, what is shared, and what could be."""
    wrong = _wrong_rows(plan)
    if not plan.rows:
        return f"{plan.path}: no image"
    head = f"{plan.path}: {counted(len(plan.rows), 'image')}, {sized(plan.bytes)} of disks"
    totals = f"about {sized(plan.written)} to write"
    if plan.shared:
        totals += f", {sized(plan.shared)} of it shared: written once and taken over"
    rows: list[tuple[str, ...]] = [
        ("No", "Image", "Disk", "To write", "Shared", "With", "Problems")
    ]
    rows += [_row(plan, row, wrong.get(row.row.name, 0)) for row in plan.rows]
    lines = [head, totals, "", *columns(rows, right={0, 2, 3, 4})]
    if plan.shares:
        lines += ["", *(_share(share.volume, share.written, share.images) for share in plan.shares)]
    lines += [f"note: {note}" for note in plan.notes]
    return "\n".join(lines)


def _wrong_rows(plan: FleetPlan) -> dict[str, int]:
    """Returns how many problems each row has."""
    counts: dict[str, int] = {}
    for one in plan.wrong:
        for name in one.rows:
            counts[name] = counts.get(name, 0) + 1
    return counts


def _row(plan: FleetPlan, row: RowPlan, problems: int) -> tuple[str, ...]:
    name = row.row.name
    pairs = plan.shared_with(name)
    volumes = {volume for volume, _ in pairs}
    shared = sum(volume.written for volume in row.volumes if volume.id in volumes)
    with_whom = ", ".join(f"{volume} of {first}" for volume, first in pairs)
    return (
        str(row.row.number),
        name,
        human(row.bytes),
        human(row.written),
        human(shared) if shared else "-",
        with_whom or "-",
        str(problems) if problems else "-",
    )


def _share(volume: str, written: int, images: tuple[str, ...]) -> str:
    named = ", ".join(images[:_MOST_NAMES])
    more = len(images) - _MOST_NAMES
    return f"{volume}: {sized(written)} in {named}" + (f" and {more} more" if more > 0 else "")


def to_json(plan: FleetPlan) -> dict[str, Any]:
    """Returns what `plan FLEET.toml --json` prints."""
    return {
        "schema": SCHEMA,
        "fleet": str(plan.path),
        "totals": {
            "images": len(plan.rows),
            "bytes": plan.bytes,
            "written": plan.written,
            "shared": plan.shared,
        },
        "rows": [_image(plan, row) for row in plan.rows],
        "shared": [
            {"volume": share.volume, "written": share.written, "images": list(share.images)}
            for share in plan.shares
        ],
        "notes": list(plan.notes),
        "problems": wrong_to_json(plan.wrong),
    }


def _image(plan: FleetPlan, row: RowPlan) -> dict[str, Any]:
    first = dict(plan.shared_with(row.row.name))
    return {
        "number": row.row.number,
        "image": row.row.name,
        "where": row.row.where,
        "spec": row.row.file,
        "disk": {"bytes": row.bytes},
        "written": row.written,
        "outputs": list(row.outputs),
        "volumes": [
            {
                "id": volume.id,
                "bytes": volume.bytes,
                "written": volume.written,
                "shared_with": first.get(volume.id),
            }
            for volume in row.volumes
        ],
        **problems_to_json(row.problems),
    }


def wrong_to_json(wrong: tuple[Wrong, ...]) -> list[dict[str, Any]]:
    """Returns problems with their place and the rows that have them."""
    return list(_wrong(wrong))


def _wrong(wrong: tuple[Wrong, ...]) -> Iterator[dict[str, Any]]:
    for one in wrong:
        (described,) = problems_to_json([one.problem])["problems"]
        yield {**described, "file": one.problem.file, "images": list(one.rows)}
