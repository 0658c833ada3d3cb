"""Unified kernel images: programs that carry their kernel, initrd and command line.

Source: the UAPI Group's "Unified Kernel Image", and "Type #2" of its "Boot Loader Specification".
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.boot.osrelease import release_fields
from engine.image.reading import Node
from engine.inspect.booting.entry import BootEntry
from engine.inspect.booting.type1 import Listed, counted, entry_files
from engine.inspect.files import Files, absolute, decoded
from engine.inspect.pefile import Program, program, read_sections

_TEXTS = (b".osrel", b".uname", b".cmdline")
# Of os-release(5), the better first, as systemd-boot prefers them.
_TITLES = ("PRETTY_NAME", "IMAGE_ID", "NAME", "ID")
_VERSIONS = ("IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID")
_SORT_KEYS = ("IMAGE_ID", "ID")


def is_uki(found: Program) -> bool:
    """Whether a program carries a kernel; systemd-boot has an .osrel of its own and does not."""
    return found.has(b".linux")


def unified_kernels(files: Files, folder: bytes) -> Iterator[Listed]:
    """Yields the unified kernel images of a folder; of a damaged one there is a finding.

    Raises:
        BadImage: The folder is damaged.
    """
    for node in entry_files(files, folder, b".efi"):
        with files.tolerant():
            found = program(files, node)
            if found is not None and is_uki(found):
                yield read_uki(files, node, found)


def read_uki(files: Files, node: Node, found: Program) -> Listed:
    """Returns what a unified kernel image says of itself.

    Raises:
        BadImage: It, or the file system, is damaged.
    """
    said = {
        name: decoded(data).rstrip("\0").strip()
        for name, data in read_sections(files, node, found, _TEXTS).items()
    }
    release = release_fields(said.get(b".osrel", ""))
    identifier, tries_left = counted(decoded(node.name))
    version = _first(release, _VERSIONS)
    entry = BootEntry(
        kind="uki", where=files.where(node.path), title=_first(release, _TITLES) or identifier,
        version=said.get(b".uname", "") or version, linux=absolute(node.path),
        options=said.get(b".cmdline", ""), home=files,
    )  # fmt: skip
    return Listed(
        entry=entry, identifier=identifier, sort_key=_first(release, _SORT_KEYS), version=version,
        tries_left=tries_left,
    )  # fmt: skip


def _first(fields: dict[str, str], names: tuple[str, ...]) -> str:
    return next((fields[name] for name in names if fields.get(name)), "")
