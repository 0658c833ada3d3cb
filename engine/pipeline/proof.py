"""Boots an image in QEMU and watches its console for what is expected."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.boot.firmware import Firmware
from engine.boot.qemu import FirmwareKind, Machine, diagnose, plain
from engine.events import AnyEvent
from engine.pipeline.environment import tool_environment
from engine.pipeline.failure import StepFailed
from engine.pipeline.runner import run

Accelerator = Literal["kvm", "tcg"]
OnText = Callable[[str], None]

# A /dev/kvm that answers may still hang every kernel: it is believed once a kernel has spoken.
KVM_SIGN_OF_LIFE_SECONDS = 15.0
_SIGN_OF_LIFE = re.compile(r"Linux version|\[ *\d+\.\d{6}\]|login:")
# Expectations span at most this much console text.
_WINDOW = 1 << 16
_KEPT_CONSOLE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a boot went.

    Attributes:
        seen: Whether the console showed what was expected (or, without an expectation, whether
            the machine switched itself off).
        seconds: From QEMU's start until then, or until it was given up.
        console: What the console printed, without escape sequences (the last MiB).
        meaning: What the end of the console probably means, where `seen` is false.
        note: Why the accelerator is what it is, where that needs saying.
    """

    firmware: FirmwareKind
    accelerator: Accelerator
    seen: bool
    seconds: float
    console: str
    meaning: str
    note: str = ""


class _Watch:
    """Collects console output and tells when a pattern appears in it."""

    def __init__(self, expect: re.Pattern[str] | None, on_text: OnText) -> None:
        self._expect = expect
        self._on_text = on_text
        self._recent = ""
        self.wants_power_off = expect is None
        self.console = ""
        self.seen = asyncio.Event()
        self.alive = asyncio.Event()

    def feed(self, chunk: bytes) -> None:
        raw = chunk.decode("utf-8", "replace")
        self._on_text(raw)
        text = plain(raw)
        self.console = (self.console + text)[-_KEPT_CONSOLE:]
        self._recent = (self._recent + text)[-_WINDOW:]
        if _SIGN_OF_LIFE.search(self._recent):
            self.alive.set()
        if self._expect and self._expect.search(self._recent):
            self.alive.set()
            self.seen.set()


async def boot(
    image: Path, image_format: str, *, firmware: Firmware | None, expect: str, limit: float,
    memory_mib: int, on_text: OnText,
) -> Verdict:  # fmt: skip
    """Boots an image until its console shows `expect`, it switches off, or time is up.

    KVM is used where it proves within 15 seconds that it runs a kernel, else TCG.

    Args:
        image: The image, which is never changed.
        image_format: qemu-img's name of its format.
        firmware: UEFI firmware with the variables to start from (copied), or None for BIOS.
        expect: Regular expression, or "" to wait for the machine to switch off.
        limit: Seconds.
        memory_mib: Guest memory.
        on_text: Takes console output as it comes, escape sequences included.

    Raises:
        StepFailed: QEMU is missing or refuses to start.
    """
    note = ""
    with tempfile.TemporaryDirectory(prefix="diskwright-boot-") as folder:
        for accelerator in _accelerators():
            private = firmware
            if firmware is not None:
                copy = Path(folder, f"variables-{accelerator}.fd")
                await asyncio.to_thread(shutil.copyfile, firmware.variables, copy)
                private = Firmware(firmware.code, copy)
            machine = Machine(
                image=image, format=image_format, memory_mib=memory_mib,
                accelerator=accelerator, firmware=private,
            )  # fmt: skip
            watch = _Watch(re.compile(expect) if expect else None, on_text)
            started = time.monotonic()
            ended = await _attempt(machine, watch, limit)
            if ended is None:
                note = (
                    f"KVM answers here but ran no kernel within {KVM_SIGN_OF_LIFE_SECONDS:g} s; "
                    "TCG was used"
                )
                continue
            return Verdict(
                firmware="uefi" if firmware else "bios", accelerator=accelerator, seen=ended,
                seconds=time.monotonic() - started, console=watch.console,
                meaning="" if ended else diagnose(watch.console), note=note,
            )  # fmt: skip
    raise AssertionError("TCG always gives a verdict")


def kvm_is_plausible() -> bool:
    """Whether /dev/kvm may be opened and the processor has what KVM needs."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(r"^flags\b.*\b(?:vmx|svm)\b", flags, re.MULTILINE) is not None


def _accelerators() -> tuple[Accelerator, ...]:
    return ("kvm", "tcg") if kvm_is_plausible() else ("tcg",)


async def _attempt(machine: Machine, watch: _Watch, limit: float) -> bool | None:
    """Returns whether it was seen, or None if KVM showed no sign of life."""

    def ignore(_: AnyEvent) -> None:
        """The console goes to the watch, byte by byte; lines are of no use here."""

    qemu = asyncio.create_task(
        run(machine.argv(), step="boot", emit=ignore, env=tool_environment(0), raw=watch.feed)
    )
    seen = asyncio.create_task(watch.seen.wait())
    deadline = asyncio.get_running_loop().time() + limit
    try:
        if machine.accelerator == "kvm":
            alive = asyncio.create_task(watch.alive.wait())
            patience = min(limit, KVM_SIGN_OF_LIFE_SECONDS)
            await asyncio.wait({qemu, alive}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            alive.cancel()
            if not qemu.done() and not watch.alive.is_set() and patience < limit:
                return None
        left = deadline - asyncio.get_running_loop().time()
        await asyncio.wait({qemu, seen}, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED)
        if qemu.done():
            try:
                qemu.result()
            except StepFailed as error:
                raise StepFailed(f"QEMU could not boot the image: {error.message}") from error
            # A panic with panic=-1 also ends QEMU with status 0: only the console tells.
            switched_off = watch.wants_power_off and "Kernel panic" not in watch.console
            return watch.seen.is_set() or switched_off
        return watch.seen.is_set()
    finally:
        seen.cancel()
        qemu.cancel()
        with suppress(asyncio.CancelledError, StepFailed):
            await qemu
