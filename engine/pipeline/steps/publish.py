"""The move of all outputs to their final names."""

from __future__ import annotations

import asyncio

from engine.pipeline.failure import StepFailed
from engine.pipeline.steps.names import HYDRA, MANIFEST
from engine.pipeline.work import Work
from engine.provenance.sums import NAME as SHA256SUMS


async def publish(work: Work) -> None:
    """Renames everything into place, what describes the outputs at the end.

    Raises:
        StepFailed: An output is gone.
    """
    await asyncio.sleep(0)  # the last moment for a cancel that was asked for meanwhile
    gone = sorted({*work.artifacts, MANIFEST, HYDRA}.difference(work.staging.finished()))
    if gone:
        raise StepFailed(
            f"{', '.join(gone)} vanished from {work.staging.folder} before the move into place",
            "leave the output folder alone while a build writes there",
        )
    work.staging.publish(last=(SHA256SUMS, MANIFEST, HYDRA))
