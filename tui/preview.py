"""What the design screen hands to its panes: the spec, and all that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.disk.view import DiskView
from engine.manifest.scan import ContentCount
from engine.nix.closure import Closure
from engine.nix.roots import is_unbuilt
from engine.plan.model import Plan
from engine.plan.regions import Change, view
from engine.problem import Problem
from engine.spec.model import ImageSpec
from engine.spec.settings import Settings

REFUSED = "refused-edit"
"""Code of a problem of text that never became part of the spec."""

STEP_OF_PATH = (
    ("layout", "layout"),
    ("volume", "layout"),
    ("size", "size"),
    ("boot", "boot"),
    ("nix.install_boot_loader", "boot"),
    ("contents", "contents"),
    ("nix", "contents"),
    ("output", "output"),
    ("outdir", "output"),
    ("name", "output"),
    ("compat", "output"),
    ("identity", "output"),
    ("hooks", "output"),
    ("vm", "boot"),
)
"""Key path prefixes and the step each belongs to; the first that matches counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A spec and what the engine makes of it.

    Attributes:
        settings: None only before the first planning.
        plan: The plan, or the last one that could be made.
        stale: `plan` belongs to an earlier spec.
        scanning: Sources are being walked; `entries` and `bytes` count up.
        problems: All of them, errors first.
        changes: What the last edit changed.
        counts: What each entry of the contents brings.
        closure: All store paths of the image, where there are any.
    """

    spec: ImageSpec = field(default_factory=ImageSpec)
    settings: Settings | None = None
    plan: Plan | None = None
    stale: bool = False
    scanning: bool = False
    entries: int = 0
    bytes: int = 0
    problems: tuple[Problem, ...] = ()
    changes: tuple[Change, ...] = ()
    counts: Mapping[int, ContentCount] = field(default_factory=dict)
    closure: Closure | None = None

    @property
    def view(self) -> DiskView | None:
        """The plan's disk, as what draws disks takes it."""
        return None if self.plan is None else view(self.plan)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Those problems that forbid building."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def builds_system(self) -> bool:
        """Whether a build begins with nix building the system, and is planned after that."""
        return is_unbuilt(self.problems)

    def problem_at(self, path: str) -> Problem | None:
        """Returns the worst problem of a key path."""
        found = [problem for problem in self.problems if problem.path == path]
        return min(found, key=lambda problem: problem.severity != "error", default=None)

    @property
    def waits_for_scan(self) -> bool:
        """Whether all that a build waits for is that the sources are read."""
        return self.scanning and not self.errors

    def why_not_buildable(self) -> str:
        """Returns why a build cannot start now, or ""."""
        if self.errors and not self.builds_system:
            count = len(self.errors)
            return f"{count} error{'s' if count > 1 else ''}: {self.errors[0].message}"
        if self.scanning:
            return "The sources are being scanned"
        if self.plan is None or self.stale:
            return "There is no plan yet"
        return ""


def step_of(path: str) -> str:
    """Returns the step whose pane shows a key path; Review shows what belongs nowhere."""
    for prefix, step in STEP_OF_PATH:
        if path == prefix or path.startswith((f"{prefix}.", f"{prefix}[")):
            return step
    return "review"
