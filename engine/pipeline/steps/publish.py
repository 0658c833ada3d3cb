"""The move of all outputs to their final names."""

from __future__ import annotations

from engine.pipeline.work import Work
from engine.plan.outputs import HYDRA, MANIFEST, RECORD
from engine.provenance.sums import FORMS
from engine.tools.failure import StepFailed


async def publish(work: Work) -> None:
    """Syncs everything, then renames it into place, what describes the outputs at the end.

    Raises:
        StepFailed: An output is gone, or a file of somebody else's has taken its name.
    """
    wanted = {*work.artifacts, MANIFEST, *work.plan.writes} - {RECORD}
    gone = sorted(wanted.difference(work.staging.finished()))
    if gone:
        raise StepFailed(
            f"{', '.join(gone)} vanished from {work.staging.folder} before the move into place",
            "leave the output folder alone while a build writes there",
        )
    # Also the last moment for a cancel that was asked for meanwhile.
    await work.thread(lambda report: work.staging.sync(work.cancelled))
    try:
        work.staging.publish(
            (*(form.name for form in FORMS), MANIFEST, HYDRA), once=work.plan.outputs
        )
    except FileExistsError as error:
        raise StepFailed(
            f"{error.filename2 or error.filename} is there now, and is not from this build; "
            "nothing was replaced",
            "move it away, choose another output folder, or give --force to replace it",
        ) from error
