"""The bill of materials, from the package databases among the contents."""

from __future__ import annotations

from engine.pipeline.work import Work
from engine.provenance import spdx
from engine.provenance.packages import inventory
from engine.units import counted


async def write(work: Work) -> None:
    """Writes NAME.spdx.json; a database that cannot be read is named in the log.

    Raises:
        SourceChanged: A database changed since it was scanned.
    """
    output, identity = work.plan.output, work.plan.identity
    found = await work.thread(lambda report: inventory(work.plan.root_tree))
    for trouble in found.unread:
        work.note(f"not in the bill of materials: {trouble}")
    document = spdx.dumps(
        found,
        name=output.stem,
        seed=identity.seed,
        epoch=identity.epoch,
    )
    work.staging.write(output.sbom, document)
    work.note(counted(len(found.packages), "package"))
