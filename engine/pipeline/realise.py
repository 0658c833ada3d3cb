"""Has nix build the system that a spec names, before there can be a plan of its image."""

from __future__ import annotations

import os
import time
from typing import Literal

import msgspec

from engine.events import AnyEvent, BuildFinished, Emit, StepFinished, StepStarted
from engine.nix import ask
from engine.nix.roots import is_unbuilt
from engine.nix.store import locate
from engine.plan.model import Plan
from engine.spec.installable import Attribute, parse
from engine.tools import runner
from engine.tools.environment import nix_environment
from engine.tools.failure import StepFailed

STEP, TITLE = "nix-build", "Build the NixOS system"


def wanted(plan: Plan) -> bool:
    """Whether all that keeps a plan from being built is that nix must build its system first."""
    return is_unbuilt(plan.problems)


def command(plan: Plan) -> tuple[str, ...]:
    """Returns the call that builds the system (nix3-build(1))."""
    installable = parse(plan.nix.system)
    if isinstance(installable, Attribute):
        what: tuple[str, ...] = ("-f", installable.file, installable.name)
    else:
        what = (plan.nix.system,)
    store = locate(plan.nix.store, os.environ)
    return (
        "nix", *ask.EXPERIMENTAL, "build", *store.arguments, "--no-link", "--print-build-logs",
        *what,
    )  # fmt: skip


async def realise(plan: Plan, emit: Emit) -> bool:
    """Runs the build as a step whose log is streamed.

    Args:
        plan: As far as it could be made without the system.
        emit: Takes the events; after a failure also that the whole build has failed.

    Returns:
        Whether the system is built now.

    Raises:
        asyncio.CancelledError: The task was cancelled; no process is left.
    """
    begun = time.monotonic()

    def say(event: AnyEvent) -> None:
        emit(msgspec.structs.replace(event, time=round(time.monotonic() - begun, 4)))

    argv = command(plan)
    say(StepStarted(id=STEP, title=TITLE, argv=argv))
    failure = StepFailed("cancelled")
    status: Literal["ok", "failed", "cancelled"] = "cancelled"
    try:
        await runner.run(argv, step=STEP, emit=say, env=nix_environment())
        status = "ok"
    except StepFailed as error:
        status, failure = "failed", error
    finally:
        seconds = round(time.monotonic() - begun, 4)
        say(StepFinished(id=STEP, status=status, seconds=seconds))
        if status != "ok":
            message, hint = failure.message, failure.hint or None
            say(
                BuildFinished(status=status, seconds=seconds, step=STEP, message=message, hint=hint)
            )
    return status == "ok"
