"""Small drawings of layouts, in the colours of the map."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from engine.disk.presets import Preset
from engine.disk.roles import ROLES
from tui.text import cut, fit
from tui.widgets.map_parts import MANY, grounds
from tui.widgets.proportions import cells


def draw(layout: Preset, width: int = 28) -> Content:
    """Returns a layout's partitions as one row, not to scale; gaps stand between them."""
    if layout.own:
        return Content.styled(fit(" as you list them", width), f"{MANY}-text on {MANY}")
    return draw_roles([partition.role for partition in layout.partitions], width)


def draw_roles(roles: Sequence[str], width: int) -> Content:
    """Returns partitions of roles, in disk order, as one row; no table without any."""
    if not roles:
        return Content.styled(fit(" no table", width), "$volume-2-text on $volume-2")
    shown = [ROLES[role] for role in roles]
    count = len(shown)
    if width < count * 2:
        return Content.styled(fit(f" {count} volumes", width), f"{MANY}-text on {MANY}")
    least = min(6, (width + 1) // count - 1)
    widths = cells([role.weight for role in shown], width - count + 1, minimum=least)
    return Content(" ").join(
        Content.styled(fit(cut(f" {role.label}", part, ""), part), f"{ground}-text on {ground}")
        for role, part, ground in zip(shown, widths, grounds(roles), strict=True)
    )
