"""Small drawings of layouts, in the colours of the map."""

from __future__ import annotations

from textual.content import Content

from engine.disk.presets import Preset
from tui.text import cut, fit
from tui.widgets.proportions import cells


def draw(layout: Preset, width: int = 28) -> Content:
    """Returns a layout's partitions as one row, not to scale; gaps stand between them."""
    if layout.own:
        return Content.styled(fit(" as you list them", width), "$role-text on $role-other")
    if not layout.partitions:
        return Content.styled(fit(" no table", width), "$role-text on $role-root")
    count = len(layout.partitions)
    weights = [partition.purpose.weight for partition in layout.partitions]
    widths = cells(weights, width - count + 1, minimum=6)
    return Content(" ").join(
        Content.styled(
            fit(cut(f" {partition.purpose.label}", part, ""), part),
            f"$role-text on $role-{partition.role}",
        )
        for partition, part in zip(layout.partitions, widths, strict=True)
    )
