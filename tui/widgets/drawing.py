"""Small drawings of layouts, in the colours of the map."""

from __future__ import annotations

from textual.content import Content

from engine.spec.layouts import Layout
from tui.text import cut, fit
from tui.widgets.proportions import cells


def draw(layout: Layout, width: int = 28, divider: str = "│") -> Content:
    """Returns a layout's partitions as one row, not to scale."""
    if not layout.partitions:
        text = fit(" root, no table", width)
        return Content.styled(text, "$role-text on $role-root")
    count = len(layout.partitions)
    weights = [partition.weight for partition in layout.partitions]
    widths = cells(weights, width - count - 1, minimum=4)
    content = Content.styled(divider, "$muted")
    for partition, part in zip(layout.partitions, widths, strict=True):
        text = fit(cut(partition.label, part, ""), part)
        content = content + Content.assemble(
            (text, f"$role-text on $role-{partition.role}"), (divider, "$muted")
        )
    return content
