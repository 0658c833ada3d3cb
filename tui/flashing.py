"""An image on its way to a disk, as the page for it sees it; knows no Textual."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.flash.destination import Destination, by_hand
from engine.flash.flash import write
from engine.flash.machine import BlockDevice, Machine
from engine.flash.outcome import Outcome
from engine.flash.payload import Payload, open_payload
from engine.flash.session import Job, judge
from engine.flash.verdict import verdict
from engine.problem import Problem, Refused, errors
from engine.units import human
from tui.text import visible

_WORDS = {
    "flash-in-use": "in use",
    "flash-too-small": "too small",
    "flash-read-only": "read-only",
    "flash-sector-size": "other sectors",
    "flash-rights": "needs root",
    "flash-no-medium": "empty",
}
_BUSES = {"usb": "USB", "mmc": "SD", "nvme": "NVMe", "ata": "SATA", "virtio": "virtio"}


@dataclass(frozen=True, slots=True)
class Offer:
    """A disk that the image could go to.

    Attributes:
        job: What writing it would be, None where something speaks against it.
        problems: What does, or is worth knowing.
        command: The same by hand.
    """

    device: BlockDevice
    job: Job | None
    problems: tuple[Problem, ...]
    command: str

    @property
    def state(self) -> str:
        """What keeps it from being written, in two words; "" for nothing."""
        found = errors(self.problems)
        return _WORDS.get(found[0].code, "refused") if found else ""


class Offers:
    """The disks as rows of a table."""

    titles: tuple[str, ...] = ("Disk", "Size", "Bus", "Model", "")
    widths: tuple[int, ...] = (12, 10, 6, 28, 14)

    def __init__(self, offers: list[Offer]) -> None:
        self._offers = offers

    def __len__(self) -> int:
        return len(self._offers)

    def cells(self, index: int) -> tuple[str, ...]:
        """Returns a row's texts."""
        offer = self._offers[index]
        device = offer.device
        bus = _BUSES.get(device.bus, device.bus)
        return (
            visible(device.name), human(device.bytes), bus, visible(device.model), offer.state,
        )  # fmt: skip


class Flashing:
    """One image, the disks there are, and how far it is.

    Attributes:
        payload: The image, once it was looked at.
        offers: The disks.
        done, total: Bytes of what is going on; total 0 where it is not known.
        stopped: Whether it is to end.
        outcome: How writing ended.
    """

    def __init__(self, image: Path, machine: Machine) -> None:
        self.image = image
        self._machine = machine
        self.payload: Payload | None = None
        self.offers: list[Offer] = []
        self.done = self.total = 0
        self.stopped = False
        self.outcome: Outcome | None = None
        self.said = ""

    def look(self) -> None:
        """Looks at the image, once, and at the disks; blocks.

        Raises:
            BadImage: The image is damaged, or of a format that is not read.
            OSError: It cannot be read.
            InterruptedError: It was stopped.
        """
        if self.payload is None:
            self.payload = open_payload(self.image, self._report, self._asked)
        self.done = self.total = 0
        self.offers = [self._offer(self.payload, one) for one in self._machine.disks()]

    def _offer(self, payload: Payload, device: BlockDevice) -> Offer:
        shown = Path("/dev") / device.path.name
        destination = Destination(
            path=shown, real=device.path, kind="device", bytes=device.bytes, device=device
        )
        command = by_hand(payload, destination)
        try:
            job = judge(payload, destination, self._machine, writing=True)
        except Refused as refused:
            return Offer(device, None, refused.problems, command)
        return Offer(device, job, job.warnings, command)

    def write(self, job: Job) -> Outcome:
        """Writes the image; blocks until it is done, or was stopped."""
        self.outcome = None
        self.stopped = False
        self.outcome = write(job.payload, job.destination, self._report, self._asked)
        return self.outcome

    def words(self, destination: Destination) -> str:
        """Returns how writing ended, in a sentence or two."""
        outcome = self.outcome
        assert outcome is not None
        if outcome.status == "ok":
            return verdict(destination, outcome, writing=True)
        return f"{outcome.message}. {outcome.hint}".rstrip(". ") + "."

    def _report(self, done: int, total: int) -> None:
        self.done, self.total = done, total

    def _asked(self) -> bool:
        return self.stopped
