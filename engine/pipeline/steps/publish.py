"""The move of all outputs to their final names."""

from __future__ import annotations

from engine.pipeline.steps.names import HYDRA, MANIFEST
from engine.pipeline.work import Work
from engine.provenance.sums import NAME as SHA256SUMS


async def publish(work: Work) -> None:
    """Renames everything into place, what describes the outputs at the end."""
    work.staging.publish(last=(SHA256SUMS, MANIFEST, HYDRA))
