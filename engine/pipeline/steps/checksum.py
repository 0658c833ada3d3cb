"""SHA-256 of every output that is not a record of the build itself."""

from __future__ import annotations

import os
from pathlib import Path

from engine.events import Artifact
from engine.pipeline.sparse import sha256
from engine.pipeline.steps.names import HYDRA, finish_image
from engine.pipeline.work import Work


async def checksum(work: Work) -> None:
    """Hashes the finished outputs."""
    finish_image(work)
    for name in work.staging.finished():
        path = work.staging.folder / name
        if name == HYDRA or path.is_symlink():
            continue
        digest = await work.thread(
            lambda report, path=path: sha256(path, report, work.cancelled)  # type: ignore[misc]
        )
        artifact = Artifact(
            path=_readable(work.staging.outdir / name), bytes=path.stat().st_size, sha256=digest
        )
        work.artifacts[name] = artifact
        work.emit(artifact)


def _readable(path: Path) -> str:
    """Returns a path as text that JSON can hold, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "replace")
