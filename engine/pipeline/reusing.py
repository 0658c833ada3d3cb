"""What one build takes over from the one before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.patching import Patched
from engine.filesystems.placed import Place
from engine.manifest.datasums import DataSums
from engine.manifest.entry import Entry
from engine.pipeline.packing import DIGESTS
from engine.pipeline.takeover import Range, Reused, add
from engine.pipeline.taking import Sum
from engine.plan.model import Plan, StepPlan, VolumePlan
from engine.provenance.fsverity import FsVerity
from engine.provenance.inputs import Digest
from engine.reuse.details import Details, Writer
from engine.reuse.digests import Digests
from engine.reuse.leaves import LeafWriter
from engine.reuse.part import Part
from engine.reuse.places import Known, Places
from engine.reuse.record import (
    ArchiveRecord,
    Items,
    Record,
    Seen,
    SourceRecord,
    Unbelievable,
    VolumeRecord,
    details_path,
    leaves_path,
    load,
    unchanged,
)

COMPARE = StepPlan(id="compare", verb="compare", title="Compare with the last build")
TAKE_OVER = StepPlan(id="take-over", verb="take-over", title="Take over what has not changed")

_BEFORE = frozenset(
    {"check", "efi-variables", "convert", "hook", "prove", "wrap", "pack", "sbom", "checksum"}
)
"""Verbs of steps that need the whole image."""

_SKIPPED = frozenset({"make", "populate", "check"})
"""Verbs of the steps of a volume whose bytes are taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What the record of a build says that is known before the outputs are."""

    design: str
    volumes: tuple[VolumeRecord, ...]
    sources: tuple[SourceRecord, ...]
    archives: tuple[ArchiveRecord, ...]
    machine: tuple[SourceRecord, ...]
    items: Items


@dataclass(slots=True)
class Reuse:
    """The state of it, which the steps of one build share.

    Attributes:
        update: Whether anything is to be taken over.
        asked: What was asked for (`engine.reuse.sources.asked`), or "".
        record: Of the last build, once it is believed.
        files: Where its files' data is, by volume (`engine.reuse.places`).
        cold: Why nothing is taken over of the image; "" where something may be.
        nothing: Everything is already as it should be.
        versions: Of the plan's tools, once somebody asked.
        machine: What the program and its tools are files of, where the last build's are the same.
        filesystems, contents: Digests of what goes in, once they are known.
        digests: Of files, by identity.
        sums: Of this build's files with data, by id of the entry, as far as they are known before
            anything is written.
        taken_over: Volumes taken over as a whole, by id, as they are in the old image.
        kept: Bytes that the old image has.
        touched: Ranges of the old image that differ in the new one, once that is known.
        moved: Of them, what the old image has elsewhere.
        tree: Digests of parts of the image, by their number (`engine.provenance.fsverity`).
        leaves: Takes those of its blocks.
        fillings: What was told of files' places, a volume each.
        plan: As it was before anything was written, where a record of the build is to be left.
        gathered: For that record, or why there can be none.
        details: What is beside it, until that has its name.
        seen: What was seen of the sources, where they were not scanned for the plan.
        patches: Of volumes that are taken over but for these entries, by id.
        patched: These volumes, as they are in the old image.
    """

    update: bool = False
    asked: str = ""
    seen: Seen | None = None
    record: Record | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    cold: str = ""
    nothing: bool = False
    versions: dict[str, str] | None = None
    machine: tuple[SourceRecord, ...] = ()
    filesystems: dict[str, Digest] = field(default_factory=dict)
    contents: dict[str, Digest] = field(default_factory=dict)
    digests: Digests = field(default_factory=Digests)
    sums: Mapping[int, bytes] = field(default_factory=dict)
    taken_over: dict[str, VolumeRecord] = field(default_factory=dict)
    kept: list[Reused] = field(default_factory=list)
    touched: list[Range] | None = None
    moved: list[Reused] = field(default_factory=list)
    tree: dict[int, bytes] = field(default_factory=dict)
    leaves: LeafWriter | None = None
    fillings: list[Filling] = field(default_factory=list)
    plan: Plan | None = None
    gathered: Gathered | OSError | None = None
    details: Writer | None = None
    patches: dict[str, list[Patched]] = field(default_factory=dict)
    patched: dict[str, VolumeRecord] = field(default_factory=dict)
    _places: dict[str, Places] = field(default_factory=dict)

    def close(self) -> None:
        """Removes what was to be beside a record that there is not."""
        if self.leaves is not None:
            self.leaves.discard()
        if self.details is not None:
            self.details.discard()

    def takers(self, kinds: Iterable[str], outdir: Path) -> dict[str, Sum | FsVerity]:
        """Returns what computes digests of the image, by algorithm.

        Args:
            kinds: The algorithms.
            outdir: The output folder.
        """
        found = {kind: DIGESTS[kind]() for kind in kinds}
        path = leaves_path(outdir)
        if "fsverity" in found and self.plan is not None and path is not None:
            self.leaves = LeafWriter(Part(path))
            found["fsverity"] = FsVerity(self.leaves.keep)
        return found

    def keep_tree(self, taker: object) -> None:
        """Keeps the digests of the image's parts for the next update, where they were computed."""
        if isinstance(taker, FsVerity):
            self.tree = taker.groups

    def skips(self, step: StepPlan) -> bool:
        """Whether a step has nothing to do."""
        if step.verb == "make" and step.volume in self.patches:
            return True
        return self.nothing or (step.verb in _SKIPPED and step.volume in self.taken_over)

    def places(self, volume: VolumePlan, filesystem: FilesystemPlan) -> Places:
        """Returns what takes the places of a volume's files."""
        return self._places.setdefault(volume.id, Places(filesystem.block_size))

    def placed(self, volume: VolumePlan) -> Places | None:
        """Returns where a volume's files were placed, if they were, and keeps it no longer."""
        return self._places.pop(volume.id, None)

    def known(self, volume: VolumePlan) -> tuple[VolumeRecord, Known] | None:
        """Returns the volume of that id in the old image, if places in it are known."""
        if self.record is None or self.cold:
            return None
        for one in self.record.volumes:
            if one.id == volume.id and self.files.get(one.id):
                return one, Known(self.files[one.id])
        return None


