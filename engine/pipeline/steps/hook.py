"""The user's own commands, run on the finished image before it is published."""

from __future__ import annotations

from engine.pipeline.steps.names import finish_image
from engine.pipeline.work import Work


async def run(work: Work) -> None:
    """Runs `hooks.after_build` with OUT and DISK_IMAGE set.

    OUT is the folder whose contents become the output folder's, so that a hook that fails
    leaves nothing behind and one that adds files has them published with the rest.
    """
    folder, image = str(work.staging.folder), str(finish_image(work))
    # Under make-disk-image's own names, too: a postVM text runs here as it stands.
    names = {"OUT": folder, "DISK_IMAGE": image, "out": folder, "diskImage": image}
    for argv in work.step.argv:
        await work.tool(argv, extra=names, verbatim=True)
