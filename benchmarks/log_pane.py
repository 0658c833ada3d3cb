"""Measures what a talkative tool costs the wizard: `python -m benchmarks.log_pane`.

Lines come at 20,000 a second for a few seconds while keys are pressed. Printed is how long the
loop, which reads the keys, did not come round: by the clock, and by the processor time it used,
which other programs on the machine do not change.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from engine.events import BuildFinished, BuildStarted, Emit, Log, StepStarted
from engine.problem import Problem
from tui.app import DiskwrightApp
from tui.widgets.log_pane import LogPane

RATE = 20_000
SECONDS = 5
BURST = 0.01
BEAT = 0.005


class Chatter:
    """A build whose only step prints."""

    outdir: Path | None = None
    title = "chatter"
    pace = 1.0

    def __init__(self) -> None:
        self.refused: tuple[Problem, ...] = ()

    async def run(self, emit: Emit) -> None:
        """Emits lines at the rate, in bursts as a pipe delivers them."""
        plan = {"name": "chatter", "steps": [{"id": "hook", "title": "Chatter", "bytes": 0}]}
        emit(BuildStarted(plan=plan))
        emit(StepStarted(id="hook", title="Chatter"))
        begun = time.monotonic()
        sent = 0
        while (elapsed := time.monotonic() - begun) < SECONDS:
            due = int(elapsed * RATE)
            for number in range(sent, due):
                text = f"line {number}: unpacking /usr/share/doc/package/{number % 977}/copyright"
                emit(Log(time=elapsed, id="hook", stream="stdout", text=text))
            sent = due
            await asyncio.sleep(BURST)
        emit(BuildFinished(time=elapsed, status="ok", seconds=elapsed))


async def main() -> None:
    """Runs and prints."""
    lags: list[float] = []
    busy: list[float] = []

    async def beat() -> None:
        while True:
            before, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(BEAT)
            lags.append(time.perf_counter() - before - BEAT)
            busy.append(time.thread_time() - used)

    app = DiskwrightApp(job=Chatter())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.5)
        lags.clear()
        busy.clear()
        beating = asyncio.create_task(beat())
        begun = time.monotonic()
        while time.monotonic() - begun < SECONDS:
            await asyncio.sleep(0.2)
            app.simulate_key("up")
            app.simulate_key("end")
        beating.cancel()
        await pilot.pause(0.5)
        lines = len(app.screen.query_one(LogPane).view.lines)
    print(f"{RATE * SECONDS:,} lines in {SECONDS} s, {lines:,} kept")
    for name, values in (("by the clock", lags), ("busy", busy)):
        values.sort()
        print(
            f"{name}: {values[-1] * 1000:.1f} ms at most, "
            f"{values[int(len(values) * 0.99)] * 1000:.1f} ms at the 99th percentile, "
            f"{values[len(values) // 2] * 1000:.1f} ms at the median"
        )


if __name__ == "__main__":
    asyncio.run(main())
