"""What is large in the image."""
from __future__ import annotations
from engine.plan.model import Plan
from tui.glyphs import UNICODE, Glyphs
from textual.screen import ModalScreen

class UsageScreen(ModalScreen[None]):
    """Placeholder until the engine's tree lands."""

    def __init__(self, plan: Plan, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
