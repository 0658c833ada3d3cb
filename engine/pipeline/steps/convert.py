"""The output format, by qemu-img; what it draws at random is replaced by derived values."""

from __future__ import annotations

import re
import time
import uuid

from engine.pipeline.staging import IMAGE, OUTPUT
from engine.pipeline.stamps import STAMPS, Origin
from engine.pipeline.work import Work

_PERCENT = re.compile(r"\(\s*(\d+)\.(\d\d)/100%\)")


async def convert(work: Work) -> None:
    """Converts the raw image, gives the new file its identity and compares the two."""
    planned, identity = work.plan.output, work.plan.identity
    output = work.staging.folder / OUTPUT
    size = work.plan.disk.bytes
    for argv in work.step.argv:
        await work.tool(argv, progress=lambda text: parse_progress(text, size))
    if planned.format.stamp is not None:
        now = identity.epoch if identity.deterministic else int(time.time())
        origin = Origin(uuid.UUID(identity.seed), now, planned.disk)
        STAMPS[planned.format.stamp](output, origin)
    compare = ("qemu-img", "compare", "-p", "-f", "raw", "-F", planned.format.driver, IMAGE, OUTPUT)
    await work.tool(compare, progress=lambda text: parse_progress(text, size))
    await work.earlier()
    work.image.unlink()
    work.staging.complete(output, planned.disk)


def parse_progress(text: str, total: int) -> tuple[int, int] | None:
    """Returns (done, total) bytes from what `qemu-img -p` repaints: `    (13.20/100%)`."""
    found = _PERCENT.search(text)
    if found is None:
        return None
    return (int(found[1]) * 100 + int(found[2])) * total // 10_000, total
