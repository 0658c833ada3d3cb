"""Boots an image in QEMU and watches its console for what is expected."""

from __future__ import annotations

import asyncio
import codecs
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from engine.boot.firmware import FirmwareKind
from engine.boot.qemu import CORRUPTION, Accelerator, VirtualMachine, diagnose, plain, unfinished
from engine.plan.model import Plan
from engine.plan.outputs import EFI_VARIABLES
from engine.plan.steps import virtual_machine
from engine.tools.environment import tool_environment
from engine.tools.failure import StepFailed
from engine.tools.runner import run

OnText = Callable[[str], None]

# A /dev/kvm that answers may still hang every kernel: it is believed once a kernel has spoken.
KVM_SIGN_OF_LIFE_SECONDS = 15.0
_SIGN_OF_LIFE = re.compile(r"Linux version|\[ *\d+\.\d{6}\]|login:")
_CORRUPTION = re.compile(CORRUPTION)
# Expectations span at most this much console text.
_WINDOW = 1 << 16
_KEPT_CONSOLE = 1 << 20
# Characters of a console line that an error message has room for.
_SHOWN = 200
_SILENT_KVM = f"KVM answers, but ran no kernel within {KVM_SIGN_OF_LIFE_SECONDS:g} s"
_KVM = Path("/dev/kvm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a boot went.

    Attributes:
        seen: Whether the console showed what was expected (or, without an expectation, whether
            the machine switched itself off), and no complaint of dm-verity before.
        seconds: From QEMU's start until then, or until it was given up.
        console: What the console printed, without escape sequences (the last MiB).
        meaning: What the end of the console probably means, where `seen` is false.
        note: Why the accelerator is what it is.
    """

    firmware: FirmwareKind
    accelerator: Accelerator
    seen: bool
    seconds: float
    console: str
    meaning: str
    note: str

    def last_lines(self, count: int = 12) -> list[str]:
        """Returns the end of the console, empty lines left out and long ones cut."""
        lines = (line.rstrip()[:_SHOWN] for line in self.console.splitlines())
        return [line for line in lines if line][-count:]


class _Watch:
    """Collects console output and tells when a pattern, or dm-verity's complaint, is in it."""

    def __init__(self, expect: re.Pattern[str] | None, on_text: OnText) -> None:
        self._expect = expect
        self._on_text = on_text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self._recent = ""
        self.wants_power_off = expect is None
        self.console = ""
        self.corrupt = False
        self.seen = asyncio.Event()
        self.alive = asyncio.Event()

    def feed(self, chunk: bytes) -> None:
        raw = self._decoder.decode(chunk)
        self._on_text(raw)
        raw = self._pending + raw
        self._pending = unfinished(raw)
        text = plain(raw[: len(raw) - len(self._pending)])
        self.console = (self.console + text)[-_KEPT_CONSOLE:]
        self._recent = (self._recent + text)[-_WINDOW:]
        if _SIGN_OF_LIFE.search(self._recent):
            self.alive.set()
        self.corrupt = self.corrupt or _CORRUPTION.search(self._recent) is not None
        if self.corrupt or (self._expect and self._expect.search(self._recent)):
            self.alive.set()
            self.seen.set()


def machine_of(plan: Plan, kind: FirmwareKind, image: Path) -> VirtualMachine:
    """Returns the machine that boots a plan's finished image, for `boot`.

    Args:
        plan: Has firmware of this machine where `kind` is "uefi".
        kind: The firmware.
        image: Where the image is; an efi-vars.fd beside it holds the variables to start from.
    """
    variables = image.with_name(EFI_VARIABLES)
    if not variables.exists() and plan.boot.uefi is not None:
        variables = plan.boot.uefi.variables
    return virtual_machine(
        plan, kind, image=str(image.absolute()), variables=str(variables), accelerator="tcg"
    )


async def boot(
    machine: VirtualMachine,
    *,
    expect: str,
    limit: float,
    on_text: OnText,
    scratch: Path | None = None,
) -> Verdict:
    """Boots an image until its console shows `expect`, it switches off, or time is up.

    KVM is used where it proves within 15 seconds that it runs a kernel, else TCG.

    Args:
        machine: What to start. Its accelerator is chosen here, and its variables are copied first:
            neither they nor the image are changed.
        expect: Regular expression, or "" to wait for the machine to switch off.
        limit: Seconds.
        on_text: Takes console output as it comes, escape sequences included.
        scratch: Where the copy of its variables goes while it runs, if not with temporary files.

    Raises:
        StepFailed: QEMU is missing or does not run.
        re.error: `expect` is not a regular expression.
    """
    pattern = re.compile(expect) if expect else None
    kvm, note = kvm_is_plausible(machine.architecture)
    with tempfile.TemporaryDirectory(prefix="diskwright-boot-", dir=scratch) as folder:
        if kvm:
            verdict = await _boot(machine, "kvm", Path(folder), pattern, limit, on_text)
            if verdict is not None:
                return verdict
            note = _SILENT_KVM
        verdict = await _boot(machine, "tcg", Path(folder), pattern, limit, on_text)
    assert verdict is not None
    return replace(verdict, note=note)


async def choose_accelerator(machine: VirtualMachine) -> tuple[Accelerator, str]:
    """Returns KVM if it shows by this very image that it runs kernels, else TCG; and why.

    Raises:
        StepFailed: QEMU is missing or does not run.
    """
    kvm, note = kvm_is_plausible(machine.architecture)
    if kvm:
        with tempfile.TemporaryDirectory(prefix="diskwright-boot-") as folder:
            verdict = await _boot(
                machine, "kvm", Path(folder), _SIGN_OF_LIFE, KVM_SIGN_OF_LIFE_SECONDS, _ignore
            )
        if verdict is not None and verdict.seen:
            return "kvm", verdict.note
        note = _SILENT_KVM
    return "tcg", note


def _ignore(_: object) -> None:
    """Takes what nobody looks at."""


async def _boot(
    machine: VirtualMachine, accelerator: Accelerator, folder: Path, expect: re.Pattern[str] | None,
    limit: float, on_text: OnText,
) -> Verdict | None:  # fmt: skip
    """Returns how a boot with this accelerator went, or None if KVM showed no sign of life."""
    machine = replace(machine, accelerator=accelerator)
    if machine.code:
        copy = folder / f"variables-{accelerator}.fd"
        await asyncio.to_thread(shutil.copyfile, machine.variables, copy)
        machine = replace(machine, variables=str(copy))
    watch = _Watch(expect, on_text)
    started = time.monotonic()
    seen = await _attempt(machine, watch, limit)
    if seen is None:
        return None
    return Verdict(
        firmware=machine.firmware,
        accelerator=accelerator,
        seen=seen,
        seconds=round(time.monotonic() - started, 3),
        console=watch.console,
        meaning="" if seen else diagnose(watch.console),
        note="KVM runs it" if accelerator == "kvm" else "",
    )


def kvm_is_plausible(architecture: str = "x86_64") -> tuple[bool, str]:
    """Returns whether KVM is worth a try, and if not, why not.

    Args:
        architecture: What is to run, as `uname -m` has it.
    """
    if platform.machine() != architecture:
        return False, f"KVM here runs {platform.machine()} only"
    if not _KVM.exists():
        return False, f"{_KVM} is not there"
    if not os.access(_KVM, os.R_OK | os.W_OK):
        return False, f"{_KVM} is not yours to open"
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False, "the processor's features are not known"
    if re.search(r"^flags\b.*\b(?:vmx|svm)\b", flags, re.MULTILINE) is None:
        return False, "the processor offers no hardware virtualization here"
    return True, ""


async def _attempt(machine: VirtualMachine, watch: _Watch, limit: float) -> bool | None:
    """Returns whether it was seen, or None if KVM showed no sign of life."""
    # The console goes to the watch as it comes; lines are of no use here.
    qemu = asyncio.create_task(
        run(machine.argv(), step="boot", emit=_ignore, env=tool_environment(), raw=watch.feed)
    )
    seen = asyncio.create_task(watch.seen.wait())
    deadline = asyncio.get_running_loop().time() + limit
    try:
        if machine.accelerator == "kvm":
            alive = asyncio.create_task(watch.alive.wait())
            patience = min(limit, KVM_SIGN_OF_LIFE_SECONDS)
            await asyncio.wait({qemu, alive}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            alive.cancel()
            if not watch.alive.is_set() and (qemu.done() or patience < limit):
                return None
        left = deadline - asyncio.get_running_loop().time()
        await asyncio.wait({qemu, seen}, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED)
        if qemu.done():
            try:
                qemu.result()
            except StepFailed as error:
                raise StepFailed(
                    f"QEMU could not boot the image: {error.message}", error.hint
                ) from error
            # A panic with panic=-1 also ends QEMU with status 0: only the console tells.
            switched_off = watch.wants_power_off and "Kernel panic" not in watch.console
            return (watch.seen.is_set() or switched_off) and not watch.corrupt
        return watch.seen.is_set() and not watch.corrupt
    finally:
        seen.cancel()
        qemu.cancel()
        with suppress(asyncio.CancelledError, StepFailed):
            await qemu
