"""What comes before an image is written: both ends looked at, and all that speaks against it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.flash.destination import Destination, find_destination, objections
from engine.flash.fit import fitted
from engine.flash.machine import Machine
from engine.flash.payload import Cancelled, Payload, Report, open_payload
from engine.image.container import BadImage
from engine.problem import Problem, Refused, errors
from engine.units import human


@dataclass(frozen=True, slots=True)
class Job:
    """An image and where it goes.

    Attributes:
        warnings: What is worth knowing, but not a reason to refuse.
        notes: What else there is to know.
    """

    payload: Payload
    destination: Destination
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
        move_backup: Whether the GPT's backup goes to the end of the destination.

    Raises:
        Refused: With everything that speaks against it.
        InterruptedError: It was cancelled.
    """
    destination, problems = find_destination(to, machine)
    if destination is None:
        raise Refused(problems)
    if not writing and not destination.real.exists():
        problems.append(Problem("flash-destination", "error", "", f"there is no {to}"))
    payload: Payload | None = None
    try:
        payload = open_payload(image, report, cancelled)
    except BadImage as error:
        problems.append(Problem("bad-image", "error", "", str(error)))
    except InterruptedError:
        raise
    except OSError as error:
        problems.append(Problem("unreadable-image", "error", "", f"{image}: {error.strerror}"))
    if payload is None or problems:
        raise Refused(problems)
    return judge(payload, destination, machine, writing=writing, move_backup=move_backup)


def judge(
    payload: Payload,
    destination: Destination,
    machine: Machine,
    *,
    writing: bool,
    move_backup: bool = False,
) -> Job:
    """Holds an image against its destination; arguments and errors as those of `prepare`."""
    problems = [
        Problem("flash-image", "warning", "", f"{payload.path.name}: {finding}")
        for finding in payload.table.findings
    ]
    problems += objections(payload, destination, machine, needed=payload.size, writing=writing)
    notes = _notes(payload, destination, move_backup=move_backup)
    if move_backup and not errors(problems) and destination.bytes > payload.size:
        try:
            payload = fitted(payload, destination)
        except BadImage as error:
            problems.append(Problem("flash-no-gpt", "error", "", str(error)))
    if errors(problems):
        raise Refused(problems)
    return Job(payload, destination, tuple(problems), tuple(notes))


def _notes(payload: Payload, destination: Destination, *, move_backup: bool) -> list[str]:
    notes = []
    left = destination.bytes - payload.size
    if left > 0 and payload.table.kind == "gpt" and not move_backup:
        notes.append(
            f"the last {human(left)} stay unused. The GPT's backup is where the image "
            "has it, so that the disk is the image, bit for bit; Linux says so and works. "
            "--move-backup puts it at the end of the disk"
        )
    if destination.device is not None:
        notes.append(f"all that is on {destination.title} is lost")
    return notes
