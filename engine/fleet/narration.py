"""How a fleet is shown on standard error: a line for each image, and one repainted for the rest."""

from __future__ import annotations

import shutil
import time
from collections import Counter, deque
from typing import TextIO

from engine.events import BuildFinished, Log, Progress, StepStarted
from engine.fleet.events import (
    ENDED,
    FleetEvent,
    FleetFinished,
    FleetStarted,
    RowFinished,
    RowStarted,
    Said,
    State,
)
from engine.units import human

_LAST_LINES = 10
_REPAINT_SECONDS = 0.1
_MARKS: dict[State, str] = {
    "ok": "✓", "unchanged": "=", "failed": "✗", "refused": "✗", "cancelled": "✗", "lost": "✗",
}  # fmt: skip


class FleetNarration:
    """Tells a fleet's events to a person.

    Args:
        out: Where.
        quiet: Only what goes wrong.
    """

    def __init__(self, out: TextIO, *, quiet: bool = False) -> None:
        self._out = out
        self._quiet = quiet
        self._paints = out.isatty() and not quiet
        self._painted_at = 0.0
        self._painted = False
        self._states: dict[str, State] = {}
        self._doing: dict[str, str] = {}
        self._tails: dict[str, deque[str]] = {}
        self._kept = 0

    def __call__(self, event: FleetEvent) -> None:
        """Takes one event."""
        match event:
            case FleetStarted():
                self._states = {row.image: row.state for row in event.rows}
                self._kept = sum(row.state == "unchanged" for row in event.rows)
                if self._kept:
                    self._say(f"= {self._kept} of {len(event.rows)} images are up to date")
            case RowStarted(image=image):
                self._states[image] = "running"
                self._doing[image] = ""
                if not self._paints:
                    self._say(f"==> {image}" + (f" on {event.worker}" if event.worker else ""))
            case Said(image=image, event=said):
                self._heard(image, said)
            case RowFinished():
                self._row(event)
            case FleetFinished():
                self._end(event)
        self._paint()

    def _heard(self, image: str, said: object) -> None:
        tail = self._tails.setdefault(image, deque(maxlen=_LAST_LINES))
        match said:
            case StepStarted():
                tail.clear()
                self._doing[image] = said.title
            case Progress(total=total) if total:
                title = self._doing.get(image, "").partition("  ")[0]
                self._doing[image] = f"{title}  {said.done * 100 // total} %"
            case Log(stream=stream, text=text) if stream != "command":
                tail.append(text)
            case BuildFinished():
                pass

    def _row(self, event: RowFinished) -> None:
        image = event.image
        before = self._states.get(image)
        self._states[image] = event.state
        self._doing.pop(image, None)
        tail = self._tails.pop(image, ())
        if event.state == "unchanged" or (event.state == "cancelled" and before == "waiting"):
            return  # the last line counts them
        where = f" on {event.worker}" if event.worker else ""
        if event.state == "ok":
            reused = f", {human(event.reused)} taken over" if event.reused else ""
            why = f" ({event.message})" if event.message else ""
            self._say(f"{_MARKS['ok']} {image}  {event.seconds:.2f} s{where}{reused}{why}")
            return
        if event.state == "failed":
            for line in tail:
                self._say(f"  | {line}", always=True)
        step = f"{event.step}: " if event.step else ""
        reason = f": {step}{event.message}" if event.message else ""
        mark = _MARKS[event.state]
        self._say(f"{mark} {image} {event.state}{where}{reason}", always=True)
        if event.hint:
            self._say(f"  hint: {event.hint}", always=True)

    def _end(self, event: FleetFinished) -> None:
        self._wipe()
        counts = ", ".join(f"{count} {state}" for state, count in sorted(event.states.items()))
        self._say(f"{event.status} in {event.seconds:.2f} s: {counts}")

    def _say(self, text: str, *, always: bool = False) -> None:
        if self._quiet and not always:
            return
        self._wipe()
        print(text, file=self._out, flush=True)

    def _paint(self) -> None:
        now = time.monotonic()
        if not self._paints or not self._doing or now - self._painted_at < _REPAINT_SECONDS:
            return
        self._painted_at = now
        counts = Counter(self._states.values())
        ended = sum(count for state, count in counts.items() if state in ENDED)
        doing = "; ".join(f"{image}: {what}" for image, what in self._doing.items())
        text = f"… {ended} of {len(self._states)}  {doing}"
        self._out.write(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}")
        self._out.flush()
        self._painted = True

    def _wipe(self) -> None:
        if self._painted:
            self._out.write("\r\x1b[K")
            self._painted = False
