"""Runs a NixOS system's own boot loader installer in a root of its own, as an ordinary user."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engine.boot.overlay import overlay
from engine.filesystems.driver import FilesystemPlan
from engine.manifest.entry import Entry
from engine.manifest.lookup import stream
from engine.manifest.manifest import Manifest
from engine.manifest.progress import Ticker
from engine.manifest.walk import Rules, Walk
from engine.pipeline.staging import ROOT
from engine.pipeline.work import Work
from engine.plan import nixos
from engine.spec.filesystems import FILESYSTEMS
from engine.tools.failure import StepFailed
from engine.units import counted

_ANY_STATUS = frozenset(range(256))
_STORE = b"nix/store"
# What an installer looks at besides the store: who the system is, and its generations.
_SEEN = (b"etc", b"nix/var/nix")
_BOOT = "boot"
_NOT_SHIPPED = {b"loader/random-seed"}
"""bootctl draws it; every machine booted from the image would have the same."""

_NAMESPACE_HINT = (
    "the installer runs in a user namespace, which this machine does not allow: see "
    'user_namespaces(7), or set boot.loader to "systemd-boot" or "grub", which need none'
)
_NOTHING_HINT = (
    "enable a boot loader in the system's configuration, or leave the installer out: "
    "nix.install_boot_loader = false"
)
_DEVICE_HINT = (
    "its own messages are above; an installer that writes to the disk itself finds none here, and "
    'boot.loader = "grub" or "systemd-boot" does its work from the system\'s bootspec'
)


async def install(work: Work) -> None:
    """Runs the installer; what it puts into /boot goes to the ESP with everything else.

    Raises:
        StepFailed: It failed (with its own exit status), left an ESP with nothing to start, or
            the ESP cannot hold what it made.
        SourceChanged: A file that it looks at is no longer what was scanned.
    """
    root = work.staging.folder / ROOT
    await work.thread(lambda report: _prepare(work.plan.root.manifest, root))
    activate, switch = work.step.argv
    try:
        await work.tool(activate, accept=_ANY_STATUS)
        await work.tool(switch)
    except StepFailed as error:
        hint = _NAMESPACE_HINT if "namespace" in error.message else _DEVICE_HINT
        raise StepFailed(error.message, hint) from error
    finally:
        _open_folders(root)
    work.loader_files += _files(work, root / _BOOT)
    if not any(entry.is_regular for entry in _on_esp(work)):
        raise StepFailed("the installer ended well and put no file into /boot", _NOTHING_HINT)
    _fits(work)
    size = sum(entry.size for entry in work.loader_files)
    work.note(f"the installer made {counted(len(work.loader_files), 'file')}, {size} bytes")


def _esp(work: Work) -> FilesystemPlan:
    esp = work.plan.of_role("esp")
    assert esp is not None
    assert esp.filesystem is not None
    return esp.filesystem


def _on_esp(work: Work) -> Manifest:
    return overlay(_esp(work).manifest, work.loader_files)


def _prepare(manifest: Manifest, root: Path) -> None:
    """Makes the root: every folder outside the store, and the files an installer looks at."""
    files = []
    for entry in manifest:
        if entry.path.startswith(_STORE + b"/"):
            continue
        place = root / os.fsdecode(entry.path)
        if entry.is_directory:
            place.mkdir()
        elif entry.is_symlink:
            place.symlink_to(os.fsdecode(entry.target))
        elif entry.is_regular and entry.path.startswith(_SEEN):
            place.touch()
            files.append(entry)
    for entry, offset, piece in stream(files):
        with (root / os.fsdecode(entry.path)).open("r+b") as target:
            target.seek(offset)
            target.write(piece)


def _open_folders(root: Path) -> None:
    """Lets folders be entered and removed whatever mode the installer gave them."""
    for folder, names, _ in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRWXU)


def _files(work: Work, boot: Path) -> list[Entry]:
    """Returns what the installer left in /boot, as files of the ESP."""
    made_ns = work.plan.identity.epoch * 1_000_000_000
    walk = Walk(Rules(newest_ns=made_ns), Ticker())
    walk.folder(os.fsencode(boot), b"")
    return [
        entry for entry in walk.entries if not entry.is_directory and entry.path not in _NOT_SHIPPED
    ]


def _fits(work: Work) -> None:
    """Refuses what the ESP cannot hold, by its figures."""
    planned = _esp(work)
    fitted = nixos.refitted(work.plan, planned, _on_esp(work))
    title = FILESYSTEMS[planned.type].title
    for one in fitted.refused:
        path = one.entry.path.decode(errors="backslashreplace")
        raise StepFailed(
            f"the installer made /boot/{path}, which {title} cannot hold: {one.reason}"
        )
    short = fitted.shortage
    if short is not None:
        raise StepFailed(
            f"the installer's files take {short.needed} {short.resource} of the ESP, which has "
            f"{short.available}",
            f"make size.boot at least {short.needed - short.available} bytes larger",
        )
