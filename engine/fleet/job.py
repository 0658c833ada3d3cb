"""One row's build as a task: small data in, small data out; the image stays where it is made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from engine import __version__
from engine.events import Artifact, Emit
from engine.fleet.events import State
from engine.fleet.identity import EPOCH
from engine.fleet.model import Row
from engine.fleet.plan import ImageOutline
from engine.spec.model import ImageSpec


@dataclass(frozen=True, slots=True)
class StoreUse:
    """The store of a fleet.

    Attributes:
        folder: The store; None for none.
        stays: It is kept for later fleets.
        limit: Bytes that it may take, or None.
    """

    folder: Path | None = None
    stays: bool = False
    limit: int | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True, tag="build"):
    """What a worker needs to build one image; a few kilobytes.

    Attributes:
        where, file: Of the row and its spec, for messages.
        base: Folder that relative sources start from; the worker sees the same files there.
        outdir: Folder of the image.
        force: Outputs that exist may be replaced.
        epoch: The environment's SOURCE_DATE_EPOCH, or None.
        program: Version that planned the fleet; a worker of another one refuses.
        store: Folder of the store that builds share, or "" for none.
        stays: The store is kept for later builds.
        limit: Bytes that it may take, or None.
        shared: Volumes that other images have, too: by id a name for what makes them the same.
        later: Those of them that another row is to make.
        room: Bytes that it takes of the output folder at the most.
        planned: Digest of what was planned (`ImageOutline.digest`), or "".
        run: Of which run of a fleet it is, for a process that serves several: what such a one has
            seen in another run is not believed, and it refuses what it sees otherwise than planned.
    """

    name: str
    where: str
    file: str
    spec: ImageSpec
    base: str
    outdir: str
    force: bool = False
    epoch: str | None = None
    program: str = __version__
    store: str = ""
    stays: bool = False
    limit: int | None = None
    shared: dict[str, str] = {}
    later: tuple[str, ...] = ()
    room: int = 0
    planned: str = ""
    run: str = ""

    @classmethod
    def of(
        cls,
        row: Row,
        outdir: Path,
        *,
        force: bool,
        use: StoreUse | None = None,
        shared: Mapping[str, str] | None = None,
        later: Iterable[str] = (),
        room: int = 0,
        planned: str = "",
    ) -> Job:
        """Returns the task of a row."""
        use = use or StoreUse()
        return cls(
            name=row.name, where=row.where, file=row.file, spec=row.spec,
            base=str(row.base.absolute()), outdir=str(outdir.absolute()), force=force,
            epoch=os.environ.get(EPOCH), store=str(use.folder.absolute()) if use.folder else "",
            stays=use.stays, limit=use.limit, shared=dict(shared or {}), later=tuple(later),
            room=room, planned=planned,
        )  # fmt: skip

    @property
    def row(self) -> Row:
        """The row, as planning takes it."""
        return Row(0, self.name, self.where, self.spec, Path(self.base), self.file)


class Question(msgspec.Struct, frozen=True, tag="plan"):
    """A job that is only to be planned, by the process that may be given it later."""

    job: Job


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One finished output."""

    path: str
    bytes: int
    sha256: str | None = None
    fsverity: str | None = None

    def line(self, folder: Path) -> str:
        """Returns the output as the list of its digests has it, with the folder in front."""
        path = os.fsencode(folder / self.path).decode("utf-8", "replace")
        return Artifact(
            path=path, bytes=self.bytes, sha256=self.sha256, fsverity=self.fsverity
        ).line


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the build of an image ended.

    Attributes:
        outputs: The image first; none unless `state` is "ok".
        files: Names of all files that the build left in the image's folder.
        reused: Bytes taken over from what there was.
        elsewhere: Another worker may do better: this one's disk is full, or it is gone.
    """

    name: str
    state: State
    seconds: float = 0.0
    worker: str = ""
    outputs: tuple[Made, ...] = ()
    files: tuple[str, ...] = ()
    reused: int = 0
    step: str | None = None
    message: str | None = None
    hint: str | None = None
    elsewhere: bool = False

    @property
    def digest(self) -> str:
        """Of the image, with its kind; "" where none was made."""
        if not self.outputs:
            return ""
        image = self.outputs[0]
        if image.sha256 is not None:
            return f"sha256:{image.sha256}"
        return f"fsverity:sha256:{image.fsverity}" if image.fsverity is not None else ""


class Planned(msgspec.Struct, frozen=True, tag_field="event", tag="planned"):
    """The answer to a question."""

    name: str
    image: ImageOutline


class Ended(msgspec.Struct, frozen=True, tag_field="event", tag="outcome"):
    """The last line of a job."""

    outcome: Outcome


class Executor(Protocol):
    """What carries jobs out.

    Attributes:
        workers: How many there are at the beginning.
        slots: How many jobs may be handed over at a time; None for as many as there are.
    """

    workers: int
    slots: int | None

    async def build(self, job: Job, say: Emit, begun: Callable[[str], None]) -> Outcome:
        """Builds one image.

        Args:
            job: The task.
            say: Takes the build's events, on the event loop's thread.
            begun: Called with the worker's name once one begins.

        Raises:
            asyncio.CancelledError: The task was cancelled; nothing of it goes on or is left.
        """
        ...


class Nobody:
    """Carries nothing out, where there is nothing to do."""

    workers = 1
    slots: int | None = 0

    async def build(self, job: Job, say: Emit, begun: Callable[[str], None]) -> Outcome:
        """See `Executor.build`."""
        raise NotImplementedError
