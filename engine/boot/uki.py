"""Unified kernel images on the ESP: stub, os-release, uname, command line, initrd and kernel."""

from __future__ import annotations

from collections.abc import Sequence

from engine.boot.architecture import Architecture
from engine.boot.menu import MenuEntry, distinct, slug
from engine.boot.pe import Section, lay_out
from engine.boot.sources import Part, composed
from engine.boot.tree import data
from engine.manifest.entry import Entry


def stub_name(architecture: Architecture) -> str:
    """Returns the file name of systemd's stub for an architecture."""
    return f"linux{architecture.efi}.efi.stub"


def build(path: bytes, entry: MenuEntry, stub: bytes, *, os_release: bytes, mtime_ns: int) -> Entry:
    """Returns a unified kernel image of one menu entry, its bytes composed when it is written.

    Raises:
        BadStub: The stub cannot be extended.
    """
    # The kernel comes last: it is the largest, and what grows does not move the others.
    contents: list[tuple[str, tuple[bytes | Entry, ...]]] = [
        (".osrel", (os_release,)),
        (".uname", ((entry.release or entry.version).encode(),)),
        (".cmdline", (entry.options.encode(),)),
        (".initrd", _padded(entry.initrds)),
        (".linux", (entry.image,)),
    ]
    present = [(name, parts) for name, parts in contents if sum(map(_length, parts))]
    layout = lay_out(stub, [Section(name, sum(map(_length, parts))) for name, parts in present])
    pieces: list[Part] = [(0, layout.head)]
    for offset, (_, parts) in zip(layout.offsets, present, strict=True):
        at = offset
        for part in parts:
            pieces.append((at, part))
            at += _length(part)
    return composed(path, pieces, layout.size, mtime_ns=mtime_ns)


def esp_files(
    entries: Sequence[MenuEntry], stub: bytes, architecture: Architecture, *,
    os_release: bytes, named_default: bool, mtime_ns: int,
) -> list[Entry]:  # fmt: skip
    """Returns the UKIs of a menu: the default on the removable path, others under EFI/Linux.

    Args:
        entries: The menu.
        stub: systemd's EFI stub.
        architecture: The kernels' architecture.
        os_release: The image's os-release(5), as it is.
        named_default: Also write the default under EFI/Linux, for a boot variable to name.
        mtime_ns: Time of the files.

    Raises:
        BadStub: The stub cannot be extended.
    """
    files = []
    for index, (entry, named) in enumerate(zip(entries, named_paths(entries), strict=True)):
        paths = [named] if index or named_default else []
        if index == 0:
            paths.append(architecture.removable_path)
        files += [
            build(path, entry, stub, os_release=os_release, mtime_ns=mtime_ns) for path in paths
        ]
    return files


def named_files(
    entries: Sequence[MenuEntry], stub: bytes, *, os_release: bytes, mtime_ns: int
) -> list[Entry]:
    """Returns the UKIs of a menu, all of them under EFI/Linux; see `esp_files`.

    Raises:
        BadStub: The stub cannot be extended.
    """
    return [
        build(path, entry, stub, os_release=os_release, mtime_ns=mtime_ns)
        for entry, path in zip(entries, named_paths(entries), strict=True)
    ]


def named_paths(entries: Sequence[MenuEntry]) -> list[bytes]:
    """Returns the path under EFI/Linux of each entry's UKI, no two of them alike."""
    names = distinct(slug(_name(entry)).lower() for entry in entries)
    return [f"EFI/Linux/{name}.efi".encode() for name in names]


def _name(entry: MenuEntry) -> str:
    # The version tells entries apart: a long title must not push it off the end.
    return f"{slug(entry.title)[:50]}-{entry.version}"


def _padded(initrds: tuple[Entry, ...]) -> tuple[bytes | Entry, ...]:
    # cpio archives that follow one another start at multiples of four bytes.
    parts: list[bytes | Entry] = []
    for initrd in map(data, initrds):
        parts.append(initrd)
        if initrd.size % 4 and len(initrds) > 1:
            parts.append(bytes(-initrd.size % 4))
    return tuple(parts)


def _length(part: bytes | Entry) -> int:
    return len(part) if isinstance(part, bytes) else part.size
