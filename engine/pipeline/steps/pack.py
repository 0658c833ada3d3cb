"""The compressed image and the block map, made in the pass that computes the image's checksum."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from engine.inspect.image import open_image
from engine.inspect.unused import unused
from engine.pipeline.packing import Compressor, Sum, Taker, take_all, verify_packed
from engine.pipeline.steps.names import announce, finish_image
from engine.pipeline.work import Work
from engine.plan.outputs import bmap_name, packed_name
from engine.provenance.bmap import Mapper

_PACKED = "packed.part"


async def pack(work: Work) -> None:
    """Writes what is wanted of the two; the raw image stays if it is to.

    Raises:
        StepFailed: The compressed image cannot be unpacked again.
    """
    settings = work.plan.settings
    image = finish_image(work)
    digest, block_map = await work.thread(lambda report: _pass(work, image, report))
    name = packed_name(settings)
    if name is not None:
        path = work.staging.folder / _PACKED
        size = image.stat().st_size
        await work.thread(
            lambda report: verify_packed(path, settings.output.compress, size, work.cancelled)
        )
        work.note(f"read back: {name} unpacks to {size} bytes")
        work.staging.complete(path, name)
    mapped = bmap_name(settings)
    if mapped is not None:
        work.staging.write(mapped, block_map)
    if settings.output.keep_raw:
        announce(work, image.name, digest)
    else:
        image.unlink()


def _pass(work: Work, image: Path, report: Callable[[int, int], None]) -> tuple[str, bytes]:
    """Reads the image once; returns its SHA-256 and its block map."""
    settings = work.plan.settings
    size = image.stat().st_size
    digest = Sum()
    takers: list[Taker] = [digest]
    mapper = None
    if settings.output.bmap:
        opened = open_image(image)
        with closing(opened.disk):
            mapper = Mapper(size, list(unused(opened)))
        takers.append(mapper)
    if settings.output.compress == "none":
        take_all(image, takers, report, work.cancelled)
    else:
        packed = Compressor(work.staging.folder / _PACKED, settings.output.compress, size)
        with closing(packed):
            take_all(image, [*takers, packed], report, work.cancelled)
            if not work.cancelled():
                packed.finish()
    return digest.hexdigest(), mapper.finish() if mapper else b""
