"""What the contents and the command line name, and the image does not have.

/etc/fstab is looked at where it may be written, in `engine.boot.fstab`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from engine.boot import crypttab
from engine.boot.cmdline import mended, missing
from engine.boot.devices import Devices, tagged
from engine.boot.tree import children, read_text, regular
from engine.disk.volume import Volume
from engine.manifest.entry import SourceChanged
from engine.manifest.leave_out import leave_out
from engine.manifest.manifest import Listing, Manifest
from engine.manifest.mounted import Mounted
from engine.problem import Fix, Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.identity import is_uuid
from engine.spec.settings import Settings

_NAMED = 5
# kernel-install(8); Raspberry Pi OS; what a loader of the contents' own reads.
_LINES = (
    b"etc/kernel/cmdline", b"usr/lib/kernel/cmdline", b"boot/firmware/cmdline.txt",
    b"boot/cmdline.txt",
)  # fmt: skip
_ENTRIES = (b"boot/loader/entries", b"efi/loader/entries", b"boot/efi/loader/entries")
_MENUS = (b"boot/grub/grub.cfg", b"boot/grub2/grub.cfg", b"boot/extlinux/extlinux.conf")
_OF_MENUS = re.compile(
    r"^\s*(?:linux(?:16|efi)?|options|append)\s(.*)$", re.MULTILINE | re.IGNORECASE
)
_OF_VOLUMES = (b"cmdline.txt", b"grub/grub.cfg", b"extlinux/extlinux.conf")
_PART_OF_MBR = re.compile(r"([0-9a-f]{8})-([0-9a-f]{2})")
_LARGEST = 1 << 18
_KEYS = {"UUID": "uuid", "PARTUUID": "guid", "LABEL": "label"}
_ROOT_KEYS = {
    "UUID": "identity.root_filesystem_uuid", "PARTUUID": "identity.root_partition_guid",
    "LABEL": "layout.label",
}  # fmt: skip


def devices(settings: Settings, tree: Mounted) -> Devices:
    """Returns what the image has, with what its own /etc/crypttab opens."""
    text = _text(tree, crypttab.PATH)
    return Devices(settings, frozenset(each.name for each in crypttab.mappings(text)))


def problems(
    settings: Settings, tree: Mounted, contents: Mapping[str, Manifest], there: Devices,
    *, menu: bool,
) -> Iterator[Problem]:  # fmt: skip
    """Yields what is named and not there.

    Args:
        settings: The spec, resolved.
        tree: The contents, as mounted.
        contents: By id of the volume.
        there: What the image has.
        menu: Whether a menu of our own has `boot.cmdline`.
    """
    yield from _crypttab(settings, tree, contents, there)
    if menu:
        yield from _cmdline(settings, there)
    yield from _files(tree, contents, there, menu=menu)


def _crypttab(
    settings: Settings, tree: Mounted, contents: Mapping[str, Manifest], there: Devices
) -> Iterator[Problem]:
    entry = regular(tree, crypttab.PATH)
    lines = crypttab.missing(_text(tree, crypttab.PATH), there)
    if entry is None or not lines:
        return
    where = tree.place(entry.path)
    volume = next(one for one in settings.volumes if one.id == where.volume)
    own = contents[volume.id].get(where.path) or entry
    edit = leave_out(settings, volume, contents[volume.id], own)
    yield Problem(
        "crypttab-unknown-device", "warning", edit[0] if edit else "contents",
        f"/etc/crypttab of the contents names what this image does not have: {_listed(lines)}; "
        "a system that waits for it does not boot",
        "leave it out of the contents, or have it name the devices of the machine",
        Fix("Leave /etc/crypttab out", (edit,)) if edit else None,
    )  # fmt: skip


def _cmdline(settings: Settings, there: Devices) -> Iterator[Problem]:
    text = settings.boot.cmdline
    words = list(missing(text, there))
    if words:
        named = [
            f"{word.text} (here {word.better})" if word.better else word.text for word in words
        ]
        yield Problem(
            "cmdline-unknown-device", "warning", "boot.cmdline",
            f"names what this image does not have: {_listed(named)}; a system that waits for it "
            "does not boot",
            "leave root= out for the root of this image",
            Fix("Name what the image has", (("boot.cmdline", mended(text, words)),)),
        )  # fmt: skip


def _files(
    tree: Mounted, contents: Mapping[str, Manifest], there: Devices, *, menu: bool
) -> Iterator[Problem]:
    """Yields the files of the contents whose command lines do so, a problem for each."""
    # A menu of our own takes the place of theirs.
    paths = (*_LINES, *(() if menu else _MENUS))
    yield from _in(tree, "", paths, _ENTRIES, there)
    for volume in there.settings.volumes:
        if volume.id in contents and not (volume.mount and volume.takes_below):
            place = f"{volume.id}:"
            yield from _in(contents[volume.id], place, _OF_VOLUMES, (b"loader/entries",), there)


def _in(
    listing: Listing, place: str, files: Iterable[bytes], folders: Iterable[bytes], there: Devices
) -> Iterator[Problem]:
    entries = (entry for folder in folders for entry in children(listing, folder))
    paths = (entry.path for entry in entries if entry.name.endswith(b".conf"))
    for path in (*files, *paths):
        text = _text(listing, path)
        if path not in _LINES and path != b"cmdline.txt":
            text = "\n".join(_OF_MENUS.findall(text))
        yield from _file(f"{place}/{path.decode(errors='backslashreplace')}", text, there)


def _file(where: str, text: str, there: Devices) -> Iterator[Problem]:
    words = [word for word in missing(text, there) if "$" not in word.text]
    if not words:
        return
    named = dict.fromkeys(
        f"{word.text} (here {word.better})" if word.better else word.text for word in words
    )
    fixes = dict.fromkeys(filter(None, (_renamed(word.text, there) for word in words)))
    yield Problem(
        "cmdline-unknown-device", "warning", "contents",
        f"{where} names what this image does not have: {_listed([*named])}; a system that waits "
        "for it does not boot",
        "change it in the source, or give the volume that is meant this identifier",
        next(iter(fixes)) if len(fixes) == 1 else None,
    )  # fmt: skip


def _renamed(word: str, there: Devices) -> Fix | None:
    """Returns the fix that gives the root the identifier by which a word names it."""
    root, (key, _, value) = there.settings.root, word.replace('"', "").partition("=")
    tag, name = tagged(value)
    if key != "root" or root is None:
        return None
    path = f"{root.path}.{_KEYS.get(tag, '')}" if root.path else _ROOT_KEYS.get(tag, "")
    part = _PART_OF_MBR.fullmatch(name.lower())
    if tag == "PARTUUID" and part and there.settings.scheme == "mbr":
        if int(part[2], 16) != there.settings.number(root.id):
            return None
        path, name = "identity.disk_signature", f"0x{part[1]}"
    elif not _fits(tag, name, root, there.settings):
        return None
    return Fix(f"Give {root.id} this {tag}", ((path, name),))


def _fits(tag: str, name: str, volume: Volume, settings: Settings) -> bool:
    """Whether a volume can have an identifier."""
    if tag == "LABEL":
        return len(name.encode()) <= FILESYSTEMS[volume.format].label_bytes
    gpt = settings.scheme == "gpt"
    return is_uuid(name) and (tag == "UUID" or (tag == "PARTUUID" and gpt))


def _text(listing: Listing, path: bytes) -> str:
    """Returns the text of a file, or "" where there is none; the build says what it cannot read."""
    try:
        return read_text(listing, path, _LARGEST) or ""
    except (OSError, SourceChanged):
        return ""


def _listed(texts: list[str]) -> str:
    more = f", and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more
