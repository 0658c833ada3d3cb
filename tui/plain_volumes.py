"""The volumes of a disk as questions and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.spec.model import ImageSpec, VolumeEntry
from engine.spec.settings import Settings
from engine.spec.volume_edits import add, remove
from tui.text import visible
from tui.volume_form import AMOUNTS, ROWS, USUAL, VolumeForm
from tui.volumes import Kind, kinds, rule

VOLUMES_HELP = (
    "The parts of the disk, in their order. Contents go to the volume that is mounted at or above "
    "their target. home, swap and data are what people add most; list shows all there is to add."
)
_RULE_HELP = "\n".join(f"{label}: {text}." for label, text in AMOUNTS.values())


class Talk(Protocol):
    """Whoever asks and keeps the spec."""

    spec: ImageSpec

    def settings(self) -> Settings:
        """Returns the spec with every default filled in."""
        ...

    def say(self, text: str = "") -> None:
        """Writes lines."""
        ...

    def ask(self, text: str, default: str = "", help: str = "") -> str:
        """Asks for a line; empty means the default."""
        ...


def ask_volumes(talk: Talk) -> None:
    """Lists the volumes and adds or removes some, until nothing is answered."""
    while True:
        settings = talk.settings()
        for number, volume in enumerate(settings.volumes, start=1):
            mount = f" at {visible(volume.mount)}" if volume.mount else ""
            talk.say(f"  {number} {visible(volume.id)}, {volume.format}{mount}: {rule(volume)}")
        if not settings.volumes:
            talk.say("  nothing yet")
        offered = kinds(settings, None)
        answer = talk.ask(
            "Add home, swap, data or what list names, -N to remove volume N, or Enter to go on",
            help=VOLUMES_HELP,
        )
        if not answer:
            return
        if answer.startswith("-") and answer[1:].isdigit():
            _remove(talk, settings, int(answer[1:]))
            continue
        kind = _kind(offered, answer)
        if kind is not None:
            _add(talk, settings, kind)
            continue
        if answer.casefold() != "list":
            talk.say(f"Not one of these: {visible(answer)}")
        for kind in offered:
            talk.say(f"  {kind.key}: {kind.summary}")


def _kind(offered: Sequence[Kind], answer: str) -> Kind | None:
    wanted = answer.casefold()
    return next((kind for kind in offered if wanted in {kind.key, kind.title.casefold()}), None)


def _remove(talk: Talk, settings: Settings, number: int) -> None:
    if 1 <= number <= len(settings.volumes):
        talk.spec = remove(talk.spec, settings, settings.volumes[number - 1].id)
    else:
        talk.say(f"There is no volume {number}")


def _add(talk: Talk, settings: Settings, kind: Kind) -> None:
    """Asks what the volume needs to be said of, then how large it is."""
    form = VolumeForm(
        kind.entry,
        None,
        others=tuple(volume.id for volume in settings.volumes),
        gpt=settings.scheme == "gpt",
    )
    while True:
        for key in ("id", "source", "offset", "mount"):
            row = next(row for row in ROWS if row.key == key)
            if form.shows(key):
                default = form.texts[key] or (form.hint(key) if key == "mount" else "")
                answer = talk.ask(row.label, default, row.help)
                form.texts[key] = "" if answer == form.hint(key) else answer
        if form.shows("rule"):
            _size(talk, form)
        problem = form.problem()
        if problem is None:
            entry: VolumeEntry = form.made()
            talk.spec = add(talk.spec, entry)
            return
        key = problem.path.rpartition(".")[2]
        talk.say(f"error: {key} {visible(problem.message)}")


def _size(talk: Talk, form: VolumeForm) -> None:
    """Asks for a size as one writes it, or "+ 1GiB" for free space, or "share 1"."""
    before = {"free": "+ ", "grow": "share "}.get(form.rule, "")
    default = "" if form.rule == USUAL else before + form.texts["amount"]
    answer = talk.ask(
        'Size: as 8GiB, "+ 1GiB" for contents and so much free, or "share 1" of the rest',
        default,
        _RULE_HELP,
    )
    if not answer:
        return
    word = answer.split()[0].casefold()
    if answer.startswith("+"):
        key, amount = "free", answer[1:]
    elif word == "share":
        key, amount = "grow", answer[len(word) :]
    else:
        key, amount = "size", answer
    form.choose("rule", key)
    form.texts["amount"] = amount.strip()
