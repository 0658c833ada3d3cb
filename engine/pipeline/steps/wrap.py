"""The file that a hypervisor or cloud imports, made of the finished disk."""

from __future__ import annotations

from engine.pipeline.steps.names import finish_image
from engine.pipeline.work import Work
from engine.pipeline.wrapping import WRAPS, Wrapping
from engine.plan.outputs import image_name
from engine.spec.formats import FORMATS

_WRAPPED = "wrapped.part"


async def wrap(work: Work) -> None:
    """Packs the disk by the format's row; only the result stays.

    Raises:
        StepFailed: What was written does not read back.
    """
    plan, settings = work.plan, work.plan.settings
    disk, output = finish_image(work), work.staging.folder / _WRAPPED
    key = FORMATS[settings.output.format].wrap
    assert key is not None
    said = await work.thread(
        lambda report: WRAPS[key](
            Wrapping(
                disk=disk, capacity=plan.disk.bytes, output=output, name=settings.name,
                memory_mib=settings.vm.memory_mib,
                uefi=settings.boots == ("uefi",),
                time=settings.identity.source_date_epoch, report=report, cancelled=work.cancelled,
            )
        )
    )  # fmt: skip
    work.note(f"read back: {said}")
    disk.unlink()
    work.staging.complete(output, image_name(settings))
