"""Small drawings of layouts, in the colours of the map."""

from __future__ import annotations

from textual.content import Content

from engine.disk.presets import Preset
from tui.text import cut, fit
from tui.widgets.map_parts import MANY, grounds
from tui.widgets.proportions import cells


def draw(layout: Preset, width: int = 28) -> Content:
    """Returns a layout's partitions as one row, not to scale; gaps stand between them."""
    if layout.own:
        return Content.styled(fit(" as you list them", width), f"{MANY}-text on {MANY}")
    if not layout.partitions:
        return Content.styled(fit(" no table", width), "$volume-2-text on $volume-2")
    count = len(layout.partitions)
    weights = [partition.purpose.weight for partition in layout.partitions]
    colours = grounds([partition.role for partition in layout.partitions])
    widths = cells(weights, width - count + 1, minimum=6)
    return Content(" ").join(
        Content.styled(
            fit(cut(f" {partition.purpose.label}", part, ""), part),
            f"{ground}-text on {ground}",
        )
        for partition, part, ground in zip(layout.partitions, widths, colours, strict=True)
    )
