"""The compressed image and the block map, made in the pass that computes the image's checksum."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from engine.inspect.image import open_image
from engine.inspect.unused import unused
from engine.pipeline.packing import Compressor, verify_packed
from engine.pipeline.steps.names import announce, current_image, finish_image
from engine.pipeline.taking import Taker, take_all
from engine.pipeline.work import Work
from engine.provenance.bmap import Mapper
from engine.units import in_bytes

_PACKED = "packed.part"


async def pack(work: Work) -> None:
    """Writes what is wanted of the two; the raw image stays if it is to.

    Raises:
        StepFailed: The compressed image cannot be unpacked again.
    """
    planned = work.plan.output
    image = current_image(work)
    found, block_map = await work.thread(lambda report: _pass(work, image, report))
    if planned.packed is not None:
        path = work.staging.folder / _PACKED
        size = image.stat().st_size
        await work.thread(
            lambda report: verify_packed(path, planned.compress, size, work.cancelled)
        )
        work.note(f"read back: {planned.packed} unpacks to {in_bytes(size)}")
    await work.earlier()
    image = finish_image(work)
    if planned.packed is not None:
        work.staging.complete(work.staging.folder / _PACKED, planned.packed)
    if planned.block_map is not None:
        work.staging.write(planned.block_map, block_map)
    if planned.keep_raw:
        announce(work, image.name, found)
    else:
        image.unlink()


def _pass(
    work: Work, image: Path, report: Callable[[int, int], None]
) -> tuple[dict[str, str], bytes]:
    """Reads the image once; returns its digests and its block map."""
    planned = work.plan.output
    size = image.stat().st_size
    sums = work.reuse.takers(work.plan.sums.image, work.staging.outdir)
    takers: list[Taker] = [*sums.values()]
    mapper = None
    if planned.block_map is not None:
        opened = open_image(image)
        with closing(opened.disk):
            mapper = Mapper(size, list(unused(opened)))
        takers.append(mapper)
    if planned.packed is None:
        take_all(image, takers, report, work.cancelled)
    else:
        packed = Compressor(work.staging.folder / _PACKED, planned.compress, size)
        with closing(packed):
            take_all(image, [*takers, packed], report, work.cancelled)
            if not work.cancelled():
                packed.finish()
    work.reuse.keep_tree(sums.get("fsverity"))
    found = {kind: taker.digest() for kind, taker in sums.items()}
    return found, mapper.finish() if mapper else b""
