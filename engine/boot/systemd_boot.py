"""systemd-boot: the loader, its configuration and type 1 entries.

After the UAPI Group's Boot Loader Specification (type 1 entries) and loader.conf(5).
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.boot.architecture import Architecture
from engine.boot.menu import MenuEntry, slug
from engine.boot.sources import bytes_of
from engine.boot.tree import data
from engine.manifest.entry import Entry
from engine.manifest.memory import file_of

_LOADER_CONF = b"timeout 3\nconsole-mode keep\n"


def binary_name(architecture: Architecture) -> str:
    """Returns the file name of systemd-boot for an architecture."""
    return f"systemd-boot{architecture.efi}.efi"


def esp_files(
    entries: Iterable[MenuEntry], binary: bytes, architecture: Architecture, *,
    sort_key: str, machine_id: str, mtime_ns: int,
) -> list[Entry]:  # fmt: skip
    """Returns what systemd-boot needs on the ESP, kernels and initrds included.

    Args:
        entries: The menu.
        binary: systemd-boot itself.
        architecture: The kernels' architecture.
        sort_key: `ID` of os-release; entries with one key sort by version, newest first.
        machine_id: 32 hex digits, or "" where the image has none yet.
        mtime_ns: Time of the files made here.
    """
    token = machine_id or slug(sort_key)
    systemd_path = f"EFI/systemd/{binary_name(architecture)}".encode()
    files = [
        file_of(architecture.removable_path, binary, mtime_ns=mtime_ns),
        file_of(systemd_path, binary, mtime_ns=mtime_ns),
    ]
    configuration = _LOADER_CONF
    for index, entry in enumerate(entries):
        name = slug(entry.version) if entry.version else str(index)
        folder = f"{token}/{name}"
        kernel = f"{folder}/linux"
        initrds = [f"{folder}/initrd{number or ''}" for number in range(len(entry.initrds))]
        lines = [f"title {entry.title}", f"sort-key {sort_key}"]
        if entry.version:
            lines.append(f"version {entry.version}")
        if machine_id:
            lines.append(f"machine-id {machine_id}")
        lines.append(f"linux /{kernel}")
        lines += [f"initrd /{path}" for path in initrds]
        lines.append(f"options {entry.options}")
        text = "".join(" ".join(line.split()) + "\n" for line in lines)
        files.append(bytes_of(kernel.encode(), data(entry.kernel)))
        files += [
            bytes_of(path.encode(), data(initrd))
            for path, initrd in zip(initrds, entry.initrds, strict=True)
        ]
        conf = f"loader/entries/{token}-{name}.conf".encode()
        if index == 0 and entry.origin == "bootspec":
            # A specialisation sorts before its system; a later generation rewrites the file.
            configuration += f"default {token}-{name}.conf\n".encode()
        files.append(file_of(conf, text.encode(), mtime_ns=mtime_ns))
    files.append(file_of(b"loader/loader.conf", configuration, mtime_ns=mtime_ns))
    return files
