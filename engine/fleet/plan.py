"""The plan of a fleet: what each row will be, what rows share, and what is wrong in which."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from engine.fleet.model import Fleet, Gathered, Row, Wrong
from engine.manifest.progress import IsCancelled
from engine.problem import Problem

AT_ONCE = 4
"""Images that one process builds at a time."""

BEGUN = 12
"""Images of which it has begun to build, most of which wait for what another one makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeOutline:
    """One volume of a row's image.

    Attributes:
        bytes: Of its place on the disk.
        written: About how many of them are not a hole.
        likeness: Digest of all that its bytes follow from, as far as is known without reading
            files; "" where they follow from more than that.
        contents: The same without what is the image's own: its size and identifiers.
    """

    id: str
    bytes: int
    written: int
    likeness: str = ""
    contents: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutline:
    """What an image will be.

    Attributes:
        bytes: Of the disk.
        written: About how many of them are not a hole.
        peak: Bytes that the output folder needs at the most while it is built.
        outputs: File names of the image and what goes with it.
        problems: What is wrong with it.
        digest: Of layout and files, as far as they are the same on every machine that sees the same
            sources; "" where they need not be.
    """

    bytes: int
    written: int
    peak: int
    outputs: tuple[str, ...]
    volumes: tuple[VolumeOutline, ...]
    problems: tuple[Problem, ...]
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlan(ImageOutline):
    """What a row will be; its problems have the place of each key."""

    row: Row

    @classmethod
    def of(cls, row: Row, image: ImageOutline) -> RowPlan:
        """Returns the plan of a row from the outline of its image."""
        return cls(
            row=row, bytes=image.bytes, written=image.written, peak=image.peak,
            outputs=image.outputs, volumes=image.volumes,
            problems=tuple(row.locate(image.problems)), digest=image.digest,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Share:
    """A volume that several images have, bit for bit."""

    volume: str
    written: int
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """All rows, and what they have in common.

    Attributes:
        wrong: What is wrong with the file and with rows, each problem once.
        shares: Volumes that more than one image has.
        notes: What could be shared and is not, a sentence each.
    """

    path: Path
    rows: tuple[RowPlan, ...]
    wrong: tuple[Wrong, ...]
    shares: tuple[Share, ...]
    notes: tuple[str, ...]

    @property
    def errors(self) -> tuple[Wrong, ...]:
        """What keeps it from being built."""
        return tuple(one for one in self.wrong if one.problem.severity == "error")

    @property
    def bytes(self) -> int:
        """Bytes of all disks."""
        return sum(row.bytes for row in self.rows)

    @property
    def written(self) -> int:
        """About how many bytes of all disks are not a hole."""
        return sum(row.written for row in self.rows)

    @property
    def shared(self) -> int:
        """How many of those are written once for several."""
        return sum(share.written * (len(share.images) - 1) for share in self.shares)

    def shared_with(self, name: str) -> tuple[tuple[str, str], ...]:
        """Returns volume and first image of what a row has in common with one before it."""
        return tuple(
            (share.volume, share.images[0]) for share in self.shares if name in share.images[1:]
        )


class Ask(NamedTuple):
    """What a plan is asked for with.

    Attributes:
        row: The row.
        outdir: Folder of its image, so that its room and contents are looked at too; or None.
        force: Outputs that exist may be replaced.
    """

    row: Row
    outdir: Path | None
    force: bool


class Outlines(Protocol):
    """What plans rows, wherever."""

    def __call__(
        self, asked: Sequence[Ask], cancelled: IsCancelled | None
    ) -> Iterator[tuple[str, ImageOutline]]:
        """Yields the outline of each row with its name, as they are made.

        Raises:
            engine.manifest.scan.ScanCancelled: It was asked to stop.
        """
        ...


def plan_fleet(
    fleet: Fleet,
    *,
    outdir: Path | None = None,
    replaceable: Callable[[str], bool] = lambda name: False,
    wanted: Callable[[str], bool] = lambda name: True,
    outlines: Outlines | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: IsCancelled | None = None,
) -> FleetPlan:
    """Plans every row; writes nothing.

    Args:
        fleet: From `read_fleet`.
        outdir: Where the fleet would be built; each image has a folder of its name in it.
        replaceable: Whether outputs of an image that are there may be replaced.
        wanted: Whether an image is to be planned at all.
        outlines: What plans the rows; this process without one.
        progress: Called with rows done and in all.
        cancelled: Asked now and then whether to stop.

    Raises:
        engine.manifest.scan.ScanCancelled: It was asked to stop.
    """
    # What a row is called is wrong already: planning it would say the same in other words.
    bad = {name for one in fleet.errors for name in one.rows}
    asked = [
        Ask(row, outdir and outdir / row.name, replaceable(row.name))
        for row in fleet.rows
        if row.name not in bad and wanted(row.name)
    ]
    images: dict[str, ImageOutline] = {}
    progress(0, len(asked))
    for name, image in (outlines or _here)(asked, cancelled) if asked else ():
        images[name] = image
        progress(len(images), len(asked))
    planned = [RowPlan.of(ask.row, images[ask.row.name]) for ask in asked]
    found = Gathered()
    for wrong in fleet.wrong:
        found.note(wrong)
    for row in planned:
        for problem in row.problems:
            found.add(problem, row.row.name)
    return FleetPlan(
        fleet.path, tuple(planned), found.all, tuple(_shares(planned)), tuple(_unshared(planned)),
    )  # fmt: skip


def _here(
    asked: Sequence[Ask], cancelled: IsCancelled | None
) -> Iterator[tuple[str, ImageOutline]]:
    """Plans in this process; importing all that it takes costs a quarter second."""
    from engine.fleet.planners import Planners

    return Planners().outlines(asked, cancelled)


def _shares(rows: Sequence[RowPlan]) -> Iterator[Share]:
    images: dict[tuple[str, str], list[str]] = {}
    written: dict[tuple[str, str], int] = {}
    for row in rows:
        for volume in row.volumes:
            if volume.likeness:
                images.setdefault((volume.id, volume.likeness), []).append(row.row.name)
                written[volume.id, volume.likeness] = volume.written
    for key, names in images.items():
        if len(names) > 1:
            yield Share(key[0], written[key], tuple(names))


def _unshared(rows: Sequence[RowPlan]) -> Iterator[str]:
    """Yields what would be shared if identifiers were the same."""
    by_contents: dict[tuple[str, str, int], set[str]] = {}
    written: dict[tuple[str, str, int], int] = {}
    for row in rows:
        for volume in row.volumes:
            if volume.contents:
                key = volume.id, volume.contents, volume.bytes
                by_contents.setdefault(key, set()).add(volume.likeness)
                written[key] = volume.written
    seen = set()
    for (name, _, _), kinds in by_contents.items():
        if len(kinds) > 1 and name not in seen:
            seen.add(name)
            yield (
                f"{name}: {len(kinds)} images have the same files in it and identifiers of their "
                "own, which derive from each name; with identity.seed in the base spec it is one "
                "volume, written once"
            )


def total_space(rows: Iterable[RowPlan]) -> int:
    """Returns about how many bytes the output folder needs for all rows, some built at a time."""
    known = list(rows)
    beyond = heapq.nlargest(BEGUN, (max(row.peak - row.written, 0) for row in known))
    return sum(row.written for row in known) + sum(beyond)
