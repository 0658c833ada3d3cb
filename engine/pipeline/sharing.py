"""Volumes that one build takes from a store, and those that it puts there for others."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

from engine.manifest.datasums import DataSums
from engine.manifest.manifest import Manifest
from engine.manifest.memory import MADE
from engine.pipeline.repeats import Hashed, Part, Repeats
from engine.pipeline.sparse import copy_data
from engine.pipeline.store import Claim, Damaged, Store, Stored
from engine.pipeline.work import Work
from engine.plan.model import StepPlan, VolumePlan
from engine.provenance.inputs import Summed, read_sums, summed
from engine.reuse import maker
from engine.reuse.key import volume_key
from engine.units import MIB, human

_OF_VOLUME = frozenset({"make", "populate", "check"})
"""Verbs of the steps that make a volume what it is in the store."""

_MOST_READ = 8
"""Files are read for the key of a volume while they are at most one part in so many of it."""

_WORTH = MIB
"""Bytes written from which on a volume is put into a store."""

_LOOK_SECONDS = 0.01
"""Between two looks whether another build has made a volume."""


class Shelf:
    """A store as the builds of one process use it, with what they have learned.

    Args:
        store: The store.
        stays: It is kept for later builds, so that every volume is worth putting in.
    """

    def __init__(self, store: Store, *, stays: bool) -> None:
        self.store = store
        self.stays = stays
        self._state = store.digests_state()
        self.digests = store.digests()
        self.hashed = Hashed()
        self.summed: WeakKeyDictionary[Manifest, Summed] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Takes what other builds have learned meanwhile."""
        with self._lock:
            state = self.store.digests_state()
            if state != self._state:
                self.digests = self.digests.joined(self.store.digests())
                self._state = state

    def learn(self, manifest: Manifest, sums: Mapping[int, bytes]) -> None:
        """Keeps the digests of a manifest's files, for other builds and processes, too.

        Raises:
            OSError: They cannot be written.
        """
        with self._lock:
            self.digests.learn(manifest, sums)
            self.store.learn(self.digests)


@dataclass(slots=True)
class Sharing:
    """What one build shares with others.

    Attributes:
        shelf: The store, or None for a build on its own.
        shared: Volumes that other builds have, too: by id a name for what makes them the same,
            under which one build waits for another that makes it.
        later: Those that another build is to make: what this one has for itself comes first.
        aside: Left while it waits for another build, so that somebody else takes its turn.
        taken: Bytes that were taken over, by id of the volume.
        repeats: The volumes of the image that are in the store.
    """

    shelf: Shelf | None = None
    shared: Mapping[str, str] = field(default_factory=dict)
    later: Collection[str] = ()
    aside: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext
    taken: dict[str, int] = field(default_factory=dict)
    repeats: Repeats = field(default_factory=Repeats)
    _claims: dict[str, Claim] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.shelf is not None:
            self.repeats = Repeats(self.shelf.hashed)

    @property
    def reused(self) -> int:
        """Bytes that were taken over."""
        return sum(self.taken.values())

    def close(self) -> None:
        """Lets go of all that others may wait for."""
        for volume in list(self._claims):
            self._release(volume)

    def ordered(self, steps: Sequence[StepPlan]) -> tuple[StepPlan, ...]:
        """Returns the steps of a build, those last among their like whose volume comes later."""
        if not self.later or any(step.argv and step.verb == "populate" for step in steps):
            return tuple(steps)
        ordered: list[StepPlan] = []
        late: list[StepPlan] = []
        for step in steps:
            if step.verb not in _OF_VOLUME:
                ordered += late
                late.clear()
            (late if step.verb in _OF_VOLUME and step.volume in self.later else ordered).append(
                step
            )
        return (*ordered, *late)

    async def perform(self, work: Work, step: Callable[[Work], Awaitable[None]]) -> None:
        """Carries out a step, or what takes its place: a volume of the store needs none."""
        verb, name = work.step.verb, work.step.volume
        if name in self.taken:
            if verb in _OF_VOLUME:
                return
        elif verb == "make" and await self._take(work):
            return
        if verb == "checksum":
            await self._others_read()
        await step(work)
        if verb == "check" and name:
            await self._put(work)

    async def _take(self, work: Work) -> bool:
        """Puts a volume from the store in its place; whether there was one."""
        shelf, volume = self.shelf, work.volume
        if shelf is None or not self._worth(volume):
            return False
        versions = await work.versions_of(maker.tools(work.plan, volume))
        try:
            await self._wait(work)
            found = await work.thread(lambda report: _find(work, shelf, versions))
            if found is None:
                return False
            # It is there for good: whoever waits need not wait for the copy as well.
            self._release(volume.id)
            await work.thread(lambda report: _fetch(work, found))
        except Damaged as damage:
            work.note(f"the store's {volume.title} was damaged and is thrown out: {damage}")
            return False
        except OSError as error:
            work.note(f"the store cannot be read: {error.strerror}")
            return False
        self.taken[volume.id] = found.stored.data
        self._note(work, found.stored.key)
        work.note(f"{volume.title}: taken over from the store, {human(found.stored.data)}")
        return True

    async def _put(self, work: Work) -> None:
        """Puts a volume that was made and checked into the store, if it is worth it."""
        shelf, volume = self.shelf, work.volume
        if shelf is None or not self._worth(volume):
            return
        versions = await work.versions_of(maker.tools(work.plan, volume))
        try:
            key, kept = await work.thread(lambda report: _keep(work, shelf, versions))
        except OSError as error:
            work.note(f"not put into the store: {error.strerror}")
        else:
            if key is not None:
                self._note(work, key)
            if kept:
                work.note(f"{volume.title}: put into the store")
        self._release(volume.id)

    def _note(self, work: Work, key: str) -> None:
        """Notes what a part of the image is known by."""
        self.repeats.parts.append(Part(key, work.offset, work.offset + work.volume.bytes))

    def _worth(self, volume: VolumePlan) -> bool:
        filesystem = volume.filesystem
        if filesystem is None or not filesystem.filled or self.shelf is None:
            return False
        large = filesystem.written_bytes >= _WORTH
        return large and (volume.id in self.shared or self.shelf.stays)

    async def _wait(self, work: Work) -> None:
        """Waits while another build makes the same volume; holding one, it waits for no other."""
        shelf, name = self.shelf, self.shared.get(work.volume.id)
        if shelf is None or name is None or self._claims:
            return
        volume = work.volume.id
        # Known before it is held: another volume may come here meanwhile.
        self._claims[volume] = shelf.store.claim(name) or Claim()
        if not self._claims[volume].held:
            work.note(f"waiting: another build makes the {work.volume.title}")
            async with self.aside():
                self._claims[volume] = await _claimed(shelf.store, name)
        await work.thread(lambda report: shelf.renew())

    async def _others_read(self) -> None:
        """Lets others take its turn while another build computes what the digest goes on from."""
        parts, hashed = self.repeats.parts, self.repeats.hashed
        if not hashed.reading.isdisjoint(parts):
            async with self.aside():
                while True:
                    await asyncio.sleep(_LOOK_SECONDS)
                    if hashed.reading.isdisjoint(parts):
                        break

    def _release(self, volume: str) -> None:
        claim = self._claims.pop(volume, None)
        if claim is not None:
            claim.release()


