"""The plan of a fleet: what each row will be, what rows share, and what is wrong in which."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import msgspec

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.table import DRIVERS
from engine.fleet.model import Fleet, Gathered, Row, Wrong
from engine.fleet.planners import Planners
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.manifest.progress import IsCancelled
from engine.nix.roots import is_unbuilt
from engine.plan.model import Plan, VolumePlan
from engine.plan.preflight import peak_bytes
from engine.plan.steps import IMAGE, VOLUME
from engine.problem import Problem, errors
from engine.spec.filesystems import FILESYSTEMS

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
class RowPlan:
    """What a row will be.

    Attributes:
        bytes: Of the disk.
        written: About how many of them are not a hole.
        peak: Bytes that the output folder needs at the most while it is built.
        outputs: File names of the image and what goes with it.
        problems: What is wrong, with the place of each key.
    """

    row: Row
    bytes: int
    written: int
    peak: int
    outputs: tuple[str, ...]
    volumes: tuple[VolumeOutline, ...]
    problems: tuple[Problem, ...]


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


def plan_fleet(
    fleet: Fleet,
    *,
    outdir: Path | None = None,
    replaceable: Callable[[str], bool] = lambda name: False,
    wanted: Callable[[str], bool] = lambda name: True,
    planners: Planners | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: IsCancelled | None = None,
) -> FleetPlan:
    """Plans every row; writes nothing.

    Args:
        fleet: From `read_fleet`.
        outdir: Where the fleet would be built; each image has a folder of its name in it.
        replaceable: Whether outputs of an image that are there may be replaced.
        wanted: Whether an image is to be planned at all.
        planners: What reads the sources.
        progress: Called with rows done and in all.
        cancelled: Asked now and then whether to stop.

    Raises:
        engine.manifest.scan.ScanCancelled: It was asked to stop.
    """
    found = Gathered()
    for wrong in fleet.wrong:
        found.note(wrong)
    # What a row is called is wrong already: planning it would say the same in other words.
    bad = {name for one in fleet.errors for name in one.rows}
    rows = [row for row in fleet.rows if row.name not in bad and wanted(row.name)]
    planners, likeness = planners or Planners(), _Likeness()
    planned = []
    for number, row in enumerate(rows):
        progress(number, len(rows))
        folder = outdir / row.name if outdir is not None else None
        plan = planners.plan(
            row, folder, force=replaceable(row.name), keep=True, cancelled=cancelled
        )
        # What nix must build first is built when the row's turn comes.
        if is_unbuilt(plan.problems):
            plan = dataclasses.replace(plan, problems=())
        for problem in plan.problems:
            found.add(problem, row.name)
        planned.append(_outline(row, plan, likeness))
    progress(len(rows), len(rows))
    return FleetPlan(
        fleet.path, tuple(planned), found.all, tuple(_shares(planned)), tuple(_unshared(planned)),
    )  # fmt: skip


def _outline(row: Row, plan: Plan, likeness: _Likeness) -> RowPlan:
    volumes = tuple(likeness.outline(plan, volume) for volume in plan.volumes)
    wrong = bool(errors(plan.problems))
    return RowPlan(
        row=row, bytes=plan.disk.bytes, written=sum(each.written for each in volumes),
        peak=0 if wrong else peak_bytes(plan), outputs=plan.outputs, volumes=volumes,
        problems=plan.problems,
    )  # fmt: skip


class _Likeness:
    """Digests of what volumes are made from, those of a manifest computed once."""

    def __init__(self) -> None:
        self._manifests: WeakKeyDictionary[Manifest, dict[str, str]] = WeakKeyDictionary()

    def outline(self, plan: Plan, volume: VolumePlan) -> VolumeOutline:
        """Returns what a fleet's plan has of a volume."""
        filesystem = volume.filesystem
        if filesystem is None or not filesystem.filled or FILESYSTEMS[filesystem.type].layer:
            written = filesystem.written_bytes if filesystem is not None else 0
            return VolumeOutline(id=volume.id, bytes=volume.bytes, written=written)
        contents = self._contents(filesystem)
        described = (
            contents, filesystem.type, filesystem.label, filesystem.uuid, filesystem.size,
            filesystem.block_size, filesystem.blocks, filesystem.inodes, filesystem.parts,
            volume.bytes, plan.disk.sector_size, plan.identity.epoch, plan.settings.compat,
            DRIVERS[filesystem.type].make(filesystem, IMAGE, 0, VOLUME),
        )  # fmt: skip
        return VolumeOutline(
            id=volume.id,
            bytes=volume.bytes,
            written=filesystem.written_bytes,
            likeness=hashlib.sha256(msgspec.json.encode(described)).hexdigest(),
            contents=contents,
        )

    def _contents(self, filesystem: FilesystemPlan) -> str:
        known = self._manifests.setdefault(filesystem.manifest, {})
        if filesystem.type not in known:
            known[filesystem.type] = _digest(filesystem.type, filesystem.manifest)
        return known[filesystem.type]


def _digest(kind: str, manifest: Manifest) -> str:
    digest = hashlib.sha256(kind.encode())
    for entry in manifest:
        digest.update(repr(_described(entry)).encode())
    return digest.hexdigest()


def _described(entry: Entry) -> tuple[object, ...]:
    """Returns all that is known of an entry without reading it; a folder has no data to know."""
    origin = entry
    while isinstance(origin.stamp, Entry):  # its bytes at another path
        origin = origin.stamp
    archive = getattr(origin.source, "stamp", None)
    return (
        entry.path, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.target,
        entry.rdev, entry.xattrs, entry.extents, entry.link_to and entry.link_to.path,
        origin.stamp if entry.size else None, archive if entry.size else None,
    )  # fmt: skip


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
