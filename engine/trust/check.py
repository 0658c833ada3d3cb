"""Builds a spec twice, the second time with everything changed that must not matter."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.compare.diff import Comparison, compare
from engine.events import AnyEvent, Log
from engine.pipeline.packing import DIGESTS
from engine.plan.outputs import outputs
from engine.spec.settings import Settings
from engine.tools import runner
from engine.tools.failure import StepFailed
from engine.tools.program import module_command
from engine.trust import plant
from engine.trust.conditions import (
    NOBODY,
    Conditions,
    Row,
    conditions,
    plant_command,
    search_environment,
    temporary_folder,
    user_command,
)
from engine.trust.copies import Copies, copy_sources, hand_over

Which = Literal["first", "second"]
Narrate = Callable[[str], None]

_APART = 2.1
"""Seconds between the beginnings of the builds: FAT keeps times to two."""

_ANY_STATUS = frozenset(range(256))
_UNREPEATABLE = "not-repeatable"
_MANIFEST = "manifest.json"
_DEEPER = Path("a deeper", "änother", "place")


class BuildEnded(Exception):
    """One of the two builds was refused or failed; it has said why on standard error."""

    def __init__(self, which: Which, status: int) -> None:
        super().__init__(f"the {which} build ended with exit code {status}")
        self.which = which
        self.status = status


@dataclass(frozen=True, slots=True)
class Output:
    """One output of both builds.

    Attributes:
        kind: Of the digests: "sha256" or "fsverity".
        first, second: They; "" where that build left no such output.
    """

    name: str
    bytes: int
    kind: str
    first: str
    second: str

    @property
    def identical(self) -> bool:
        """Whether both builds made the same bytes."""
        return self.first == self.second


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found.

    Attributes:
        rows: What was different for the second build, and what could not be.
        outputs: Every output but the records of the builds themselves.
        difference: How the images differ, where they do.
        seconds: Of "first", "second" and "compare".
        kept: Where the outputs are, by build, if they were to be kept.
        foretold: What the plan says is not repeatable, a sentence each.
    """

    rows: tuple[Row, ...]
    outputs: tuple[Output, ...]
    difference: Comparison | None
    seconds: Mapping[str, float]
    kept: Mapping[str, Path] = field(default_factory=dict)
    foretold: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether every output came out the same."""
        return bool(self.outputs) and all(output.identical for output in self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to check.

    Attributes:
        spec: The spec's file.
        overrides: As `--set` takes them.
        contents: As `--contents` takes them.
        settings: What they resolve to.
        keep: Folder to leave both builds' outputs in, or None.
    """

    spec: Path
    overrides: tuple[str, ...]
    contents: tuple[Path, ...]
    settings: Settings
    keep: Path | None = None


async def check(request: Request, narrate: Narrate) -> Report:
    """Builds twice and compares.

    Args:
        request: What to build.
        narrate: Takes what the builds say, line by line.

    Raises:
        BuildEnded: A build did not finish.
        Refused: There is no room for copies of the sources.
        StepFailed: A build was killed.
    """
    folder = await asyncio.to_thread(temporary_folder)
    try:
        return await _Check(request, folder, narrate).run()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


