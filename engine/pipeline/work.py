"""What a step works with: the plan, the image in the making, tools, threads, events."""

from __future__ import annotations

import asyncio
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from engine.boot.overlay import overlay
from engine.events import Artifact, Emit, Log, Progress
from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.verity import driver
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.pipeline import staging
from engine.pipeline.ahead import Ahead
from engine.pipeline.following import Following
from engine.pipeline.proof import Verdict
from engine.pipeline.repeats import Repeats
from engine.pipeline.reusing import Reuse
from engine.pipeline.schedule import Earlier
from engine.pipeline.staging import Staging
from engine.pipeline.threads import in_thread
from engine.pipeline.versions import Versions
from engine.plan import nixos, steps
from engine.plan.model import Plan, StepPlan, VolumePlan
from engine.provenance.inputs import Inputs
from engine.tools import runner
from engine.tools.environment import tool_environment

T = TypeVar("T")

_PROGRESS_INTERVAL = 0.1
# Tools run in the hidden folder and see plain relative names: no character of the output
# folder's name can then be taken for an offset ("?"), a drive ("@@") or a protocol (":").
_PLACES = {
    steps.IMAGE: staging.IMAGE,
    nixos.ROOT: staging.ROOT,
    nixos.KERNEL: staging.GUEST_KERNEL,
    nixos.INITRD: staging.GUEST_INITRD,
    nixos.STATUS: staging.GUEST_STATUS,
    steps.OUTPUT: staging.OUTPUT,
    driver.ROOT_HASH_FILE: staging.ROOT_HASH_FILE,
    driver.SIGNATURE_FILE: staging.SIGNATURE_FILE,
}


@dataclass(slots=True)
class Work:
    """One step's view of the build.

    Attributes:
        emit: Takes events; call it from the event loop's thread only.
        earlier: Waits until all steps before this one are over, of which some may still read the
            image by the name that it is made under.
        artifacts: The finished outputs by name, once their sums are known.
        proofs: How the image booted, where that was to be proved.
        inputs: What went in, once that is known.
        loader_files: What the system's own installer made, by id of the volume that it goes to.
        root_hashes: In hexadecimal, by id of what is hashed, once that is written.
        reuse: What is taken over from the last build, and gathered for the next.
        repeats: What the image has in common with others of this process.
        versions: Of tools, as far as this process has asked.
        following: Computes the image's digest while others still write.
        ahead: Notes what goes in meanwhile.
    """

    plan: Plan
    step: StepPlan
    staging: Staging
    emit: Emit
    earlier: Earlier
    following: Following
    ahead: Ahead
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    proofs: list[Verdict] = field(default_factory=list)
    inputs: Inputs = field(default_factory=Inputs)
    loader_files: dict[str, list[Entry]] = field(default_factory=dict)
    root_hashes: dict[str, str] = field(default_factory=dict)
    reuse: Reuse = field(default_factory=Reuse)
    repeats: Repeats = field(default_factory=Repeats)
    versions: Versions = field(default_factory=Versions)
    _stop: threading.Event = field(default_factory=threading.Event)
    _said: float = 0.0

    @property
    def image(self) -> Path:
        """The raw image in the making."""
        return self.staging.image

    @property
    def copy(self) -> Path:
        """Where a file of the step's volume alone is made, for programs that know no offset."""
        return self.staging.folder / staging.volume(self.step.volume)

    @property
    def volume(self) -> VolumePlan:
        """The volume that the step is about."""
        return self.plan.volume(self.step.volume)

    @property
    def filesystem(self) -> FilesystemPlan:
        """The file system of that volume."""
        filesystem = self.volume.filesystem
        assert filesystem is not None
        return filesystem

    @property
    def offset(self) -> int:
        """The byte of the image at which that volume begins."""
        return self.plan.offset(self.step.volume)

    @property
    def manifest(self) -> Manifest:
        """What goes into that volume: what was planned, and what the system's installer made."""
        planned = self.filesystem.manifest
        made = self.loader_files.get(self.volume.id)
        return overlay(planned, made) if made else planned

    async def versions_of(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the version of each tool by name, without those that do not say."""
        return await self.versions.of(names, self.plan.identity.epoch, step=self.step.id)

    def cancelled(self) -> bool:
        """Whether work in a thread should end at once."""
        return self._stop.is_set()

    def note(self, text: str) -> None:
        """Logs a line of the step's own narration."""
        self.emit(Log(id=self.step.id, stream="note", text=text))

    def progress(self, done: int, total: int, unit: str = "bytes") -> None:
        """Reports progress, at most ten times a second and always at the end."""
        if self._due(done, total):
            self.emit(Progress(id=self.step.id, done=done, total=total, unit=unit))

    def _due(self, done: int, total: int) -> bool:
        """Whether progress is to be told of now."""
        now = time.monotonic()
        if done < total and now - self._said < _PROGRESS_INTERVAL:
            return False
        self._said = now
        return True

    async def tool(
        self,
        argv: Sequence[str],
        *,
        feed: Iterable[bytes | memoryview] | None = None,
        progress: runner.ParseProgress | None = None,
        accept: frozenset[int] = frozenset({0}),
        quiet: bool = False,
        extra: dict[str, str] | None = None,
        verbatim: bool = False,
        output: int | None = None,
    ) -> runner.ToolResult:
        """Runs a command of the plan in the hidden folder; see `runner.run`.

        Args:
            extra: More environment variables.
            verbatim: Leave what looks like a placeholder alone: the text is the user's.
        """
        command = tuple(argv) if verbatim else tuple(self._replaced(word) for word in argv)
        self.emit(Log(id=self.step.id, stream="command", text=shlex.join(command)))
        return await runner.run(
            command,
            step=self.step.id,
            emit=self.emit,
            env=tool_environment(self.plan.identity.epoch) | (extra or {}),
            feed=feed,
            progress=progress,
            accept=accept,
            quiet=quiet,
            output=output,
            cwd=self.staging.folder,
        )

    async def thread(self, call: Callable[[Callable[[int, int], None]], T]) -> T:
        """Runs blocking work in a thread, handing it a function that reports (done, total) bytes.

        On cancel the thread is told through `cancelled` and waited for, so that nothing writes
        to the image any more once this returns.
        """
        loop = asyncio.get_running_loop()

        def report(done: int, total: int) -> None:
            if self._due(done, total):  # each call wakes the event loop's thread
                loop.call_soon_threadsafe(
                    self.emit, Progress(id=self.step.id, done=done, total=total, unit="bytes")
                )

        return await in_thread(lambda _: call(report), self._stop)

    def _replaced(self, word: str) -> str:
        for placeholder, name in _PLACES.items():
            word = word.replace(placeholder, name)
        return word.replace(steps.VOLUME, self.copy.name)
