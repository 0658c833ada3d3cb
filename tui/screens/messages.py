"""What screens ask of the app."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.message import Message

from engine.plan.model import Plan
from engine.spec.model import ImageSpec
from tui.document import Document
from tui.opening import Importable


@dataclass
class BuildRequested(Message):
    """A plan is to be built.

    Attributes:
        spec: What it is the plan of.
        base: Folder that the spec's relative sources start from.
    """

    plan: Plan
    outdir: Path
    spec: ImageSpec
    base: Path


class DocumentChanged(Message):
    """The spec changed: it wants to be kept."""


@dataclass
class SaveRequested(Message):
    """The document is to be saved; `ask` for a name first."""

    ask: bool = False


class StartRequested(Message):
    """The start page is wanted."""


@dataclass
class DocumentChosen(Message):
    """A document is to be designed.

    Attributes:
        outdir: Where its outputs go; None for the usual place.
        asks: What is designed now may not be saved: it is asked about first.
    """

    document: Document
    step: str = "layout"
    outdir: Path | None = None
    asks: bool = False


@dataclass
class ImageRequested(Message):
    """An image is to be looked into; without a path, the user is asked for one."""

    path: Path | None = None


@dataclass
class BootRequested(Message):
    """An image is to be booted, its console in a pane."""

    path: Path


@dataclass
class FlashRequested(Message):
    """An image is to be written to a disk; without a path, the user is asked for one."""

    path: Path | None = None


@dataclass
class ImportRequested(Message):
    """A file that is not a spec is to become one."""

    subject: Importable


@dataclass
class FleetRequested(Message):
    """Many images are to be planned or built, as a file describes them."""

    path: Path


class ComparisonRequested(Message):
    """Two images are to be compared."""
