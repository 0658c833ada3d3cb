"""What widgets tell the design screen: facts about intended edits, never edits themselves."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from engine.problem import Fix
from engine.spec.model import Content as Entry
from engine.spec.volume_edits import VolumeEdit
from tui.fieldspec import Value


@dataclass
class SpecEdited(Message):
    """One key path is to get a value.

    Attributes:
        typing: The edit is one key stroke of several in the same field.
    """

    path: str
    value: Value
    name: str
    typing: bool = False


@dataclass
class ContentsEdited(Message):
    """The entries are to be these."""

    contents: tuple[Entry, ...]
    name: str


@dataclass
class VolumesEdited(Message):
    """The list of volumes is to be edited."""

    edit: VolumeEdit
    name: str


@dataclass
class VolumeLookedAt(Message):
    """The cursor of a table went to a volume."""

    id: str


@dataclass
class FixWanted(Message):
    """A fix is to be applied."""

    fix: Fix


class FieldLeft(Message):
    """The focus left a field: what was typed there is one edit now."""


@dataclass
class StepWanted(Message):
    """A step is to be shown."""

    step: str
    enter: bool = False
