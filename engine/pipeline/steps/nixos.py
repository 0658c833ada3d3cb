"""Runs a NixOS system's own boot loader installer in a root of its own, as an ordinary user."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from engine.boot.installer_mounts import Mount
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
from engine.units import counted, in_bytes

_ANY_STATUS = frozenset(range(256))
_STORE = b"nix/store"
# What an installer looks at besides the store: who the system is, and its generations.
_SEEN = (b"etc", b"nix/var/nix")
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
    """Runs the installer; what it puts where a FAT is mounted goes there with everything else.

    Raises:
        StepFailed: It failed (with its own exit status), left an ESP with nothing to start, or
            made what a volume cannot hold.
        SourceChanged: A file that it looks at is no longer what was scanned.
    """
    root = work.staging.folder / ROOT
    mounts = nixos.folders(work.plan)
    await work.thread(lambda report: _prepare(work.plan.root.manifest, root))
    for mount in mounts:
        (root / mount.place[1:]).mkdir(parents=True, exist_ok=True)
    activate, switch = work.step.argv
    try:
        await work.tool(activate, accept=_ANY_STATUS)
        await work.tool(switch)
    except StepFailed as error:
        hint = _NAMESPACE_HINT if "namespace" in error.message else _DEVICE_HINT
        raise StepFailed(error.message, hint) from error
    finally:
        _open_folders(root)
    for mount in mounts:
        inside = [one.place for one in mounts if one.place.startswith(mount.place + "/")]
        work.loader_files[mount.volume] = _files(work, root, mount.place, inside)
        if work.plan.volume(mount.volume).role == "esp" and not any(
            entry.is_regular for entry in _filled(work, mount.volume)
        ):
            message = f"the installer ended well and put no file into {mount.place}"
            raise StepFailed(message, _NOTHING_HINT)
        _fits(work, mount)
    made = [entry for files in work.loader_files.values() for entry in files]
    size = sum(entry.size for entry in made)
    work.note(f"the installer made {counted(len(made), 'file')}, {in_bytes(size)}")


def _planned(work: Work, volume: str) -> FilesystemPlan:
    planned = work.plan.volume(volume).filesystem
    assert planned is not None
    return planned


def _filled(work: Work, volume: str) -> Manifest:
    return overlay(_planned(work, volume).manifest, work.loader_files[volume])


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


def _files(work: Work, root: Path, place: str, inside: Iterable[str]) -> list[Entry]:
    """Returns what the installer left where a volume is mounted, as files of that volume.

    Args:
        place: Where it is mounted.
        inside: Where others are mounted below.
    """
    made_ns = work.plan.identity.epoch * 1_000_000_000
    walk = Walk(Rules(newest_ns=made_ns), Ticker())
    walk.folder(os.fsencode(root / place[1:]), b"")
    others = tuple(os.fsencode(other.removeprefix(place + "/")) + b"/" for other in inside)
    return [
        entry
        for entry in walk.entries
        if not (entry.is_directory or entry.path in _NOT_SHIPPED or entry.path.startswith(others))
    ]


def _fits(work: Work, mount: Mount) -> None:
    """Refuses what a volume cannot hold, by its figures."""
    planned = _planned(work, mount.volume)
    fitted = nixos.refitted(work.plan, planned, _filled(work, mount.volume))
    title = FILESYSTEMS[planned.type].title
    for one in fitted.refused:
        path = one.entry.path.decode(errors="backslashreplace")
        raise StepFailed(
            f"the installer made {mount.place}/{path}, which {title} cannot hold: {one.reason}"
        )
    short = fitted.shortage
    if short is not None:
        volume = work.plan.volume(mount.volume)
        key = f"{volume.path}.size" if volume.path else "size.boot"
        raise StepFailed(
            f"the installer's files take {short.needed} {short.resource} of the {volume.title}, "
            f"which has {short.available}",
            f"make {key} at least {in_bytes(short.needed - short.available)} larger",
        )
