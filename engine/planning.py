"""From a spec to its plan: resolve, read the sources, put the loader in, plan.

The one composition of planning. The command line plans once (`plan_spec`), the wizard again and
again (`Planner`, which keeps what an edit did not touch).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from engine.boot import fstab
from engine.boot.install import Installed, LoaderCache, install
from engine.manifest.part import Part
from engine.manifest.progress import IsCancelled, OnProgress
from engine.manifest.scan import ScanCache, Scanned, scan
from engine.nix.cache import NixCache
from engine.nix.gather import NixContents, gather, settled
from engine.plan import signing
from engine.plan.differences import differences
from engine.plan.host import Machine, machine, probe
from engine.plan.model import Plan
from engine.plan.plan import make_plan
from engine.problem import Problem, errors
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve
from engine.spec.settings import ContentSettings, Settings


@dataclass(frozen=True, slots=True)
class Resolved:
    """A spec with its defaults, and what is wrong with it as such."""

    settings: Settings
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """What the sources of a spec hold.

    Attributes:
        key: What they were read for (`source_key`).
        contents: The contents alone, with the counts of each entry.
        brought: What the Nix section brings.
        installed: Both, with the loader's files.
    """

    key: Hashable
    contents: Scanned
    brought: NixContents
    installed: Installed

    def answer(self, settings: Settings) -> bool:
        """Whether they are the sources of these settings too, so that nothing is read again."""
        return self.key == source_key(settings)


class Planner:
    """Plans the specs of one folder, and reads again only what an edit touched.

    Every method but `resolve` may take a while; `read` may run on another thread than `plan`.
    """

    def __init__(
        self, base: Path, environment: Mapping[str, str] | None = None, *, look_once: bool = False
    ) -> None:
        """Prepares it.

        Args:
            base: Folder that relative sources start from.
            environment: The environment, this process's by default.
            look_once: What is installed on the machine is taken to stay as it is.
        """
        self._look_once = look_once
        self._machines: dict[Hashable, Machine] = {}
        self.base = base
        self.environment = dict(os.environ if environment is None else environment)
        self._scans = ScanCache()
        self._stores = NixCache()
        self._loaders = LoaderCache()

    def resolve(self, spec: ImageSpec) -> Resolved:
        """Fills in the defaults."""
        return Resolved(*resolve(spec, self.base, self.environment))

    def read(
        self,
        settings: Settings,
        *,
        scanned: Scanned | None = None,
        known: Iterable[tuple[ContentSettings, Part]] = (),
        progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> Sources:
        """Walks the sources and puts the loader in.

        Args:
            settings: The resolved spec.
            scanned: What a walk would find, where that is known.
            known: What some content entries bring, which are not read then.
            progress: Called now and then while sources are walked.
            cancelled: Asked as often whether to stop.

        Raises:
            engine.manifest.scan.ScanCancelled: It was asked to stop.
        """
        brought = gather(settings, self.environment, self._stores)
        for content, part in known:
            self._scans.put(settings, content, part)
        contents = scanned or scan(
            settings,
            progress=progress,
            cancelled=cancelled,
            cache=self._scans,
            extra=brought.parts,
        )
        # An image whose system is missing has nothing to boot; that is not a second mistake.
        lacking = bool(errors(brought.problems))
        wanted = _without_loader(settings) if lacking else settled(settings, brought)
        installed = install(wanted, contents.volumes, self._loaders)
        return Sources(source_key(settings), contents, brought, installed)

    def plan(
        self,
        resolved: Resolved,
        sources: Sources,
        outdir: Path | None = None,
        *,
        force: bool,
        update: bool = False,
    ) -> Plan:
        """Makes the plan that is shown and built; what is wrong stands in its problems.

        With the sources of other settings it is the best that can be said until these are read:
        the contents known by then, without a loader.

        Args:
            resolved: What is wanted.
            sources: What `read` returned.
            outdir: Where a build would write, so that its room and contents are looked at too.
            force: Outputs that exist may be replaced.
            update: Those of an earlier build may be.
        """
        settings, problems = resolved.settings, resolved.problems
        look = partial(
            probe, outdir=outdir, force=force, update=update, known=self._machine(settings)
        )
        if not sources.answer(settings):
            return make_plan(settings, sources.contents.volumes, look(settings), problems)
        settings = settled(settings, sources.brought)
        problems = (*problems, *sources.brought.problems, *signing.problems(settings))
        return make_plan(
            settings, sources.installed.volumes, look(settings), problems, sources.installed.boot
        )

    def _machine(self, settings: Settings) -> Machine | None:
        """Returns what is known to be installed, if that is not to be looked for again."""
        if not self._look_once:
            return None
        asked = settings.boot.firmware, settings.boot.firmware_variables, settings.output.sign
        if asked not in self._machines:
            self._machines[asked] = machine(settings)
        return self._machines[asked]

    def differences(self, spec: ImageSpec, plan: Plan, sources: Sources) -> tuple[str, ...]:
        """Returns, a sentence each, what the other set of rules would do otherwise."""
        # The same layout on both sides: otherwise their default table would be all one sees.
        wanted = msgspec.structs.replace(
            spec,
            compat=plan.settings.rules.other,
            layout=msgspec.structs.replace(spec.layout, table=plan.settings.layout.table),
        )
        theirs = self.plan(self.resolve(wanted), sources, self.base, force=True)
        return differences(plan, theirs)


def plan_spec(
    spec: ImageSpec,
    *,
    base: Path,
    outdir: Path | None = None,
    force: bool = False,
    update: bool = False,
    look: Callable[[Settings], Scanned | None] | None = None,
    known: Callable[[Settings], Iterable[tuple[ContentSettings, Part]]] | None = None,
    progress: OnProgress | None = None,
    cancelled: IsCancelled | None = None,
) -> Plan:
    """Returns the plan of a spec; whatever is wrong with it stands in its problems.

    Args:
        spec: What is wanted.
        base: Folder that relative sources start from.
        outdir: Where a build would write, so that its room and contents are looked at too.
        force: Outputs that exist may be replaced.
        update: Those of an earlier build may be.
        look: Returns what a scan would, if that is known.
        known: Returns what some content entries bring, where all is not known.
        progress: Called with entries and bytes found while sources are scanned.
        cancelled: Asked now and then whether to stop scanning.

    Raises:
        engine.manifest.scan.ScanCancelled: It was asked to stop.
    """
    planner = Planner(base)
    resolved = planner.resolve(spec)
    scanned = look(resolved.settings) if look is not None else None
    parts = known(resolved.settings) if known is not None and scanned is None else ()
    sources = planner.read(
        resolved.settings, scanned=scanned, known=parts, progress=progress, cancelled=cancelled
    )
    return planner.plan(resolved, sources, outdir, force=force, update=update)


def _without_loader(settings: Settings) -> Settings:
    """Returns the settings of an image that gets no loader."""
    return replace(settings, boot=replace(settings.boot, loader="none"))


def source_key(settings: Settings) -> Hashable:
    """Returns what all that is read from the sources depends on."""
    return (
        settings.name,
        settings.compat,
        settings.layout,
        replace(settings.boot, prove=False, expect="", timeout=0),
        settings.volume_entries,
        settings.contents,
        settings.nix,
        settings.identity,
        settings.size.grow_to,
        fstab.possible(settings),  # which volumes grow depends on whether the disk's size is fixed
    )
