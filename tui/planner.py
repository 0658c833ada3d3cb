"""The wizard's bridge to the engine: from a spec to settings, entries, plan.

Every method but `edit` and `resolve` may take a while and is called in a thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from engine.boot.install import Installed, LoaderCache, install
from engine.manifest.quiet import without_collection
from engine.manifest.scan import ScanCache, Scanned, scan
from engine.nix.cache import NixCache
from engine.nix.gather import Brought, gather, settled
from engine.plan.differences import differences
from engine.plan.host import probe
from engine.plan.model import Plan
from engine.plan.plan import make_plan
from engine.problem import Problem, errors
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve
from engine.spec.settings import Settings

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]

HEAVY_ENTRIES = 20_000
"""From so many entries on, a first planning leaves the user interface's thread."""
SWITCH_SECONDS = 0.0005
"""How long the scan keeps the interpreter while keys wait."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A spec with its defaults, and what is wrong with it as such."""

    settings: Settings
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What the sources hold.

    Attributes:
        key: The settings it holds for (`scan_key`).
        contents: The contents alone; counts of each entry.
        brought: What the Nix section brings.
        installed: Both, with the loader's files.
    """

    key: Settings
    contents: Scanned
    brought: Brought
    installed: Installed


class Planner:
    """Plans one document again and again, keeping what an edit did not touch."""

    def __init__(self, base: Path, environment: Mapping[str, str] | None = None) -> None:
        self.base = base
        self.environment = dict(os.environ if environment is None else environment)
        self._cache = ScanCache()
        self._nix_cache = NixCache()
        self._loader_cache = LoaderCache()

    def resolve(self, spec: ImageSpec) -> Resolved:
        """Fills in the defaults."""
        return Resolved(*resolve(spec, self.base, self.environment))

    def scan(self, settings: Settings, progress: Progress, cancelled: Cancelled) -> Found:
        """Walks the sources, puts the loader in, and gets to know the machine's tools.

        Raises:
            ScanCancelled: It was asked to stop.
        """
        with _giving_way(), without_collection():
            probe(settings)
            brought = gather(settings, self.environment, self._nix_cache)
            contents = scan(
                settings,
                progress=progress,
                cancelled=cancelled,
                cache=self._cache,
                extra=brought.parts,
            )
            # Without its system an image has nothing to boot, which is no second mistake.
            lacking = bool(errors(brought.problems))
            wanted = replace(settings, loader="none") if lacking else settled(settings, brought)
            installed = install(wanted, contents.volumes, self._loader_cache)
            found = Found(scan_key(settings), contents, brought, installed)
            # What is measured for one plan is known for all that follow.
            self.plan(Resolved(settings, ()), found, self.base)
        return found

    def is_quick(self, resolved: Resolved, found: Found) -> bool:
        """Whether `plan` answers within a frame and so may run where the keys are read."""
        measured = found.key == scan_key(resolved.settings)
        return measured or sum(map(len, found.contents.volumes.values())) < HEAVY_ENTRIES

    def plan(self, resolved: Resolved, found: Found, outdir: Path) -> Plan:
        """Makes the plan that is shown and built.

        With entries found for other settings it is the best that can be said until these are
        scanned: the contents then known, without a loader.
        """
        # What is overwritten is shown in Review and asked before the build, not refused here.
        host = probe(resolved.settings, outdir, force=True)
        if found.key != scan_key(resolved.settings):
            return make_plan(resolved.settings, found.contents.volumes, host, resolved.problems)
        settings = settled(resolved.settings, found.brought)
        problems = (*resolved.problems, *found.brought.problems)
        return make_plan(settings, found.installed.volumes, host, problems, found.installed.boot)

    def differences(self, spec: ImageSpec, plan: Plan, found: Found) -> tuple[str, ...]:
        """Returns what the other set of rules would do otherwise."""
        other = "none" if plan.settings.compat == "make-disk-image" else "make-disk-image"
        # The same layout on both sides: otherwise their default table would be all one sees.
        wanted = msgspec.structs.replace(
            spec,
            compat=other,
            layout=msgspec.structs.replace(spec.layout, table=plan.settings.table),
        )
        theirs = self.plan(self.resolve(wanted), found, self.base)
        return differences(plan, theirs)


@contextmanager
def _giving_way() -> Iterator[None]:
    """Has this thread hand the interpreter over at once when the user interface wants it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def scan_key(settings: Settings) -> Settings:
    """Returns the settings as far as the entries depend on them."""
    return replace(
        settings,
        disk_bytes=None,
        additional_bytes=0,
        additional_text="",
        additional_inodes=None,
        boot_text="",
        boot_bytes=0,
        format="",
        compress="none",
        keep_raw=True,
        bmap=False,
        sbom=False,
        sign=(),
        after_build="",
        vm_memory_mib=0,
        prove=False,
        expect="",
        boot_timeout=0,
    )
