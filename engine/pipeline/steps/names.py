"""What the outputs of a plan are called, and when they get their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.events import Artifact, readable
from engine.pipeline.work import Work


def current_image(work: Work) -> Path:
    """Returns where the disk's image is now: in the making, or under its own name."""
    return work.image if work.image.exists() else work.staging.folder / work.plan.output.disk


def finish_image(work: Work) -> Path:
    """Gives a raw image its own name once every step that writes to it is over."""
    name = work.plan.output.disk
    if work.image.exists():
        return work.staging.complete(work.image, name)
    return work.staging.folder / name


def announce(work: Work, name: str, digests: Mapping[str, str]) -> None:
    """Records a finished output and tells of it, with its digests by algorithm."""
    path = work.staging.folder / name
    final = readable(work.staging.outdir / name)
    artifact = Artifact(
        path=final,
        bytes=path.stat().st_size,
        sha256=digests.get("sha256"),
        fsverity=digests.get("fsverity"),
    )
    work.artifacts[name] = artifact
    work.emit(artifact)
