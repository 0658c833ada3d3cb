"""systemd-boot: the loader, its configuration and type 1 entries.

After the UAPI Group's Boot Loader Specification (type 1 entries, sorting) and loader.conf(5).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.boot.architecture import Architecture
from engine.boot.menu import MenuEntry, distinct, slug
from engine.boot.sources import bytes_of
from engine.boot.tree import data, read_text
from engine.boot.versions import age, sortable
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.manifest.memory import file_of

_LOADER_CONF = b"timeout 3\nconsole-mode keep\n"
_CONF = b"LOADER/LOADER.CONF"
_OTHERS = re.compile(rb"LOADER/ENTRIES/[^/]+\.CONF|EFI/LINUX/[^/]+\.EFI")
_PLAIN = re.compile(rb"[!-~]+")
_DEFAULT = re.compile(r"^[ \t]*default[ \t]+(.*?)[ \t]*$", re.MULTILINE)

ThereAs = Callable[[Entry], bytes | None]


@dataclass(frozen=True, slots=True)
class Present:
    """What the contents put on the ESP that systemd-boot reads.

    Attributes:
        conf: Text of their loader.conf, which stays; None where there is none.
        others: Whether they bring entries of their own.
    """

    conf: str | None = None
    others: bool = False


def present(esp: Manifest, entries: Manifest) -> Present:
    """Returns what the contents tell systemd-boot; FAT knows no case.

    Args:
        esp: Contents of the ESP, where its settings are.
        entries: Those of the partition that kernels go to, the ESP or an extended boot partition.
    """
    conf = next((e.path for e in esp if e.path.upper() == _CONF), None)
    both = (entry for manifest in (esp, entries) for entry in manifest)
    others = any(_OTHERS.fullmatch(entry.path.upper()) for entry in both)
    return Present(None if conf is None else read_text(esp, conf), others)


def binary_name(architecture: Architecture) -> str:
    """Returns the file name of systemd-boot for an architecture."""
    return f"systemd-boot{architecture.efi}.efi"


@dataclass(frozen=True, slots=True)
class Names:
    """What entries are called on the ESP.

    Attributes:
        sort_key: Entries with one key sort by version, the newest first.
        machine_id: 32 hex digits, or "" where the image has none yet.
    """

    sort_key: str
    machine_id: str

    @property
    def token(self) -> str:
        """Folder of the kernels, and beginning of the entries' names (kernel-install(8))."""
        return self.machine_id or slug(self.sort_key)[:64]

    def of(self, entries: Sequence[MenuEntry]) -> list[str]:
        """Returns a name for each entry, no two of them alike."""
        return distinct(
            slug(entry.version) if entry.version else str(index)
            for index, entry in enumerate(entries)
        )

    def identifiers(self, entries: Sequence[MenuEntry]) -> list[str]:
        """Returns the file name of each entry, as systemd-boot knows it."""
        return [f"{self.token}-{name}.conf" for name in self.of(entries)]


def arranged(entries: tuple[MenuEntry, ...], names: Names, there: Present) -> tuple[MenuEntry, ...]:
    """Returns the menu with the entry first that systemd-boot starts under the contents' settings.

    Without settings of theirs the first is made the default.
    """
    if there.conf is None:
        return entries
    identifiers = names.identifiers(entries)
    ordered = _sorted(entries, identifiers)
    pattern = _pattern(there.conf)
    chosen = (at for at in ordered if _matches(identifiers[at], pattern))
    first = next(chosen, ordered[0])
    return (entries[first], *entries[:first], *entries[first + 1 :])


def is_undecided(entries: tuple[MenuEntry, ...], names: Names, there: Present) -> bool:
    """Whether the contents' settings leave it to their own entries which one starts."""
    if there.conf is None or not there.others:
        return False
    pattern = _pattern(there.conf)
    return not any(_matches(each, pattern) for each in names.identifiers(entries))


def _pattern(conf: str) -> str:
    patterns = _DEFAULT.findall(conf)
    return patterns[-1].strip('"').lower() if patterns else ""


