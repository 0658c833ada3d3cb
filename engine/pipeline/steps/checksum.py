"""SHA-256 of every output that is not a record of the build itself."""

from __future__ import annotations

from engine.events import Artifact
from engine.pipeline.sparse import sha256
from engine.pipeline.steps.names import HYDRA, image_name
from engine.pipeline.work import Work


async def checksum(work: Work) -> None:
    """Hashes the finished outputs."""
    finish_raw(work)
    for name in work.staging.finished():
        path = work.staging.folder / name
        if name == HYDRA or path.is_symlink():
            continue
        digest = await work.thread(
            lambda report, path=path: sha256(path, report, work.cancelled)  # type: ignore[misc]
        )
        artifact = Artifact(
            path=str(work.staging.outdir / name), bytes=path.stat().st_size, sha256=digest
        )
        work.artifacts.append(artifact)
        work.emit(artifact)


def finish_raw(work: Work) -> None:
    """Gives a raw image its own name: every step that writes to it is over."""
    if work.image.exists():
        work.staging.complete(work.image, image_name(work.plan))
