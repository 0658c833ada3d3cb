"""The wizard as questions and answers: for screen readers, dumb terminals and pipes.

One line of text for each thing, nothing is painted over, and every answer can be left empty.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from engine.cli import exits
from engine.cli.narration import Plain as Narration
from engine.cli.signals import cancellable
from engine.events import AnyEvent
from engine.pipeline import realise
from engine.pipeline.build import BuildResult, build
from engine.pipeline.preview import preview
from engine.plan.model import Plan
from engine.plan.outdir import asked_about, conflicts, look
from engine.planning import plan_spec
from engine.problem import Problem, Refused, errors
from engine.spec.edit import append_content, apply, apply_fix, remove_content
from engine.spec.model import Content, ImageSpec
from engine.spec.resolve import resolve
from engine.spec.settings import Settings
from engine.spec.starters import STARTERS
from engine.units import in_bytes
from tui.document import Document
from tui.fields import DEFAULT_OUTDIR, FIELDS, OUTDIR
from tui.opening import Fleet, Importable, Sources, import_document, opened
from tui.plain_plan import spoken
from tui.plain_questions import CONTENTS_HELP, QUESTIONS, Choice, Question
from tui.plain_volumes import ask_volumes
from tui.text import visible

INTRODUCTION = (
    "Diskwright designs a disk image and builds it. Nothing is written until you say so.\n"
    "Enter keeps the value in brackets. ? explains, < goes back, Ctrl+D ends."
)
PRESET_HELP = (
    "A preset is a complete design that can be built as it is. Every value of it can be changed in "
    "the questions that follow; Enter keeps each."
)


class Back(Exception):
    """The question before is wanted."""


class End(Exception):
    """There are no more answers."""


class Interview:
    """Asks one question after the other and keeps the spec."""

    def __init__(
        self,
        document: Document | None,
        *,
        source: TextIO,
        out: TextIO,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._source, self._out, self._folder = source, out, folder
        self._environment = os.environ if environment is None else environment
        self._document = document
        self._outdir = str(folder / DEFAULT_OUTDIR)
        self.spec = ImageSpec() if document is None else document.spec

    # ------------------------------------------------------------------ talking

    def say(self, text: str = "") -> None:
        """Writes lines."""
        self._out.write(text + "\n")
        self._out.flush()

    def ask(self, text: str, default: str = "", help: str = "") -> str:
        """Asks for a line; empty means the default.

        Raises:
            Back: `<` was answered.
            End: The input ended.
        """
        while True:
            self._out.write(f"{text} [{default}]: " if default else f"{text}: ")
            self._out.flush()
            line = self._source.readline()
            if not line:
                raise End
            answer = line.strip()
            if not self._source.isatty():
                self.say(visible(answer))
            if answer == "?":
                self.say(help or "There is nothing more to say about this.")
            elif answer == "<":
                raise Back
            else:
                return answer or default

    def choose(self, title: str, choices: Sequence[Choice], default: str, help: str) -> str:
        """Asks for one of several; a number, a value or a title will do."""
        for number, choice in enumerate(choices, start=1):
            summary = f": {choice.summary}" if choice.summary else ""
            self.say(f"  {number} {choice.title}{summary}")
        reasons = [f"{choice.title}: {choice.why}" for choice in choices if choice.why]
        explained = "\n".join([help, *reasons])
        values = [choice.value for choice in choices]
        preset = str(values.index(default) + 1) if default in values else ""
        while True:
            answer = self.ask(f"{title}, 1 to {len(choices)}", preset, explained)
            if answer.isdigit() and 1 <= int(answer) <= len(choices):
                return values[int(answer) - 1]
            for choice in choices:
                if answer.casefold() in {choice.value.casefold(), choice.title.casefold()}:
                    return choice.value
            self.say(f"Not one of these: {visible(answer)}")

    def confirm(self, text: str, *, default: bool) -> bool:
        """Asks yes or no."""
        while True:
            answer = self.ask(f"{text}, y or n", "y" if default else "n").casefold()
            if answer in {"y", "yes", "n", "no"}:
                return answer.startswith("y")
            self.say("Please answer y or n")

    # ------------------------------------------------------------------ questions

    def begin(self) -> None:
        """Says what this is, and asks for a preset unless a spec was given."""
        self.say(INTRODUCTION)
        if self._document is not None:
            self.say(f"Spec: {visible(self._document.name)}")
            return
        choices = [Choice(key, item.title, item.summary) for key, item in STARTERS.items()]
        key = self.choose("Preset", choices, choices[0].value, PRESET_HELP)
        self.spec = STARTERS[key].spec

    def questions(self) -> None:
        """Asks everything that makes sense, back and forth."""
        at = 0
        while at < len(QUESTIONS):
            question = QUESTIONS[at]
            if not question.wanted(self.spec):
                at += 1
                continue
            self.say()
            asked = [other for other in QUESTIONS if other.wanted(self.spec)]
            self.say(f"{asked.index(question) + 1} of {len(asked)}, {question.title}")
            try:
                self._one(question)
                at += 1
            except Back:
                earlier = [i for i in range(at) if QUESTIONS[i].wanted(self.spec)]
                at = earlier[-1] if earlier else 0

    def _one(self, question: Question) -> None:
        if question.path == "contents":
            self._contents()
            return
        if question.path == "volume":
            ask_volumes(self)
            return
        if question.path == OUTDIR:
            self._outdir = self.ask("Folder", self._outdir, question.help)
            return
        while True:
            choices = question.choices(self.spec)
            default = self._value(question.path)
            if choices:
                answer = self.choose(question.title, choices, default, question.help)
            else:
                answer = self.ask(question.title, default, question.help)
            if answer == default:
                return
            field = FIELDS.get(question.path)
            try:
                value = field.to_value(answer) if field else answer
                self.spec = apply(self.spec, question.path, value)
            except Refused as refused:
                self._tell(refused)
            else:
                return

    def settings(self) -> Settings:
        """Returns the spec with every default filled in."""
        return resolve(self.spec, self._folder, self._environment)[0]

    def _value(self, path: str) -> str:
        """Returns what holds now, as text."""
        settings = self.settings()
        if path in FIELDS:
            field = FIELDS[path]
            section, _, name = path.rpartition(".")
            holder = getattr(self.spec, section) if section else self.spec
            return field.to_text(getattr(holder, name)) or field.default(settings)
        return {
            "layout.table": settings.layout.table,
            "boot.loader": settings.boot.loader,
            "output.format": settings.output.format,
        }[path]

    def _contents(self) -> None:
        while True:
            for number, entry in enumerate(self.spec.contents, start=1):
                self.say(f"  {number} {visible(entry.source)} to {visible(entry.target)}")
            if not self.spec.contents:
                self.say("  nothing yet")
            source = self.ask(
                "Add a source, -N to remove entry N, or Enter to go on",
                help=f"A folder, a file, a pattern with *, or an archive, relative to "
                f"{self._folder}. {CONTENTS_HELP}",
            )
            if not source:
                return
            try:
                if source.startswith("-") and source[1:].isdigit():
                    self.spec = remove_content(self.spec, int(source[1:]) - 1)
                    continue
                target = self.ask("Target in the image", "/")
                at = f"contents[{len(self.spec.contents)}]"
                added = append_content(self.spec, Content(source=source, target=target))
                self.spec = apply(apply(added, f"{at}.source", source), f"{at}.target", target)
            except Refused as refused:
                self._tell(refused)

    def _tell(self, refused: Refused) -> None:
        self.tell(*refused.problems)

    def tell(self, *problems: Problem) -> None:
        """Writes a line for each problem."""
        for problem in problems:
            self.say(f"{problem.severity}: {visible(problem.line())}")

    # ------------------------------------------------------------------ review and build

    def plan(self) -> Plan:
        """Plans the spec as it is now."""
        base = self._document.base if self._document else self._folder
        return plan_spec(self.spec, base=base, outdir=self._folder / self._outdir, force=True)

    def review(self) -> Plan | None:
        """Shows the plan; offers fixes; None if it is to be left alone."""
        while True:
            self.say()
            plan = self.plan()
            for line in spoken(plan):
                self.say(visible(line))
            self.tell(*plan.problems)
            fixable = next((p for p in errors(plan.problems) if p.fix is not None), None)
            if fixable is not None and fixable.fix is not None:
                if self.confirm(f"Fix it: {visible(fixable.fix.label)}", default=True):
                    self.spec = apply_fix(self.spec, fixable.fix)
                    continue
                return None
            if errors(plan.problems) and not realise.wanted(plan):
                self.say("This cannot be built. Answer again:")
                self.questions()
                continue
            return plan

    def save(self) -> None:
        """Saves the spec where the answer says."""
        name = self.ask("Save the spec to (Enter: do not save)")
        if not name:
            return
        document = self._document or Document(spec=self.spec, base=self._folder)
        try:
            document.save(self.spec, self._folder / name)
            self.say(f"Saved {visible(name)}")
        except OSError as error:
            self.say(f"error: {visible(name)} was not saved: {error.strerror}")

    def build(self, plan: Plan) -> int:
        """Builds and tells; returns the exit status."""
        outdir = self._folder / self._outdir
        found = look(outdir, plan.writes)
        there = asked_about(found, outputs=plan.outputs, writes=plan.writes)
        for problem in conflicts(outdir, found, outputs=plan.outputs, writes=plan.writes):
            self.say(visible(problem.message))
        if there and not self.confirm(f"Replace {visible(', '.join(there))}", default=False):
            self.say("Nothing was built")
            return exits.DONE
        saved = preview(plan, outdir) if there else None
        if saved is not None:
            self.say(saved.sentence)
        update = saved is not None and self.confirm("Take over what has not changed", default=True)
        with Narration(self._out) as narration:
            result = cancellable(
                self._built(plan, narration, force=bool(there), update=update)
            )  # fmt: skip
        if result is None:
            return exits.CANCELLED
        for artifact in result.artifacts:
            digest = " ".join(artifact.digest)
            self.say(f"{visible(artifact.path)}, {in_bytes(artifact.bytes)}, {digest}".rstrip(", "))
        return exits.DONE if result.status == "ok" else exits.FAILED

    async def _built(
        self, plan: Plan, narration: Narration, *, force: bool, update: bool
    ) -> BuildResult:
        """Builds, and has nix build the system first where it must."""
        before: list[AnyEvent] = []

        def tell(event: AnyEvent) -> None:
            before.append(event)
            narration(event)

        if realise.wanted(plan):
            if not await realise.realise(plan, tell):
                return BuildResult(status="failed", seconds=0, step=realise.STEP)
            plan = await asyncio.to_thread(self.plan)
        outdir = self._folder / self._outdir
        return await build(
            plan, narration, outdir=outdir, force=force, update=update, before=before
        )  # fmt: skip

    def run(self) -> int:
        """Asks everything, then builds if told to."""
        try:
            self.begin()
            self.questions()
            plan = self.review()
            self.save()
            if plan is not None and self.confirm("Build it now", default=False):
                return self.build(plan)
            self.say("Nothing was built")
        except (End, Back):
            self.say("\nEnded; nothing was built")
            return exits.CANCELLED
        return exits.DONE


def run(spec: Path | None = None) -> int:
    """Interviews the person at standard input.

    Raises:
        Refused: It cannot be opened.
    """
    found = None if spec is None else opened(spec)
    left: tuple[str, ...] = ()
    if isinstance(found, Importable):
        imported = import_document(found.path, os.environ)
        found, left = imported.document, imported.left
    if isinstance(found, Fleet):
        hint = f"`diskwright fleet {shlex.quote(str(found.path))} -o OUTDIR` builds its images"
        message = "describes a fleet, not one image"
        raise Refused([Problem("is-a-fleet", "error", "", message, hint, file=str(found.path))])
    if isinstance(found, Sources):
        found = found.document(Path.cwd())
    interview = Interview(found, source=sys.stdin, out=sys.stdout, folder=Path.cwd())
    for line in left:
        interview.say(f"warning: {visible(line)}")
    return interview.run()
