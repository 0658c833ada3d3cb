"""How a build is shown: one line of progress, and what is on the terminal at the end."""

from __future__ import annotations

import io

from engine.cli.narration import Painted, Plain, Quiet, progress_text
from engine.events import BuildFinished, Log, Progress, StepFinished, StepStarted

FAILURE = BuildFinished(status="failed", seconds=1.0, step="a", message="no", hint="do this")


def test_progress_tells_share_amounts_rate_and_time_left() -> None:
    text = progress_text(Progress(id="a", done=1 << 30, total=4 << 30), elapsed=2.0)

    assert text == ("██████░░░░░░░░░░░░░░░░░░   25 %  1.0 GiB of 4.0 GiB  512.0 MiB/s  0:06 left")


def test_progress_of_unknown_total_is_an_amount() -> None:
    assert progress_text(Progress(id="a", done=7, total=0, unit="files"), elapsed=9.0) == "7"


def test_progress_beyond_its_total_stays_in_the_bar() -> None:
    assert progress_text(Progress(id="a", done=3, total=2, unit="x"), 0.0).startswith("█" * 24)


def test_a_failure_shows_the_last_lines_of_its_own_step() -> None:
    out = io.StringIO()
    tell = Quiet(out)

    for event in (
        StepStarted(id="z", title="Z"),
        Log(id="z", stream="stdout", text="of another step"),
        StepStarted(id="a", title="A"),
        Log(id="a", stream="command", text="tool x"),
        Log(id="a", stream="stderr", text="reason"),
        FAILURE,
    ):
        tell(event)

    assert out.getvalue() == "  | reason\nerror: a: no\nhint: do this\n"


def test_plain_narration_has_no_control_characters() -> None:
    out = io.StringIO()
    tell = Plain(out)

    for event in (
        StepStarted(id="a", title="A"),
        Log(id="a", stream="command", text="tool x"),
        Progress(id="a", done=1, total=2),
        Log(id="a", stream="stdout", text="said"),
        StepFinished(id="a", status="ok", seconds=0.5),
        BuildFinished(status="ok", seconds=0.5),
    ):
        tell(event)

    assert out.getvalue() == "==> A\n  $ tool x\n  | said\n  ok, 0.50 s\ndone in 0.50 s\n"


def test_painted_narration_wipes_an_unfinished_line() -> None:
    out = io.StringIO()

    with Painted(out) as tell:
        tell(StepStarted(id="a", title="A"))

    assert out.getvalue() == "\r\x1b[K… A\r\x1b[K"


SIDE_BY_SIDE = (
    StepStarted(id="a", title="A"),
    Log(id="a", stream="stdout", text="of a"),
    StepStarted(id="b", title="B"),
    Log(id="a", stream="stdout", text="more of a"),
    Log(id="b", stream="stdout", text="of b"),
    Progress(id="b", done=1, total=4),
)


def test_plain_narration_says_whose_lines_follow() -> None:
    out = io.StringIO()
    tell = Plain(out)

    for event in (
        *SIDE_BY_SIDE,
        StepFinished(id="b", status="ok", seconds=0.5),
        StepFinished(id="a", status="ok", seconds=0.7),
    ):
        tell(event)

    assert out.getvalue().splitlines() == [
        "==> A", "  | of a", "==> B", "==> A, still", "  | more of a", "==> B, still", "  | of b",
        "  ok, 0.50 s", "==> A, still", "  ok, 0.70 s",
    ]  # fmt: skip


def test_painted_narration_shows_all_steps_that_run() -> None:
    out = io.StringIO()
    with Painted(out) as tell:
        for event in SIDE_BY_SIDE:
            tell(event)
        assert out.getvalue().endswith("\r\x1b[K… A · B 25 %")
        tell(StepFinished(id="b", status="ok", seconds=0.5))
        assert out.getvalue().endswith("\r\x1b[K✓ B  0.50 s\n\r\x1b[K… A")


def test_a_failure_shows_the_lines_of_the_step_that_failed() -> None:
    out = io.StringIO()
    tell = Quiet(out)

    for event in (*SIDE_BY_SIDE, FAILURE):
        tell(event)

    assert out.getvalue() == "  | of a\n  | more of a\nerror: a: no\nhint: do this\n"


def test_painted_narration_tells_what_an_update_takes_over() -> None:
    out = io.StringIO()
    with Painted(out) as tell:
        for step in ("compare", "other"):
            tell(StepStarted(id=step, title=step))
            tell(Log(id=step, stream="note", text=f"note of {step}"))
            tell(StepFinished(id=step, status="ok", seconds=0.5))

    assert "compare  0.50 s\n  note of compare\n" in out.getvalue()
    assert "note of other" not in out.getvalue()
