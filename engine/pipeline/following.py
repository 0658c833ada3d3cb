"""SHA-256 of an image that follows those who write it, from its first byte to its last.

The steps of a build say when they are over, and a step that fills a volume how far it is. So it is
known before which byte nobody writes any more. Up to there a process (`summing`) reads the file:
the digest is of what is in it, as that of a file that is complete.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from engine.image.whole import BLOCK
from engine.pipeline import schedule, summing
from engine.pipeline.reusing import whole_image
from engine.pipeline.summing import Summing
from engine.plan.model import Plan, StepPlan
from engine.plan.steps import written_bytes
from engine.tools.processors import processors

_STEP = 8 << 20
"""Bytes that the process gets at once."""


class Following:
    """The digest of one image in the making; `close` is to be called whatever happens.

    Args:
        plan: Of the build.
        steps: All that will run, in their order.
        image: Where the image is made.
        wanted: Whether somebody will ask for it.
    """

    def __init__(
        self, plan: Plan, steps: Sequence[StepPlan], image: Path, *, wanted: bool
    ) -> None:  # fmt: skip
        self._plan = plan
        self._image = image
        self._size = plan.disk.bytes
        self._starts = {volume.id: plan.offset(volume.id) for volume in plan.volumes}
        self._writing = _writing(steps) if wanted else []
        self._lock = threading.Lock()
        self._summing: Summing | None = None
        self._allowed = 0

    def over(self, step: StepPlan) -> None:
        """Takes that a step is over."""
        with self._lock:
            if step in self._writing:
                self._writing.remove(step)
                self._advance()

    def settled(self, volume: str, end: int) -> None:
        """Takes that all of a volume before a byte of the image is as it will be."""
        with self._lock:
            self._starts[volume] = end
            if self._writing:
                self._advance()

    def sha256(
        self, path: Path, report: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> str:
        """Returns the sum of the image when all who write it are over.

        Args:
            path: Where it is by now.
            report: Called with bytes read and in all.
            cancelled: Asked several times a second.

        Raises:
            engine.tools.failure.StepFailed: The process ended early.
            OSError: The image cannot be read, or no process can be started.
        """
        if self._summing is not None and self._summing.of(path):
            return self._summing.finish(report, cancelled)
        return summing.sha256(path, report, cancelled)

    def close(self) -> None:
        """Ends the process, if there is one."""
        with self._lock:
            self._writing = []
            if self._summing is not None:
                self._summing.close()

    def _advance(self) -> None:
        """Has the process read on, once that is worth it."""
        end = self._end() // BLOCK * BLOCK
        if end - self._allowed < _STEP:
            return
        if self._summing is None:
            if not pays(self._plan):
                return
            try:
                self._summing = Summing(self._image)
            except OSError:  # `sha256` tries again, and says why it cannot
                self._writing = []
                return
        if self._summing.allow(end):
            self._allowed = end

    def _end(self) -> int:
        """Returns the byte of the image before which nobody writes any more."""
        if any(schedule.writes_anywhere(step) for step in self._writing):
            return 0
        return min((self._starts[step.volume] for step in self._writing), default=self._size)


def pays(plan: Plan) -> bool:
    """Whether the raw image gets a SHA-256 and nothing else, and there is enough of it."""
    return (
        processors() > 1
        and plan.sums.image == ("sha256",)
        and not whole_image(plan)
        and plan.output.packed is None
        and written_bytes(plan) >= summing.WORTH_IT
    )


def _writing(steps: Sequence[StepPlan]) -> list[StepPlan]:
    """Returns the steps that write to the image before its digest is asked for."""
    before = takewhile(lambda step: step.verb != "checksum", steps)
    return [step for step in before if schedule.fills(step) or schedule.writes_anywhere(step)]