def steps_of(plan: Plan, *, update: bool) -> tuple[StepPlan, ...]:
    """Returns the steps of a build, with those that an update adds."""
    if not update:
        return plan.steps
    at = next(i for i, step in enumerate(plan.steps) if step.verb in _BEFORE)
    return (COMPARE, *plan.steps[:at], TAKE_OVER, *plan.steps[at:])


def whole_image(plan: Plan) -> str:
    """Returns why nothing of the raw image can be taken over in an update, or ""."""
    if plan.output.format.qemu_img or plan.output.format.wrap or not plan.output.keep_raw:
        return "the raw image is not among the outputs"
    if any(step.verb == "hook" for step in plan.steps):
        return "`hooks.after_build` may change the image in ways that only running it again shows"
    if plan.boot.guest is not None or plan.boot.loader == "nixos":
        return "the system's own boot loader installer writes to the image"
    if plan.hash_trees:
        return "an image with hash trees is hashed from its first byte"
    return ""


def believed(outdir: Path) -> Record:
    """Returns the record of a folder whose outputs are those that it speaks of.

    Raises:
        Unbelievable: It is not.
    """
    record = load(outdir)
    changed = [one.name for one in record.outputs if not unchanged(outdir / one.name, one.state)]
    if changed:
        listed = ", ".join(changed[:3]) + (" and more" if len(changed) > 3 else "")
        raise Unbelievable(f"{listed} changed since the last build, or went")
    return record


def details(outdir: Path, record: Record) -> Details:
    """Returns the larger part of the record of an output folder.

    Raises:
        Unbelievable: There is no place where it could be.
    """
    path = details_path(outdir)
    if path is None:
        raise Unbelievable("there is no cache to keep a record in")
    return Details(path, record.items)


class Filling:
    """Takes what files hold while a volume is filled, and says what need not be written.

    Attributes:
        files: How many with data were placed.
        kept: How many of them the old image has.
    """

    def __init__(
        self, volume: VolumePlan, offset: int, reuse: Reuse, sums: DataSums,
        settled: Callable[[int], None],
    ) -> None:  # fmt: skip
        """Prepares it.

        Args:
            volume: The volume.
            offset: Byte of the image where it begins.
            reuse: Gets the places, and what is kept.
            sums: Takes the digests.
            settled: Called with a byte of the image before which all of the volume stays as it is.
        """
        filesystem = volume.filesystem
        assert filesystem is not None
        self.files = self.kept = 0
        reuse.fillings.append(self)
        self._entries: Iterable[Entry] = filesystem.manifest
        self._offset = offset
        self._reuse = reuse
        self._sums = sums
        self._tell = settled
        self._size = filesystem.block_size
        self._places = reuse.places(volume, filesystem)
        self._known = reuse.known(volume) if reuse.update else None
        self.take = sums.take

    def settled(self, end: int) -> None:
        """Tells how much of the volume stays as it is."""
        self._tell(self._offset + end)

    def adopt_all(self, entries: Iterable[Entry], digests: Iterable[bytes]) -> None:
        """Takes files' digests in place of their data."""
        self._sums.adopt_all(entries, digests)

    def over(self) -> None:
        """Lets go of tens of megabytes once the volume is filled."""
        self._known = None
        self._entries = ()

    def spared(self) -> tuple[int, int]:
        """Returns how many files, and bytes, the old image has."""
        if self._known is None:
            return 0, 0
        has, get = self._known[1].has, self._reuse.sums.get
        sizes = [entry.size for entry in self._entries if has(get(id(entry), b""))]
        return len(sizes), sum(sizes)

    def placed(self, entries: Sequence[Entry], places: Sequence[Place | None]) -> Collection[int]:
        """Takes the places of files; returns which of them have data that the old image has."""
        self._places.put(entries, places)
        self.files += len(places) - places.count(None)
        if self._known is None:
            return ()
        pairs = enumerate(zip(entries, places, strict=True))
        return {at for at, (entry, place) in pairs if self._has(entry, place)}

    def _has(self, entry: Entry, place: Place | None) -> bool:
        """Whether the old image has the data of a file, which is then kept."""
        assert self._known is not None
        if not place:
            return self._reuse.digests.of(entry) is not None
        old, known = self._known
        digest = self._reuse.sums.get(id(entry))
        if digest is None or known.block_size != self._size:
            return False
        runs = known.runs(digest, entry.size, place)
        if runs is None:
            return False
        size = self._size
        for here, there, count in runs:
            one = Reused(self._offset + there * size, old.offset + here * size, count * size)
            add(self._reuse.kept, one)
        self._sums.adopt(entry, digest)
        self.kept += 1
        return True
