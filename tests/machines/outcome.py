"""How Diskwright did on a machine, and whether its images are the same on all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


class Failed(Exception):
    """A machine was made, and Diskwright did not work there."""


class Cut(Exception):
    """A phase took longer than it may: nothing is known of what it would have shown."""


@dataclass(slots=True)
class Outcome:
    """How a machine ended.

    Attributes:
        name: Of the machine.
        moves: Its suite changes from day to day: what fails there does not count.
        end: What is told of it.
        failed: Diskwright does not work there.
        sums: SHA-256 of every image that it built.
    """

    name: str
    moves: bool = False
    end: str = "works"
    failed: bool = False
    sums: dict[str, str] = field(default_factory=dict)

    def fail(self, why: str) -> None:
        """Ends with a failure, which only counts where the suite stands still."""
        self.failed = not self.moves
        self.end = f"FAILED: {why}" + (
            ". It changes daily, so this does not count" if self.moves else ""
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """An image that is not the same on all machines.

    Attributes:
        image: Its name.
        digests: SHA-256, or "none", by machine.
        failed: Machines whose suites do not move differ.
    """

    image: str
    digests: dict[str, str]
    failed: bool

    def __str__(self) -> str:
        """Returns the line that is told."""
        seen = ", ".join(f"{name}: {digest[:12]}" for name, digest in self.digests.items())
        said = "FAILED" if self.failed else "NOTE"
        return f"{said}: {self.image} is not the same everywhere ({seen})"


def compare(outcomes: Sequence[Outcome]) -> Iterator[Difference]:
    """Yields the images that differ, or are missing, among the machines that built any."""
    built = [outcome for outcome in outcomes if outcome.sums]
    for image in sorted({image for outcome in built for image in outcome.sums}):
        digests = {outcome.name: outcome.sums.get(image, "none") for outcome in built}
        if len(set(digests.values())) > 1:
            settled = {digests[outcome.name] for outcome in built if not outcome.moves}
            yield Difference(image, digests, len(settled) > 1)
