"""What comes before an image is written: both ends looked at, and all that speaks against it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.flash.flash import fitted
from engine.flash.machine import Machine
from engine.flash.source import Cancelled, Report, Source, open_source
from engine.flash.target import Target, find_target, objections
from engine.image.container import BadImage
from engine.problem import Problem, Refused, errors
from engine.units import human


@dataclass(frozen=True, slots=True)
class Job:
    """An image and where it goes.

    Attributes:
        warnings: What is no reason to refuse, and worth knowing.
        notes: What else there is to know.
    """

    source: Source
    target: Target
    warnings: tuple[Problem, ...]
    notes: tuple[str, ...]


def prepare(
    image: Path,
    to: Path,
    machine: Machine,
    report: Report,
    cancelled: Cancelled,
    *,
    writing: bool,
    move_backup: bool = False,
) -> Job:
    """Looks at an image and at where it is to go; writes nothing.

    Args:
        image: Of any format that is read here; a compressed one is unpacked once, for its size.
        to: A device, a file, or the name of a new file.
        machine: Whose devices they are.
        report: Takes the bytes unpacked so far, and 0.
        cancelled: Whether to stop.
        writing: Whether it will be written, rather than compared.
        move_backup: Whether the GPT's backup goes to the end of the target.

    Raises:
        Refused: With everything that speaks against it.
        InterruptedError: It was cancelled.
    """
    problems: list[Problem] = []
    source: Source | None = None
    try:
        source = open_source(image, report, cancelled)
    except BadImage as error:
        problems.append(Problem("bad-image", "error", "", str(error)))
    except InterruptedError:
        raise
    except OSError as error:
        problems.append(Problem("unreadable-image", "error", "", f"{image}: {error.strerror}"))
    if source is None:
        raise Refused([*problems, *find_target(to, machine)[1]])
    return judge(source, to, machine, writing=writing, move_backup=move_backup)


def judge(
    source: Source, to: Path, machine: Machine, *, writing: bool, move_backup: bool = False
) -> Job:
    """Looks at where an image is to go; arguments and errors as those of `prepare`."""
    target, problems = find_target(to, machine)
    if target is None:
        raise Refused(problems)
    if not writing and not target.real.exists():
        problems.append(Problem("flash-target", "error", "", f"there is no {to}"))
    problems += [
        Problem("flash-image", "warning", "", f"{source.path.name}: {finding}")
        for finding in source.table.findings
    ]
    problems += objections(source, target, machine, needed=source.size, writing=writing)
    notes = _notes(source, target, move_backup=move_backup)
    if move_backup and not errors(problems) and target.bytes > source.size:
        try:
            source = fitted(source, target)
        except BadImage as error:
            problems.append(Problem("flash-no-gpt", "error", "", str(error)))
    if errors(problems):
        raise Refused(problems)
    return Job(source, target, tuple(problems), tuple(notes))


def _notes(source: Source, target: Target, *, move_backup: bool) -> list[str]:
    notes = []
    left = target.bytes - source.size
    if left > 0 and source.table.kind == "gpt" and not move_backup:
        notes.append(
            f"the last {human(left)} stay unused. The GPT's backup is where the image "
            "has it, so that the disk is the image, bit for bit; Linux says so and works. "
            "--move-backup puts it at the end of the disk"
        )
    if target.device is not None:
        notes.append(f"all that is on {target.title} is lost")
    return notes
