"""What an update would take over, before it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.pipeline.reusing import believed, details, whole_image
from engine.plan.model import Plan
from engine.reuse.digests import BadDigests, Digests
from engine.reuse.record import Unbelievable


@dataclass(frozen=True, slots=True)
class Preview:
    """What a look at the last build and at the sources tells.

    Attributes:
        files: Regular files with data.
        stay: Those of them whose data is known without reading them.
    """

    files: int
    stay: int

    @property
    def sentence(self) -> str:
        """What a person is told."""
        read = self.files - self.stay
        known = f"{self.stay} of {self.files} files are what the last build has read"
        return f"{known}; {read or 'no file'} would be read again."


def preview(plan: Plan, outdir: Path) -> Preview | None:
    """Returns what would be taken over, or None where nothing of the image would be.

    Args:
        plan: Without errors.
        outdir: The output folder.
    """
    try:
        record = believed(outdir)
        digests = Digests.loads(details(outdir, record).digests())
    except (Unbelievable, BadDigests):
        return None
    if whole_image(plan) or record.image != plan.output.disk:
        return None
    files = [
        entry
        for volume in plan.volumes
        if volume.filesystem is not None
        for entry in volume.filesystem.manifest
        if entry.is_regular and entry.link_to is None and entry.size
    ]
    stay = sum(digests.of(entry) is not None for entry in files)
    return Preview(len(files), stay) if stay else None
