"""Plans of file systems whose figures follow from their size and what goes in alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.filesystems.driver import Drop, FilesystemPlan, Part, Refused, Request, Shortage, Sized
from engine.units import MIB, ceil_to


def plain(
    request: Request, key: str, *, block_size: int, blocks: int, own: tuple[tuple[Part, int], ...],
    written: int, inodes: int = 0, free_inodes: int = 0, layout: object = None, options: str = "",
    held: int = 0, withheld: int = 0, refused: Sequence[Refused] = (), drops: Sequence[Drop] = (),
) -> FilesystemPlan:  # fmt: skip
    """Returns the plan of a file system of so many blocks.

    Args:
        request: What is wanted.
        key: Of the format.
        block_size: Bytes of a block.
        blocks: In all.
        own: Bytes of its own structures, by what they are.
        written: About how many bytes making it writes.
        inodes: In all.
        free_inodes: Those of them that are free.
        layout: The driver's own figures.
        options: Of the mount in which a kernel fills it; "" where none does.
        held: Bytes that the contents take at most.
        withheld: Bytes that a kernel keeps back, so that contents cannot have them.
        refused: Entries that it cannot hold.
        drops: What entries lose.
    """
    size = block_size * blocks
    room = size - sum(part for _, part in own)
    available = max(0, room - withheld) if held else room
    data = min(request.manifest.counts.data_bytes if held else 0, held, available)
    rest = min(held, available) - data + (room - available)
    filled: tuple[tuple[Part, int], ...] = (("contents", data), ("bound", rest)) if held else ()
    return FilesystemPlan(
        type=key,
        label=request.label,
        uuid=request.uuid,
        size=size,
        block_size=block_size,
        blocks=blocks,
        inodes=inodes,
        manifest=request.manifest,
        data_bytes=request.manifest.counts.data_bytes if held else 0,
        free_bytes=max(0, available - held),
        free_inodes=free_inodes,
        written_bytes=written + held,
        parts=(*own, *filled, ("free", max(0, available - held))),
        layout=layout,
        shortage=Shortage("bytes", held, available) if held > available else None,
        refused=refused,
        drops=drops,
        options=options,
        subvolumes=request.subvolumes,
        default_subvolume=request.default_subvolume,
    )


def grown(size: int, free: int, fit: Callable[[int], FilesystemPlan]) -> Sized:
    """Returns the smallest file system from a size on that holds its contents and has free space.

    Args:
        size: Bytes to begin with, in whole MiB.
        free: Bytes to leave free.
        fit: Plans one of a size; a larger one may need more for itself.
    """
    while True:
        planned = fit(size)
        short = planned.shortage
        lacking = free - planned.free_bytes
        if short is not None:
            lacking = free + short.needed - short.available
        if lacking <= 0:
            return Sized(size, planned)
        size += ceil_to(lacking, MIB)
