"""A design being made: the spec, its history, its plan. Knows no screen.

Whoever shows it passes edits in and shows the `Preview` that comes out; planning may happen on
any thread, and what it found is handed back with `took`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from engine.plan.model import Plan
from engine.plan.regions import changes
from engine.planning import Planner, Resolved, Sources
from engine.problem import Fix, Problem, Refused
from engine.spec.edit import apply, apply_fix
from engine.spec.model import Content, ImageSpec
from engine.spec.save import dumps
from engine.spec.volume_edits import VolumeEdit
from tui import planner as planning
from tui.document import Document
from tui.history import History
from tui.listing import Listing, listed
from tui.preview import REFUSED, Preview, step_of

_QUICKLY = 30
"""Entries of a spec that becomes text within a frame."""
_KEPT = 3
"""Texts that are kept, since most are asked for twice."""


class DesignSession:
    """One document at work.

    Attributes:
        document: The file that it is in, or will be.
        planner: The engine's, with what it keeps from plan to plan.
        sources: What the sources hold, as far as they were read.
        preview: What is to be shown now.
    """

    def __init__(self, document: Document, planner: Planner, outdir: str = "") -> None:
        self.document = document
        self.planner = planner
        self.history = History(document.spec, outdir)
        self._kept_outdir = outdir
        self.sources: Sources | None = None
        self.preview = Preview()
        self._refused: dict[str, tuple[Problem, ...]] = {}
        self._before: Plan | None = None
        self._earlier = document.spec
        self._texts: list[tuple[ImageSpec, str | None, str]] = []

    @property
    def spec(self) -> ImageSpec:
        """The spec as it is now."""
        return self.history.spec

    @property
    def outdir(self) -> str:
        """The output folder as it is now."""
        return self.history.outdir

    @property
    def is_saved(self) -> bool:
        """Whether nothing has changed since the design was opened or saved, the folder included."""
        return self.document.is_saved(self.spec) and self.outdir == self._kept_outdir

    def save_to(self, path: Path, *, overwrite: bool = False) -> None:
        """Saves the spec.

        Raises:
            OSError: As `Document.save` does.
        """
        self.document.save(self.spec, path, overwrite=overwrite)
        self._kept_outdir = self.outdir

    # ------------------------------------------------------------------ edits

    def edit_outdir(self, outdir: str, name: str, *, typing: str = "") -> None:
        """Sets the output folder."""
        self.history.push_outdir(outdir, name, typing=typing)

    def edit(self, path: str, value: object, name: str, *, typing: bool = False) -> bool:
        """Sets a key; whether the spec is another one by that.

        A value that the spec does not take leaves it as it is; the problem is shown at the field.
        """
        try:
            spec = apply(self.spec, path, value)
        except Refused as refused:
            self._refused[path] = refused.problems
            self._show_problems()
            return False
        self._refused.pop(path, None)
        return self._push(spec, name, path if typing else "")

    def edit_contents(self, contents: Sequence[Content], name: str) -> bool:
        """Sets all entries of the contents; whether the spec is another one by that."""
        return self._push(msgspec.structs.replace(self.spec, contents=tuple(contents)), name)

    def edit_volumes(self, edit: VolumeEdit, name: str) -> bool:
        """Edits the list of volumes; whether the spec is another one by that."""
        return self._push(edit(self.spec, self.resolve().settings), name)

    def trial(self, edit: VolumeEdit) -> Plan | None:
        """Returns what an edit of the volumes would lead to; None where that takes a while."""
        sources = self.sources
        if sources is None:
            return None
        resolved = self.planner.resolve(edit(self.spec, self.resolve().settings))
        if not planning.is_quick(resolved, sources):
            return None
        return self.planner.plan(resolved, sources, force=True)

    def fix(self, fix: Fix) -> bool:
        """Makes the edits of a fix, as one step of the history.

        Raises:
            Refused: It does not apply to the spec as it is now.
        """
        self.history.settle()
        spec = apply_fix(self.spec, fix)
        self._refused.clear()
        return self._push(spec, fix.label)

    def nearest_fix(self, path: str, step: str) -> Fix | None:
        """Returns the fix that is nearest: of a key path, of its step, of any; None without any."""
        offered = [problem for problem in self.preview.problems if problem.fix is not None]
        nearest = min(
            offered, key=lambda p: (p.path != path, step_of(p.path) != step), default=None
        )
        return None if nearest is None else nearest.fix

    def undo(self) -> str:
        """Takes the last edit back; returns its name, or "" at the beginning."""
        return self._went(self.spec, self.history.undo())

    def redo(self) -> str:
        """Does it again; returns its name, or "" at the end."""
        return self._went(self.spec, self.history.redo())

    def _went(self, before: ImageSpec, name: str) -> str:
        if name:
            self._earlier = before
            self._refused.clear()
            self._before = self.preview.plan
        return name

    def _push(self, spec: ImageSpec, name: str, typing: str = "") -> bool:
        joins, before = self.history.continues(typing), self.spec
        if not joins:
            self._before = self.preview.plan
        if self.history.push(spec, name, typing=typing):
            self._earlier = self._earlier if joins else before
            return True
        self._show_problems()
        return False

    # ------------------------------------------------------------------ the text

    @property
    def lists_quickly(self) -> bool:
        """Whether `listing` answers within a frame."""
        return len(self.spec.contents) + len(self.spec.volume) <= _QUICKLY

    def listing(self) -> Listing:
        """Returns the spec as it would be saved, and what the last edit changed in it."""
        return listed(self._text(self.spec), self._text(self._earlier))

    def _text(self, spec: ImageSpec) -> str:
        original = self.document.text
        for known, of, text in self._texts:
            if known is spec and of is original:
                return text
        text = dumps(spec, original)
        self._texts = [*self._texts[-_KEPT:], (spec, original, text)]
        return text

    # ------------------------------------------------------------------ plans

    def resolve(self) -> Resolved:
        """Fills in the defaults of the spec."""
        return self.planner.resolve(self.spec)

    def differences(self, plan: Plan) -> tuple[str, ...]:
        """Returns, a sentence each, what the other set of rules would do otherwise."""
        sources = self.sources
        return () if sources is None else self.planner.differences(self.spec, plan, sources)

    def waits(self, resolved: Resolved) -> None:
        """Takes note that nothing can be planned before the sources are read."""
        self.preview = replace(
            self.preview,
            spec=self.spec,
            settings=resolved.settings,
            scanning=True,
            problems=self._with_refused(resolved.problems),
        )

    def counted(self, entries: int, size: int) -> None:
        """Takes note of how far reading the sources is."""
        if self.preview.scanning:
            self.preview = replace(self.preview, entries=entries, bytes=size)

    def took(self, resolved: Resolved, plan: Plan, *, scanning: bool) -> None:
        """Takes a plan; where no disk could be laid out, the last one stays, as a stale one.

        Args:
            resolved: What it was planned from.
            plan: The plan.
            scanning: Sources are still being read, so that it is the best known until then.
        """
        drawable = bool(plan.partitions) or plan.filesystem is not None
        before = self._before
        self.preview = Preview(
            spec=self.spec,
            settings=resolved.settings,
            plan=plan if drawable else self.preview.plan,
            stale=not drawable,
            scanning=scanning,
            problems=self._with_refused(plan.problems),
            changes=changes(before, plan) if drawable and before is not None else (),
            counts={} if self.sources is None else self.sources.contents.counts,
            closure=None if self.sources is None else self.sources.brought.closure,
        )

    def _show_problems(self) -> None:
        own = [p for p in self.preview.problems if p.code != REFUSED]
        self.preview = replace(self.preview, problems=self._with_refused(tuple(own)))

    def _with_refused(self, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        refused = [
            replace(problem, path=path, code=REFUSED)
            for path, found in self._refused.items()
            for problem in found
        ]
        unique = dict.fromkeys((*refused, *problems))
        return tuple(sorted(unique, key=lambda problem: problem.severity != "error"))
