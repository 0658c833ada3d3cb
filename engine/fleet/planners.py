"""Plans of rows: what they share is read once, and a plan that still holds is not made again.

A fleet is planned as a whole before anything is written, and its last row may be built hours later.
A plan is made again then, unless a look at each file and directory of the row's own says that
nothing has changed. What rows share is looked at with the first of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

from engine.fleet.identity import files_alone
from engine.fleet.model import Row
from engine.fleet.outline import Outliner
from engine.fleet.plan import Ask, ImageOutline
from engine.manifest.manifest import Manifest
from engine.manifest.progress import IsCancelled
from engine.plan.model import Plan
from engine.plan.preflight import peak_bytes
from engine.planning import Planner
from engine.problem import errors
from engine.reuse import sources
from engine.reuse.record import SourceRecord

_MOST_PLANS = 1000
_MOST_ENTRIES = 50_000
"""Of rows' own volumes, in all plans that are kept; one takes some 500 bytes."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A plan for later, and what it was made of."""

    asked: tuple[object, ...]
    plan: Plan
    entries: int
    sources: tuple[SourceRecord, ...]

    def holds(self, row: Row, outdir: Path | None, *, force: bool) -> bool:
        """Whether it would be made again just so."""
        return (
            _asked(row, outdir, force=force) == self.asked
            and sources.untouched(self.sources)
            and _has_room(self.plan, outdir)
        )


def _asked(row: Row, outdir: Path | None, *, force: bool) -> tuple[object, ...]:
    """Returns all that a plan is asked for with."""
    where = outdir and outdir.absolute()
    return row.spec, row.base.absolute(), row.where, row.file, where, force


def _has_room(plan: Plan, outdir: Path | None) -> bool:
    if outdir is None:
        return True
    there = next(path for path in (outdir.absolute(), *outdir.absolute().parents) if path.exists())
    status = os.statvfs(there)
    return status.f_bavail * status.f_frsize >= peak_bytes(plan)


class Planners:
    """Plans rows one after the other, on any thread, and reads what they have in common once.

    Args:
        builds: Who plans will build, too: plans are kept for that.
    """

    def __init__(self, *, builds: bool = True) -> None:
        self._builds = builds
        self._planners: dict[Path, Planner] = {}
        self._kept: dict[str, _Kept] = {}
        self._entries = 0
        self._seen: WeakSet[Manifest] = WeakSet()
        self._outliner = Outliner()
        self._lock = threading.Lock()

    def plan(
        self,
        row: Row,
        outdir: Path | None,
        *,
        force: bool,
        keep: bool = False,
        cancelled: IsCancelled | None = None,
    ) -> Plan:
        """Returns the plan of a row.

        Args:
            row: The row.
            outdir: Folder of its image, so that its room and contents are looked at too.
            force: Outputs that exist may be replaced.
            keep: It will be asked for once more.
            cancelled: Asked now and then whether to stop.

        Raises:
            engine.manifest.scan.ScanCancelled: It was asked to stop.
        """
        with self._lock:
            kept = self._taken(row.name)
            if not keep and kept is not None and kept.holds(row, outdir, force=force):
                return kept.plan
            base = row.base.absolute()
            planner = self._planners.setdefault(base, Planner(base, look_once=True))
            resolved = planner.resolve(row.spec)
            read = planner.read(resolved.settings, cancelled=cancelled)
            plan = planner.plan(resolved, read, outdir, force=force)
            if keep:
                self._keep(row, outdir, plan, force=force)
        return plan

    def outlines(
        self, asked: Sequence[Ask], cancelled: IsCancelled | None = None
    ) -> Iterator[tuple[str, ImageOutline]]:
        """See `engine.fleet.plan.Outlines`; what is planned is kept for when it is built."""
        for row, outdir, force in asked:
            plan = self.plan(row, outdir, force=force, keep=self._builds, cancelled=cancelled)
            yield row.name, self._outliner.outline(plan)

    def digest(self, plan: Plan) -> str:
        """Returns the digest of a plan, as its outline has it."""
        return self._outliner.digest(plan)

    def forget(self) -> None:
        """Drops the plans that are kept: others will build."""
        with self._lock:
            self._kept.clear()
            self._entries = 0

    def _taken(self, name: str) -> _Kept | None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._entries -= kept.entries
        return kept

    def _keep(self, row: Row, outdir: Path | None, plan: Plan, *, force: bool) -> None:
        """Keeps a plan, if all that it follows from can be looked at again and is not too much."""
        manifests = {volume.filesystem.manifest for volume in plan.volumes if volume.filesystem}
        own = [manifest for manifest in manifests if manifest not in self._seen]
        entries = sum(map(len, own))
        self._seen.update(own)
        if errors(plan.problems) or not files_alone(row.spec) or len(self._kept) >= _MOST_PLANS:
            return
        if self._entries + entries > _MOST_ENTRIES:
            return
        looked = sources.seen(plan, own)
        if own and not looked:
            return
        asked = _asked(row, outdir, force=force)
        self._kept[row.name] = _Kept(asked, plan, entries, looked)
        self._entries += entries