class _Check:
    """One check, in a temporary folder of its own."""

    def __init__(self, request: Request, folder: Path, narrate: Narrate) -> None:
        self._request = request
        self._folder = folder
        self._narrate = narrate
        self._environ = search_environment(os.environ)
        self._seconds: dict[str, float] = {}

    async def run(self) -> Report:
        first = self._folder / "first"
        second = self._folder / "other" / _DEEPER
        begun = time.monotonic()
        plain = module_command("engine.cli", *self._build(first, {}))
        await self._run("first", plain, self._environ, self._folder)

        other = self._folder / "other"
        copies = await asyncio.to_thread(
            copy_sources, self._request.settings.contents, other / "sources"
        )
        changed = await self._conditions(copies, other)
        words = ("engine.cli.perturbed", changed.settings, *self._build(second, copies.sources))
        if changed.other_user:
            os.chown(self._folder, NOBODY, NOBODY)  # to be allowed through it
            await asyncio.to_thread(hand_over, other, NOBODY)
        await asyncio.sleep(max(0.0, begun + _APART - time.monotonic()))
        command = (*changed.prefix, *module_command(*words))
        await self._run("second", command, changed.env, other)

        begun = time.monotonic()
        found, foretold = _outputs(first, second), _foretold(first)
        difference = await self._difference(first, second, found)
        self._seconds["compare"] = time.monotonic() - begun
        return Report(
            rows=(*_placement(copies, len(self._request.settings.contents)), *changed.rows),
            outputs=found,
            difference=difference,
            seconds=self._seconds,
            kept=await asyncio.to_thread(self._kept, {"first": first, "second": second}),
            foretold=foretold,
        )

    def _build(self, outdir: Path, moved: Mapping[int, Path]) -> tuple[str, ...]:
        """Returns the command line of a build whose sources have been moved so."""
        request = self._request
        own = len(request.settings.contents) - len(request.contents)
        words = ["build", str(request.spec.absolute()), "-o", str(outdir)]
        # A proof changes no byte of the outputs, and takes longer than all the rest.
        set_ = [*request.overrides, "boot.prove=false"]
        if request.settings.output.sums == ("none",):
            set_.append("output.sums=auto")  # they are compared by their digests
        for text in set_:
            words += ["--set", text]
        for index, source in moved.items():
            if index < own:
                words += ["--set", f"contents[{index}].source={json.dumps(str(source))}"]
        for at, source in enumerate(request.contents, start=own):
            words += ["--contents", str(moved.get(at, source.absolute()))]
        return tuple(words)

    async def _run(
        self, which: Which, argv: Sequence[str], env: Mapping[str, str], place: Path
    ) -> None:
        def say(event: AnyEvent) -> None:
            # Indented lines are what the tools say.
            if isinstance(event, Log) and event.stream == "stderr" and event.text[:2] != "  ":
                self._narrate(f"{which} build: {event.text}")

        begun = time.monotonic()
        result = await runner.run(
            argv, step=which, emit=say, env=env, cwd=place, accept=_ANY_STATUS, quiet=True
        )
        self._seconds[which] = time.monotonic() - begun
        if result.status:
            raise BuildEnded(which, result.status)

    async def _conditions(self, copies: Copies, other: Path) -> Conditions:
        home = other / "home"
        await asyncio.to_thread(home.mkdir)
        await asyncio.to_thread(plant.write_files, home, plant.home_files())
        planted = other / "planted"
        await asyncio.to_thread(plant.prepare, planted)
        root = os.getuid() == 0
        prefix, why_not_user = plant_command(planted), self._needs_this_user(copies)
        # Only a namespace of its own lets an ordinary user mount, and changes who he is.
        why_not_planted = "" if root else why_not_user
        if not why_not_planted:
            why_not_planted = await self._try(prefix)
        if why_not_planted:
            prefix = ()
        if not why_not_user and (root or why_not_planted):
            both = (*prefix, *user_command())
            why_not_user = await self._try(both)
            prefix = prefix if why_not_user else both
        return conditions(
            self._environ, home, prefix=prefix, why_not_user=why_not_user,
            why_not_planted=why_not_planted,
        )  # fmt: skip

    def _needs_this_user(self, copies: Copies) -> str:
        settings = self._request.settings
        if copies.left or copies.private:
            return "only this user can read all of the sources"
        if settings.nix.system or settings.nix.additional_paths:
            return "the Nix store is this user's to ask"
        return ""

    async def _try(self, prefix: Sequence[str]) -> str:
        """Returns why a build cannot be run by this command, or "" if it can."""
        settings = self._request.settings
        hosts = [text for text in (settings.boot.kernel_file, *settings.boot.initrd_files) if text]
        needed = [str(self._request.spec.absolute()), *filter(os.path.exists, hosts)]
        program = (
            "import importlib, sys\n"
            "for name in sys.argv[1:3]: importlib.import_module(name)\n"
            "for name in sys.argv[3:]: open(name, 'rb').close()"
        )
        modules = ("engine.cli.main", "engine.pipeline.build")
        try:
            result = await runner.run(
                (*prefix, sys.executable, "-c", program, *modules, *needed),
                step="second", emit=lambda event: None, env=self._environ,
                cwd=Path("/"), accept=_ANY_STATUS, quiet=True,
            )  # fmt: skip
        except StepFailed as error:
            return error.message
        if result.status:
            said = result.tail[-1].strip() if result.tail else f"exit code {result.status}"
            return f"a build cannot run so here: {said}"
        return ""

    async def _difference(
        self, first: Path, second: Path, found: Sequence[Output]
    ) -> Comparison | None:
        image = outputs(self._request.settings)[0]
        if all(output.identical for output in found if output.name == image):
            return None
        return await asyncio.to_thread(compare, first / image, second / image)

    def _kept(self, folders: Mapping[str, Path]) -> dict[str, Path]:
        keep = self._request.keep
        if keep is None:
            return {}
        keep.mkdir(parents=True, exist_ok=True)
        return {
            name: Path(shutil.move(folder, keep / name)) for name, folder in folders.items()
        }  # fmt: skip


def _outputs(first: Path, second: Path) -> tuple[Output, ...]:
    """Pairs up what the two builds recorded of their outputs."""
    ours, theirs = _recorded(first), _recorded(second)
    pairs = []
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name, {}), theirs.get(name, {})
        size = one.get("bytes", other.get("bytes", 0))
        kind = next((kind for kind in DIGESTS if kind in one or kind in other), "")
        pairs.append(Output(name, size, kind, one.get(kind, ""), other.get(kind, "")))
    return tuple(pairs)


def _foretold(folder: Path) -> tuple[str, ...]:
    """Returns what a build's plan said of what is another each time."""
    problems = json.loads((folder / _MANIFEST).read_bytes())["plan"]["problems"]
    return tuple(one["message"] for one in problems if one["code"].endswith(_UNREPEATABLE))


def _recorded(folder: Path) -> dict[str, dict[str, Any]]:
    record = json.loads((folder / _MANIFEST).read_bytes())
    return {output["path"]: output for output in record["outputs"]}


def _placement(copies: Copies, count: int) -> tuple[Row, ...]:
    left = "; ".join(f"contents[{index}]: {why}" for index, why in copies.left.items())
    rows = [Row("output folder", "a new folder", "one elsewhere, three levels deeper")]
    if copies.sources:
        moved = f"{len(copies.sources)} of {count} copied: other place, inodes, creation order"
        rows.append(Row("sources", "where the spec says", f"{moved}, link counts", left))
    elif left:
        rows.append(Row("sources", "where the spec says", "", left))
    return tuple(rows)
