"""The file that a hypervisor or cloud imports, made of the finished disk."""

from __future__ import annotations

from engine.pipeline.steps.names import finish_image
from engine.pipeline.work import Work
from engine.pipeline.wrapping import WRAPS, Wrapping

_WRAPPED = "wrapped.part"


async def wrap(work: Work) -> None:
    """Packs the disk by the format's row; only the result stays.

    Raises:
        StepFailed: What was written does not read back.
    """
    plan = work.plan
    disk, output = finish_image(work), work.staging.folder / _WRAPPED
    key = plan.output.format.wrap
    assert key is not None
    said = await work.thread(
        lambda report: WRAPS[key](
            Wrapping(
                disk=disk, capacity=plan.disk.bytes, output=output, name=plan.name,
                memory_mib=plan.memory_mib,
                uefi=plan.disk.boots == ("uefi",),
                time=plan.identity.epoch, report=report, cancelled=work.cancelled,
            )
        )
    )  # fmt: skip
    work.note(f"read back: {said}")
    disk.unlink()
    work.staging.complete(output, plan.output.image)
