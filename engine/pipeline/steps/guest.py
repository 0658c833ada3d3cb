"""Runs a NixOS system's own boot loader installer in a virtual machine, on the image itself."""

from __future__ import annotations

import asyncio
import lzma
import subprocess

from engine.boot import guest
from engine.boot.qemu import diagnose
from engine.boot.tree import data
from engine.manifest.entry import Entry
from engine.manifest.lookup import read
from engine.pipeline.proof import KVM_SIGN_OF_LIFE_SECONDS, kvm_is_plausible
from engine.pipeline.staging import GUEST_INITRD, GUEST_KERNEL, GUEST_STATUS
from engine.pipeline.work import Work
from engine.plan import nixos
from engine.tools.failure import StepFailed

LIMIT_SECONDS = 1800
"""An installer under emulation takes minutes where it copies kernels of many generations."""

_HINT = (
    'its own messages are above; boot.loader = "grub" does the same work from the system\'s '
    "bootspec, without a virtual machine"
)
_FULL = "No space left on device"
_ROOM_HINT = (
    "a volume is full; what the installer adds is not planned: make size.boot, size.additional, or "
    "size or free of the volume at /boot larger"
)


async def install(work: Work) -> None:
    """Runs the installer on the image; it finds it as /dev/vda, and its root mounted.

    Raises:
        StepFailed: It failed (with its own exit status), or the machine came to no end.
        SourceChanged: The system's kernel or a module is no longer what was scanned.
    """
    plan = work.plan
    assert plan.boot.guest is not None
    paths = [work.staging.folder / name for name in (GUEST_KERNEL, GUEST_INITRD, GUEST_STATUS)]
    kernel, initrd, status = paths
    parts, script = plan.boot.guest, nixos.guest_init(plan)
    try:
        kernel.write_bytes(await work.thread(lambda report: bytes_of(parts.kernel)))
        initrd.write_bytes(await work.thread(lambda report: guest.initrd(parts, script)))
        argv = work.step.argv[0]
        if await kvm_runs(work, nixos.guest_command(plan, accelerator="kvm", probe=True)):
            argv = nixos.guest_command(plan, accelerator="kvm")
        console = await _run(work, argv)
        _judge(status.read_text(errors="replace").strip() if status.exists() else "", console)
    except (lzma.LZMAError, subprocess.SubprocessError) as error:
        raise StepFailed(f"the virtual machine's initrd cannot be made: {error}") from error
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
    work.note("the installer ended with status 0, and the root file system was unmounted")


async def kvm_runs(work: Work, argv: tuple[str, ...]) -> bool:
    """Whether KVM shows, before anything is written, that it runs this very kernel.

    Args:
        argv: Runs a guest that only says so.
    """
    plausible, why = kvm_is_plausible()
    if plausible:
        why = f"KVM answers, but ran no kernel within {KVM_SIGN_OF_LIFE_SECONDS:g} s"
        try:
            done = await asyncio.wait_for(work.tool(argv, quiet=True), KVM_SIGN_OF_LIFE_SECONDS)
        except (StepFailed, TimeoutError):
            plausible = False
        else:
            plausible = any(guest.READY in text for text in (done.stdout, *done.tail))
    work.note("by KVM" if plausible else f"by emulation: {why}")
    return plausible


async def _run(work: Work, argv: tuple[str, ...]) -> str:
    try:
        done = await asyncio.wait_for(work.tool(argv), LIMIT_SECONDS)
    except TimeoutError:
        message = f"the installer came to no end within {LIMIT_SECONDS} s"
        raise StepFailed(message, _HINT) from None
    return done.stdout


def _judge(word: str, console: str) -> None:
    """Raises unless the machine's last word is that the installer succeeded."""
    if not word:
        # A panic also ends QEMU with status 0.
        tail = "".join(f"\n  | {line}" for line in console.splitlines()[-5:])
        raise StepFailed(f"the virtual machine ended early: {diagnose(console)}{tail}", _HINT)
    if word.isdecimal() and word != "0":
        hint = _ROOM_HINT if _FULL in console else _HINT
        raise StepFailed(f"switch-to-configuration exited with status {word}", hint)
    if word != "0":
        raise StepFailed(f"in the virtual machine: {word}", _HINT)


def bytes_of(entry: Entry) -> bytes:
    """Returns all that a file holds."""
    return read(data(entry), data(entry).size)
