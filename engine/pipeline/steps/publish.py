"""The move of all outputs to their final names."""

from __future__ import annotations

from engine.pipeline.steps.names import HYDRA, MANIFEST
from engine.pipeline.work import Work
from engine.provenance.sums import NAME as SHA256SUMS
from engine.tools.failure import StepFailed


async def publish(work: Work) -> None:
    """Syncs everything, then renames it into place, what describes the outputs at the end.

    Raises:
        StepFailed: An output is gone.
    """
    gone = sorted({*work.artifacts, MANIFEST, HYDRA}.difference(work.staging.finished()))
    if gone:
        raise StepFailed(
            f"{', '.join(gone)} vanished from {work.staging.folder} before the move into place",
            "leave the output folder alone while a build writes there",
        )
    # Also the last moment for a cancel that was asked for meanwhile.
    await work.thread(lambda report: work.staging.sync(work.cancelled))
    work.staging.publish(last=(SHA256SUMS, MANIFEST, HYDRA))
