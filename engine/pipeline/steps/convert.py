"""The output format, by qemu-img; what it draws at random is replaced by derived values."""

from __future__ import annotations

import re
import uuid

from engine.pipeline.staging import IMAGE, OUTPUT
from engine.pipeline.stamps import stamp_vdi, stamp_vpc
from engine.pipeline.steps.names import image_name
from engine.pipeline.work import Work
from engine.spec.formats import FORMATS

_PERCENT = re.compile(r"\(\s*(\d+)\.(\d\d)/100%\)")
_STAMPS = {"vdi": stamp_vdi, "vpc": stamp_vpc}


async def convert(work: Work) -> None:
    """Converts the raw image and, where deterministic, fixes the new file's random fields."""
    settings = work.plan.settings
    output = work.staging.folder / OUTPUT
    size = work.plan.disk.bytes
    for argv in work.step.argv:
        await work.tool(argv, progress=lambda text: parse_progress(text, size))
    stamp = _STAMPS.get(settings.format)
    if stamp is not None and settings.deterministic:
        stamp(output, uuid.UUID(settings.seed), settings.source_date_epoch)
    driver = FORMATS[settings.format].driver
    compare = ("qemu-img", "compare", "-p", "-f", "raw", "-F", driver, IMAGE, OUTPUT)
    await work.tool(compare, progress=lambda text: parse_progress(text, size))
    work.image.unlink()
    work.staging.complete(output, image_name(work.plan))


def parse_progress(text: str, total: int) -> tuple[int, int] | None:
    """Returns (done, total) bytes from what `qemu-img -p` repaints: `    (13.20/100%)`."""
    found = _PERCENT.search(text)
    if found is None:
        return None
    return (int(found[1]) * 100 + int(found[2])) * total // 10_000, total