def _matches(identifier: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(identifier.lower(), pattern)


def _sorted(entries: Sequence[MenuEntry], identifiers: Sequence[str]) -> list[int]:
    """Returns the places of entries in the order in which systemd-boot lists them."""
    places = sorted(range(len(entries)), key=lambda at: age(identifiers[at].lower()), reverse=True)
    places.sort(key=lambda at: age(_version(entries[at])), reverse=True)
    return places


def _version(entry: MenuEntry) -> str:
    """Returns the version that an entry is sorted by."""
    return sortable(entry.release or entry.version)


def loader_files(
    entries: Sequence[MenuEntry], binary: bytes, architecture: Architecture, *,
    names: Names, there: Present, mtime_ns: int,
) -> list[Entry]:  # fmt: skip
    """Returns systemd-boot itself and its settings, which the ESP holds.

    Args:
        entries: The menu.
        binary: systemd-boot itself.
        architecture: The kernels' architecture.
        names: What the entries are called.
        there: What the contents bring.
        mtime_ns: Time of the files.
    """
    identifiers = names.identifiers(entries)
    configuration = _LOADER_CONF
    if _needs_default(entries, identifiers, there):
        configuration += f"default {identifiers[0]}\n".encode()
    return _installed(binary, architecture, configuration, mtime_ns)


def before_ukis(
    binary: bytes, architecture: Architecture, ukis: Sequence[bytes], *, mtime_ns: int
) -> list[Entry]:
    """Returns systemd-boot and its settings, to start unified kernel images that it finds.

    One alone needs no name: what is installed later and newer comes before it.

    Args:
        binary: systemd-boot itself.
        architecture: The kernels' architecture.
        ukis: Their paths, the default first.
        mtime_ns: Time of the files.
    """
    configuration = _LOADER_CONF
    if len(ukis) > 1:
        configuration += b"default " + ukis[0].rpartition(b"/")[2] + b"\n"
    return _installed(binary, architecture, configuration, mtime_ns)


def _installed(
    binary: bytes, architecture: Architecture, configuration: bytes, mtime_ns: int
) -> list[Entry]:
    systemd_path = f"EFI/systemd/{binary_name(architecture)}".encode()
    return [
        file_of(architecture.removable_path, binary, mtime_ns=mtime_ns),
        file_of(systemd_path, binary, mtime_ns=mtime_ns),
        file_of(b"loader/loader.conf", configuration, mtime_ns=mtime_ns),
    ]


def entry_files(
    entries: Sequence[MenuEntry], *, names: Names, there_as: ThereAs, mtime_ns: int
) -> list[Entry]:
    """Returns the entries of a menu, and the kernels and initrds that are not there already.

    Args:
        entries: The menu.
        names: What the entries are called.
        there_as: Tells by which path the partition that the entries go to has a file, if any.
        mtime_ns: Time of the entries.
    """
    files = []
    identifiers = names.identifiers(entries)
    for entry, name, identifier in zip(entries, names.of(entries), identifiers, strict=True):
        folder = f"{names.token}/{name}"
        kernel = None if entry.unpacked else _plain(there_as(entry.kernel))
        if kernel is None:
            kernel = f"{folder}/linux"
            files.append(bytes_of(kernel.encode(), entry.image))
        # The kernel's EFI stub puts them together as they are, and takes a cpio archive only where
        # it starts at a multiple of four bytes.
        multiple = 4 if len(entry.initrds) > 1 else 1
        initrds = []
        for number, initrd in enumerate(entry.initrds):
            path = None if data(initrd).size % multiple else _plain(there_as(initrd))
            if path is None:
                path = f"{folder}/initrd{number or ''}"
                files.append(bytes_of(path.encode(), data(initrd), multiple=multiple))
            initrds.append(path)
        text = _entry(entry, kernel, initrds, names)
        conf = f"loader/entries/{identifier}".encode()
        files.append(file_of(conf, text.encode(), mtime_ns=mtime_ns))
    return files


def _plain(path: bytes | None) -> str | None:
    """Returns a path that an entry can name as it is: no blanks, nothing beyond ASCII."""
    return path.decode() if path is not None and _PLAIN.fullmatch(path) else None


def _entry(entry: MenuEntry, kernel: str, initrds: Sequence[str], names: Names) -> str:
    """Returns the text of a type 1 entry."""
    lines = [f"title {entry.title}", f"sort-key {names.sort_key}"]
    if version := _version(entry):
        lines.append(f"version {version}")
    if names.machine_id:
        lines.append(f"machine-id {names.machine_id}")
    lines.append(f"linux /{kernel}")
    lines += [f"initrd /{path}" for path in initrds]
    lines += [f"options {part}" for part in _options(entry.options)]
    return "".join(" ".join(line.split()) + "\n" for line in lines)


def _needs_default(
    entries: Sequence[MenuEntry], identifiers: Sequence[str], there: Present
) -> bool:
    """Whether the first entry has to be named as the default.

    Where the order of versions makes it so, a kernel that is installed later comes before it, as
    it should. A specialisation sorts before its system; a later generation rewrites the file.
    """
    first = _sorted(entries, identifiers)[0]
    return there.others or first != 0 or entries[0].origin == "bootspec"


def _options(options: str) -> list[str]:
    """Returns a command line in one line or, where quotes surround it, in one for each word.

    systemd-boot takes quotes around a value for its own.
    """
    return options.split() if options[:1] == options[-1:] == '"' else [options]
