"""The proof that the finished image boots: QEMU, once for each firmware that the layout is for."""

from __future__ import annotations

import re

from engine.boot.firmware import FirmwareKind
from engine.boot.qemu import CORRUPTION
from engine.events import Log
from engine.pipeline.proof import Verdict, boot, machine_of
from engine.pipeline.steps.names import finish_image
from engine.pipeline.work import Work
from engine.tools.failure import StepFailed
from engine.tools.lines import LineSplitter

_NAMES: dict[FirmwareKind, str] = {"bios": "BIOS", "uefi": "UEFI"}
_HINT = "build it with --set boot.prove=false and look at it with `diskwright boot`"


async def prove(work: Work) -> None:
    """Boots the image until its console shows `boot.expect`; verdicts go into manifest.json.

    Raises:
        StepFailed: It was not seen; the message ends with the console's last lines.
    """
    planned = work.plan.boot
    for kind in planned.proofs:
        console = _Console(work)
        verdict = await boot(
            machine_of(work.plan, kind, finish_image(work)),
            expect=planned.expect,
            limit=planned.timeout,
            on_text=console.feed,
            scratch=work.staging.folder,  # swept with all else where this process is killed
        )
        console.close()
        work.proofs.append(verdict)
        by = f"{verdict.accelerator} ({verdict.note})"
        if not verdict.seen:
            raise StepFailed(_unseen(verdict, planned.expect), _HINT)
        work.note(f"{_NAMES[kind]}: {planned.expect!r} seen after {verdict.seconds:.1f} s, by {by}")


def _unseen(verdict: Verdict, expect: str) -> str:
    tail = "".join(f"\n  | {line}" for line in verdict.last_lines())
    if re.search(CORRUPTION, verdict.console):
        return f"under {_NAMES[verdict.firmware]} {verdict.meaning}; the console ended with{tail}"
    return (
        f"under {_NAMES[verdict.firmware]} the console did not show {expect!r} within "
        f"{verdict.seconds:.0f} s: {verdict.meaning}; it ended with{tail or ' nothing'}"
    )


class _Console:
    """Turns the console into log lines of the step."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lines = LineSplitter()

    def feed(self, text: str) -> None:
        """Takes what the console printed."""
        self._log(text.encode(), final=False)

    def close(self) -> None:
        """Logs what has no newline at its end."""
        self._log(b"", final=True)

    def _log(self, data: bytes, *, final: bool) -> None:
        for _, text in self._lines.feed(data, final=final):
            if text.strip():
                self._work.emit(Log(id=self._work.step.id, stream="stdout", text=text))