async def _claimed(store: Store, name: str) -> Claim:
    while True:
        claim = store.claim(name)
        if claim is not None:
            return claim
        await asyncio.sleep(_LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class _Found:
    """A volume of the store, and what it was filled from."""

    stored: Stored
    summed: Summed


def _find(work: Work, shelf: Shelf, versions: Mapping[str, str]) -> _Found | None:
    """Returns a volume that the store has.

    Only what its key cannot be told without is read: files that changed, and those of our own
    making; where that is much of it, making the volume tells it along the way.
    """
    manifest = work.manifest
    found = shelf.summed.get(manifest)
    if found is None:
        sums, missing = shelf.digests.known(manifest)
        unknown = sum(entry.size for entry in missing)
        if unknown > manifest.counts.data_bytes // _MOST_READ + _WORTH:
            return None
        read = read_sums(missing, work.cancelled).of(missing)
        for entry in missing:
            sums.adopt(entry, read[id(entry)])
        found = summed(manifest, sums.of(manifest))
        # What lies on a disk and had to be read has no identity: it may be changing still.
        if all(entry.source is MADE for entry in missing) and not work.cancelled():
            shelf.summed[manifest] = found
    key = volume_key(work.plan, work.volume, {}, versions, contents=found.whole)
    stored = shelf.store.get(key, work.cancelled) if key is not None else None
    return None if stored is None else _Found(stored, found)


def _fetch(work: Work, found: _Found) -> None:
    """Copies a volume of the store into the image."""
    stored = found.stored
    _copy(stored.path, work.image, work.offset, stored.length, work.cancelled)
    work.inputs.summed[work.volume.id] = found.summed


def _copy(
    source: Path, image: Path, offset: int, length: int, cancelled: Callable[[], bool]
) -> None:
    with source.open("rb") as reader, image.open("r+b") as writer:
        copy_data(reader.fileno(), writer.fileno(), 0, length, offset, cancelled)


def _keep(work: Work, shelf: Shelf, versions: Mapping[str, str]) -> tuple[str | None, bool]:
    """Returns the key of a volume, and whether it was put into the store just now."""
    data: DataSums = work.inputs.data
    sums = data.of(work.manifest)
    contents = work.inputs.filesystems.get(work.volume.id)
    key = volume_key(work.plan, work.volume, sums, versions, contents=contents)
    if key is None:
        return None, False
    kept = shelf.store.put(key, work.image, work.offset, work.volume.bytes, work.cancelled)
    shelf.learn(work.manifest, sums)
    return key, kept
