"""What can be done once a build is over: with its image, or against its failure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.cli.verbs import VERBS
from engine.events import Artifact
from engine.spec.formats import FORMATS

_READABLE = tuple(f".{format_.extension}" for format_ in FORMATS.values() if format_.readable)

_PACKED = tuple(f"{ending}.{kind}" for ending in _READABLE for kind in ("zst", "xz", "gz"))

Subject = Literal["image", "spec", "outdir"]


@dataclass(frozen=True, slots=True)
class Afterwards:
    """Something to do with what was built.

    Attributes:
        key: Name of the action, and of its button.
        label: What the button says.
        verb: The verb that does it; it is offered only where there is such a verb.
        subject: What it works on.
    """

    key: str
    label: str
    verb: str
    subject: Subject = "image"


TABLE = (
    Afterwards("boot", "Boot", "boot"),
    Afterwards("check", "Check", "check", "spec"),
    Afterwards("verify", "Verify", "verify", "outdir"),
)


def offered(subjects: Collection[Subject]) -> tuple[Afterwards, ...]:
    """Returns what this installation can do with the subjects there are."""
    return tuple(item for item in TABLE if item.verb in VERBS and item.subject in subjects)


def image_of(artifacts: list[Artifact]) -> Path | None:
    """Returns the image among the outputs, if it is still there."""
    for artifact in artifacts:
        path = Path(artifact.path)
        if path.name.endswith(_READABLE) and path.is_file():
            return path
    return None


def flashable_of(artifacts: list[Artifact]) -> Path | None:
    """Returns the image, or a compressed one where that alone was kept."""
    packed = (Path(one.path) for one in artifacts if one.path.endswith(_PACKED))
    return image_of(artifacts) or next((path for path in packed if path.is_file()), None)


FAILURE_PATHS = {
    "allocate": "outdir",
    "table": "layout.table",
    "identifiers": "identity.disk_guid",
    "make-root": "size.disk",
    "populate-root": "contents",
    "make-esp": "size.boot",
    "populate-esp": "size.boot",
    "make-boot": "size.boot",
    "populate-boot": "size.boot",
    "convert": "output.format",
    "hook": "hooks.after_build",
    "publish": "outdir",
}
"""The key path whose field most likely answers a step's failure."""


def path_of_failure(step: str | None, message: str) -> str:
    """Returns the field to look at when a step failed, "" where none would help."""
    if "is full" in message:
        return "outdir"
    return FAILURE_PATHS.get(step or "", "")
