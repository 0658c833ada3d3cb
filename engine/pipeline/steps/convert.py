"""The output format, by qemu-img; what it draws at random is replaced by derived values."""

from __future__ import annotations

import re
import time
import uuid

from engine.pipeline.staging import IMAGE, OUTPUT
from engine.pipeline.stamps import STAMPS, Origin
from engine.pipeline.work import Work
from engine.plan.outputs import disk_name
from engine.spec.formats import FORMATS

_PERCENT = re.compile(r"\(\s*(\d+)\.(\d\d)/100%\)")


async def convert(work: Work) -> None:
    """Converts the raw image, gives the new file its identity and compares the two."""
    settings = work.plan.settings
    output = work.staging.folder / OUTPUT
    size = work.plan.disk.bytes
    for argv in work.step.argv:
        await work.tool(argv, progress=lambda text: parse_progress(text, size))
    format_ = FORMATS[settings.output.format]
    if format_.stamp is not None:
        now = (
            settings.identity.source_date_epoch
            if settings.identity.deterministic
            else int(time.time())
        )
        origin = Origin(uuid.UUID(settings.identity.seed), now, disk_name(settings))
        STAMPS[format_.stamp](output, origin)
    compare = ("qemu-img", "compare", "-p", "-f", "raw", "-F", format_.driver, IMAGE, OUTPUT)
    await work.tool(compare, progress=lambda text: parse_progress(text, size))
    work.image.unlink()
    work.staging.complete(output, disk_name(settings))


def parse_progress(text: str, total: int) -> tuple[int, int] | None:
    """Returns (done, total) bytes from what `qemu-img -p` repaints: `    (13.20/100%)`."""
    found = _PERCENT.search(text)
    if found is None:
        return None
    return (int(found[1]) * 100 + int(found[2])) * total // 10_000, total
