"""What the plain wizard asks, in the order in which it asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.disk.presets import PRESETS
from engine.spec.formats import FORMATS
from engine.spec.loaders import LOADERS
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve
from tui.fields import FIELDS, OUTDIR
from tui.plain_volumes import VOLUMES_HELP


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several answers: what it stands for, how it is read out, and what `?` says of it."""

    value: str
    title: str
    summary: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one key path.

    Attributes:
        help: What `?` says, before what it says of each answer.
        choices: The answers there are; any text if none.
        wanted: Whether it makes sense for a spec.
    """

    path: str
    title: str
    help: str
    choices: Callable[[ImageSpec], Sequence[Choice]] = lambda spec: ()
    wanted: Callable[[ImageSpec], bool] = lambda spec: True


def _layouts(_spec: ImageSpec) -> Sequence[Choice]:
    return [
        Choice(item.key, item.title, item.summary, f"{item.why} {item.beware}".strip())
        for item in PRESETS.values()
    ]


def _loaders(spec: ImageSpec) -> Sequence[Choice]:
    boots = resolve(spec, Path(), {})[0].boots
    return [
        Choice(item.key, item.title, item.summary, item.why or item.summary)
        for item in LOADERS.values()
        if item.fits(boots) and (item.key != "nixos" or spec.nix.system)
    ]


def _formats(_spec: ImageSpec) -> Sequence[Choice]:
    return [
        Choice(item.key, item.title, item.summary, f"{item.summary}. {item.note}".strip())
        for item in FORMATS.values()
    ]


def _field(path: str, wanted: Callable[[ImageSpec], bool] = lambda spec: True) -> Question:
    field = FIELDS[path]
    return Question(path, field.label, f"{field.help}. {field.guide}", wanted=wanted)


def _has_esp(spec: ImageSpec) -> bool:
    return resolve(spec, Path(), {})[0].has("esp")


def _has_volumes(spec: ImageSpec) -> bool:
    settings = resolve(spec, Path(), {})[0]
    return settings.scheme != "none" and settings.rules.own_volumes


_LAYOUT_HELP = "How the disk is divided. It decides which firmware can boot it."
_LOADER_HELP = "What the firmware starts, and what starts the kernel."
_FORMAT_HELP = "The kind of image file."
CONTENTS_HELP = (
    "Folders, files and archives, copied in this order. `rootfs/` means what is in the folder, "
    "`rootfs` the folder itself. Nothing is copied before the image is built."
)

QUESTIONS: tuple[Question, ...] = (
    Question("layout.table", "Layout", _LAYOUT_HELP, _layouts),
    Question("volume", "Volumes", VOLUMES_HELP, wanted=_has_volumes),
    _field("size.disk"),
    _field("size.additional", lambda spec: not spec.size.disk or spec.size.disk == "auto"),
    _field("size.boot", _has_esp),
    Question("boot.loader", "Boot loader", _LOADER_HELP, _loaders),
    Question("contents", "Contents", CONTENTS_HELP),
    _field("name"),
    Question("output.format", "Format", _FORMAT_HELP, _formats),
    Question(OUTDIR, "Output folder", "Where the finished image goes."),
)
