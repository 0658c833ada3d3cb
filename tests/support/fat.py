"""FAT file systems in tests: made by our writer or mkfs.fat, seen by fsck.fat and mtools."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from engine.filesystems.fat.format import Volume
from engine.filesystems.fat.geometry import HEADS, TRACK, FatGeometry
from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from engine.manifest.memory import directory, file_of

EPOCH = 1_700_000_000
VOLUME = Volume(label="ESP", volume_id=0x1234ABCD, epoch=EPOCH, hidden_sectors=2048)
MTOOLS = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": os.devnull, "LC_ALL": "C.UTF-8",
          "TZ": "UTC"}  # fmt: skip


def mkfs_argv(
    layout: FatGeometry, image: str, offset: int = 0, volume: Volume = VOLUME
) -> tuple[str, ...]:
    """Returns the command that makes such a file system inside an image.

    mkfs.fat takes its cluster size, its type and its CHS geometry from the size of the whole file
    it writes into, even with `--offset`, so that all three are given.
    """
    label = ("-n", volume.label) if volume.label else ()
    return (
        "mkfs.fat", "-F", str(layout.bits), "-S", str(layout.sector_size),
        "-s", str(layout.sectors_per_cluster), "-g", f"{HEADS}/{TRACK}",
        "-h", str(volume.hidden_sectors), "-i", f"{volume.volume_id:08x}", *label,
        "--offset", str(offset // layout.sector_size), image, str(layout.size // 1024),
    )  # fmt: skip


def hole(image: Path, size: int) -> Path:
    """Makes an image that is one hole."""
    with image.open("wb") as made:
        made.truncate(size)
    return image


def manifest(*entries: Entry) -> Manifest:
    """Returns a manifest of entries in any order, with the root and parents that are missing."""
    found = {entry.path: entry for entry in (folder(b""), *entries)}
    for path in list(found):
        parts = path.split(b"/")
        for depth in range(len(parts)):
            above = b"/".join(parts[:depth])
            found.setdefault(above, directory(above, mtime_ns=EPOCH * 10**9))
    return Manifest(sorted(found.values(), key=lambda one: order(one.path)))


def files(contents: dict[str, bytes]) -> Manifest:
    """Returns a manifest of files by path."""
    return manifest(
        *(file_of(os.fsencode(path), data, mtime_ns=EPOCH * 10**9)
          for path, data in contents.items())
    )  # fmt: skip


def folder(path: bytes) -> Entry:
    """Returns a directory."""
    return Entry(path, stat.S_IFDIR | 0o755, mtime_ns=EPOCH * 10**9)


def fsck(image: Path) -> str:
    """Returns what fsck.fat says; fails unless it finds nothing wrong."""
    done = subprocess.run(("fsck.fat", "-n", "-v", image), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copied_out(image: Path, folder: Path, offset: int = 0) -> dict[str, bytes | None]:
    """Copies everything out with mtools; returns data by path, None for directories."""
    folder.mkdir()
    drive = f"{image}@@{offset}"
    subprocess.run(
        ("mcopy", "-s", "-m", "-n", "-i", drive, "::/", folder), env=MTOOLS, check=True,
        capture_output=True,
    )  # fmt: skip
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }
