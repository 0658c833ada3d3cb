"""Builds the rows of a fleet that there is anything to do for, by whatever executor."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from engine.events import AnyEvent
from engine.fleet import record
from engine.fleet.events import (
    DONE,
    FleetEmit,
    FleetEvent,
    FleetFinished,
    FleetStarted,
    RowFinished,
    RowOutline,
    RowStarted,
    Said,
    State,
    at,
    encode,
)
from engine.fleet.job import Executor, Job, Outcome, StoreUse
from engine.fleet.model import Row
from engine.fleet.plan import FleetPlan
from engine.fleet.prepare import Prepared
from engine.fleet.record import RowRecord
from engine.pipeline.locking import locked
from engine.problem import Problem, Refused

_SHELF = ".store.diskwright-part"
"""What images of one run share; a run that is killed leaves it, and the next sweeps it away."""

_SAVE_SECONDS = 1.0
"""Least time between two moves of fleet.json; the journal has every row at once."""


@dataclass(frozen=True, slots=True)
class FleetResult:
    """How a fleet ended.

    Attributes:
        rows: All of them, in order.
        trouble: Why the record could not be written, or "".
    """

    status: Literal["ok", "failed"]
    seconds: float
    rows: tuple[RowRecord, ...]
    trouble: str = ""


def _shared(plan: FleetPlan) -> dict[str, dict[str, str]]:
    """Returns for each image the volumes that others have, by id a name for what they are."""
    likeness = {
        (row.row.name, volume.id): volume.likeness for row in plan.rows for volume in row.volumes
    }
    found: dict[str, dict[str, str]] = {}
    for share in plan.shares:
        for image in share.images:
            found.setdefault(image, {})[share.volume] = likeness[image, share.volume]
    return found


class Run:
    """One run of a fleet: hands rows to an executor, and keeps record and journal."""

    def __init__(
        self,
        prepared: Prepared,
        executor: Executor,
        emit: FleetEmit,
        store: StoreUse | None = None,
    ) -> None:
        """Prepares it.

        Args:
            prepared: Without errors.
            executor: What builds.
            emit: Called with every event, on the event loop's thread; must not block.
            store: The store to use; without one, what images share is kept in the output folder
                until the end.
        """
        self._prepared = prepared
        self._store = store or StoreUse()
        self._shared = _shared(prepared.plan)
        self._makers: dict[str, str] = {}
        self._planned = {row.row.name: row for row in prepared.plan.rows}
        self._executor = executor
        self._emit = emit
        self._rows = {row.name: row for row in prepared.fleet.rows}
        self._records = {
            name: prepared.kept.get(name) or self._blank(name, "waiting") for name in self._rows
        }
        self._pending = [name for name in self._rows if name not in prepared.kept]
        self._running: set[asyncio.Task[None]] = set()
        self._ended: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._begun = time.monotonic()
        self._saved = 0.0
        self._trouble = ""
        self._journal: record.Journal | None = None
        self._flushing: asyncio.Handle | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return round(time.monotonic() - self._begun, 4)

    def _blank(self, name: str, state: State, worker: str = "") -> RowRecord:
        """Returns the record of a row without an image of this run; files may be there still."""
        files = dict(self._prepared.files.get(name, {}))
        return RowRecord(image=name, state=state, worker=worker, files=files)

    def retry(self, name: str) -> bool:
        """Puts a row that ended without an image back in; whether it could be."""
        if self._records[name].state in {"waiting", "running", *DONE}:
            return False
        self._records[name] = self._blank(name, "waiting")
        self._pending.append(name)
        self._wake.set()
        return True

    async def run(self, *, stay: Callable[[], bool] = lambda: False) -> FleetResult:
        """Builds all rows that have to be.

        Args:
            stay: Whether to wait for rows that are put back in, when there is nothing to do.

        Raises:
            Refused: The output folder cannot be written to, or another fleet writes there.
            asyncio.CancelledError: It was cancelled; rows that are done stay, no other is begun.
        """
        prepared = self._prepared
        if prepared.errors:
            raise Refused([one.problem for one in prepared.errors])
        with locked(prepared.outdir), self._opened(), self._shelved():
            self._say(
                FleetStarted(
                    fleet=str(prepared.fleet.path),
                    rows=tuple(self._outlines()),
                    workers=self._executor.workers,
                )
            )
            try:
                self._keep()
                await self._work(stay)
            except asyncio.CancelledError:
                await self._stop()
                self._finish("cancelled")
                raise
            failed = any(row.state not in DONE for row in self._records.values())
            return self._finish("failed" if failed else "ok")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        """Begins the record and the journal; what the journal before tells is in the record."""
        try:
            self._save("running")
        except OSError as error:
            message = f"{self._prepared.outdir} cannot be written to: {error.strerror}"
            raise Refused([Problem("output-folder", "error", "", message)]) from None
        self._journal = record.Journal(self._prepared.outdir)
        try:
            yield
        finally:
            self._journal.close()
            self._journal = None

    @contextlib.contextmanager
    def _shelved(self) -> Iterator[None]:
        """Has a store for what images share, of this run alone where no other is named."""
        if self._store.folder is not None or not self._shared:
            yield
            return
        folder = self._prepared.outdir / _SHELF
        self._store = StoreUse(folder)
        try:
            yield
        finally:
            self._store = StoreUse()
            shutil.rmtree(folder, ignore_errors=True)

    def _outlines(self) -> Iterator[RowOutline]:
        for name in self._rows:
            row = self._planned.get(name)
            kept = self._prepared.kept.get(name)
            yield RowOutline(
                image=name,
                bytes=row.bytes if row else kept.bytes if kept else 0,
                written=row.written if row else 0,
                state="unchanged" if kept else "waiting",
            )

    def _keep(self) -> None:
        """Tells of the rows that stay as they are."""
        for name, kept in self._prepared.kept.items():
            size = sum(each.bytes for each in kept.outputs)
            # What the next run is to believe stays; what this one did for it is nothing.
            self._records[name] = msgspec.structs.replace(
                kept, state="unchanged", seconds=0.0, reused=size, worker="", message=None
            )
            self._tell(name)

    async def _work(self, stay: Callable[[], bool]) -> None:
        while self._pending or self._running or stay():
            slots = self._executor.slots
            while self._pending and (slots is None or len(self._running) < slots):
                name = self._pending.pop(0)
                task = asyncio.ensure_future(self._row(self._rows[name]))
                self._running.add(task)
                task.add_done_callback(self._ended.append)
                task.add_done_callback(lambda _: self._wake.set())
            await self._wake.wait()
            self._wake.clear()
            while self._ended:
                task = self._ended.pop()
                self._running.discard(task)
                task.result()  # a fault of ours: it ends everything

    async def _stop(self) -> None:
        """Cancels what runs, and waits until nothing of it is left."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _row(self, row: Row) -> None:
        name = row.name
        # What a run before it left behind is this fleet's own; a build that failed left nothing.
        force = name in self._prepared.replaceable
        plan = self._planned.get(name)
        job = Job.of(
            row, self._prepared.outdir / name, force=force, use=self._store,
            shared=self._shared.get(name, {}), later=self._later(name),
            room=plan.peak if plan else 0, planned=plan.digest if plan else "",
        )  # fmt: skip
        begun = self.elapsed

        def say(event: AnyEvent) -> None:
            self._say(Said(name, event))

        def began(worker: str) -> None:
            self._records[name] = self._blank(name, "running", worker)
            self._say(RowStarted(image=name, worker=worker))

        try:
            outcome = await self._executor.build(job, say, began)
        except asyncio.CancelledError:
            seconds = round(self.elapsed - begun, 4)
            self._end(Outcome(name=name, state="cancelled", seconds=seconds))
            raise
        self._end(outcome)

    def _later(self, name: str) -> tuple[str, ...]:
        """Returns the volumes of a row that one before it is to make."""
        shared = self._shared.get(name, {})
        return tuple(
            volume for volume, alike in shared.items()
            if self._makers.setdefault(alike, name) != name
        )  # fmt: skip

    def _end(self, outcome: Outcome) -> None:
        prepared, name = self._prepared, outcome.name
        folder = prepared.outdir / name
        ok = outcome.state in DONE
        left = {file: record.identity(folder / file) for file in outcome.files}
        self._records[name] = RowRecord(
            image=name, state=outcome.state, digest=outcome.digest, seconds=outcome.seconds,
            reused=outcome.reused, bytes=outcome.outputs[0].bytes if outcome.outputs else 0,
            worker=outcome.worker, outputs=outcome.outputs,
            files=left if ok else dict(prepared.files.get(name, {})),
            inputs=prepared.inputs.get(name, "") if ok else "",
            step=outcome.step, message=outcome.message, hint=outcome.hint,
        )  # fmt: skip
        self._tell(name)
        if self.elapsed - self._saved > _SAVE_SECONDS:
            self._try_to_save("running")

    def _tell(self, name: str) -> None:
        """Says how a row ended, with its record for a run that goes on after this one."""
        row = self._records[name]
        event = RowFinished(
            time=self.elapsed, image=name, state=row.state, seconds=row.seconds,
            worker=row.worker, bytes=row.bytes, digest=row.digest, reused=row.reused,
            step=row.step, message=row.message, hint=row.hint,
        )  # fmt: skip
        if self._journal is not None:
            self._journal.write(record.finished_line(event, row))
        self._emit(event)

    def _say(self, event: FleetEvent) -> None:
        event = at(event, self.elapsed)
        if self._journal is not None:
            soon = isinstance(event, Said)
            self._journal.write(encode(event), soon=soon)
            if soon and self._flushing is None:
                # Events come in bunches: they are written together.
                self._flushing = asyncio.get_running_loop().call_soon(self._flush)
        self._emit(event)

    def _flush(self) -> None:
        self._flushing = None
        if self._journal is not None:
            self._journal.flush()

    def _finish(self, status: Literal["ok", "failed", "cancelled"]) -> FleetResult:
        rows = tuple(self._records.values())
        self._try_to_save(status)
        states = dict(Counter[str](row.state for row in rows))
        self._say(FleetFinished(status=status, seconds=self.elapsed, states=states))
        ended: Literal["ok", "failed"] = "ok" if status == "ok" else "failed"
        return FleetResult(ended, self.elapsed, rows, self._trouble)

    def _save(self, state: str) -> None:
        fleet = str(self._prepared.fleet.path)
        rows: Sequence[RowRecord] = tuple(self._records.values())
        record.save(self._prepared.outdir, fleet, state, self.elapsed, rows)
        self._saved = self.elapsed

    def _try_to_save(self, state: str) -> None:
        try:
            self._save(state)
            self._trouble = ""
        except OSError as error:
            self._trouble = f"{record.RECORD} cannot be written: {error.strerror}"
