"""What can be wrong with hash trees and signatures, and with what is under dm-verity."""

from __future__ import annotations

from collections.abc import Iterator

from engine.disk import verity
from engine.disk.volume import Volume
from engine.problem import Fix, Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.model import ImageSpec
from engine.spec.refusals import edit, error
from engine.spec.settings import Settings
from engine.spec.shape import show
from engine.units import MIB, ceil_to, format_exact, in_bytes

_BLOCK = 4096
"""Bytes of a block of data: `engine.filesystems.verity.tree`."""
_OF = {**verity.TREES, **verity.SIGNATURES}
"""Role of what is hashed, by every role that goes with it."""


_GPT = {"mbr": "gpt", "legacy": "legacy+gpt", "legacy+boot": "legacy+gpt"}
"""The layout with a GPT that is like another one."""


def _leave_out(path: str) -> Fix:
    return Fix("Remove the key", ((path, None),))


def check(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Yields what is wrong with the volumes that have to do with dm-verity."""
    there = {volume.id: volume for volume in settings.volumes}
    seen: dict[tuple[str, str], str] = {}
    for volume in settings.volumes:
        if not volume.path:
            continue
        yield from _keys(volume)
        if volume.role not in _OF:
            continue
        data = there.get(volume.verity)
        if data is None:
            if not volume.verity:
                yield from _lonely(volume, settings)
            continue
        yield from _pair(volume, data, settings)
        taken = seen.setdefault((data.id, volume.role), volume.id)
        if taken != volume.id:
            yield error(
                "verity-taken", f"{volume.path}.verity",
                f"is {show(data.id)}, for which there is {taken} already", "leave one of them out",
            )  # fmt: skip
    for volume in verity.hashed(settings.volumes):
        yield from _hashed(spec, volume, settings)
    if verity.hashed(settings.volumes):
        yield from _loader(settings)
        yield from _cmdline(settings)


def _keys(volume: Volume) -> Iterator[Problem]:
    """Keys that a volume of another role has no use for, and those that a signature lacks."""
    path, signs = volume.path, volume.role in verity.SIGNATURES
    if volume.verity and volume.role not in _OF:
        yield error(
            "verity-needs-role", f"{path}.verity",
            f"is for a hash tree, and the role is {show(volume.role)}",
            'take role = "root-verity" or "usr-verity"', _leave_out(f"{path}.verity"),
        )  # fmt: skip
    for key in ("key", "certificate"):
        given = getattr(volume, key)
        if given and not signs:
            yield error(
                "key-needs-signature", f"{path}.{key}",
                f"is for the signature of a hash tree, and the role is {show(volume.role)}",
                'take role = "root-verity-sig" or "usr-verity-sig"', _leave_out(f"{path}.{key}"),
            )  # fmt: skip
        elif not given and volume.format == verity.SIGNATURE:
            yield error(
                "signature-without-key", f"{path}.{key}",
                f"is missing: {volume.id} is a signature, which takes a key and its certificate",
                "name a PEM file",
            )  # fmt: skip


def _lonely(volume: Volume, settings: Settings) -> Iterator[Problem]:
    """A hash tree of nothing; one of a fixed size is a place for a later version."""
    if volume.source or volume.size is not None:
        return
    path, wanted = f"{volume.path}.verity", _OF[volume.role]
    names = [one.id for one in settings.volumes if one.role == wanted]
    what = "is signed" if volume.role in verity.SIGNATURES else "is hashed"
    yield error(
        "verity-missing", path, f"is missing: the volume that {what}",
        f"name a volume with the role {show(wanted)}, or give this one a size and keep it empty",
        edit(f"Take {names[0]}", (path, names[0])) if names else None,
    )  # fmt: skip


def _pair(volume: Volume, data: Volume, settings: Settings) -> Iterator[Problem]:
    """What is wrong between a hash tree or a signature and what it is of."""
    path, wanted = volume.path, _OF[volume.role]
    if data.role != wanted:
        fitting = volume.role.replace(wanted, data.role, 1)
        yield error(
            "verity-role", f"{path}.verity",
            f"is {show(data.id)}, a volume with the role {show(data.role)}; {volume.role} goes "
            f"with the role {show(wanted)}",
            f"name a volume with the role {show(wanted)}",
            edit(f"Make it a {fitting}", (f"{path}.role", fitting)) if fitting in _OF else None,
        )  # fmt: skip
    if volume.source or volume.format not in {verity.TREE, verity.SIGNATURE}:
        key = "source" if volume.source else "format"
        yield error(
            "verity-made-here", f"{path}.{key}",
            f"says what the volume holds, and so does verity = {show(volume.verity)}",
            "leave one of them out", _leave_out(f"{path}.{key}"),
        )  # fmt: skip
    if settings.scheme != "gpt":
        yield error(
            "verity-needs-gpt", "layout.table",
            f"is {show(settings.layout.table)}; the partitions of {data.id} and its hash tree are "
            "found by GUIDs made of the root hash, which only a GPT has",
            'take a layout with a GPT, such as "efi" or "gpt"',
            edit("Take a GPT", ("layout.table", _GPT.get(settings.layout.table, "efi"))),
        )  # fmt: skip
    if volume.format == verity.SIGNATURE and not verity.tree_of(settings.volumes, data.id):
        yield error(
            "signature-without-tree", f"{path}.verity",
            f"is {show(data.id)}, which has no hash tree whose root hash could be signed",
            f'add a volume with role = "{wanted}-verity" and verity = {show(data.id)}',
        )  # fmt: skip


def _hashed(spec: ImageSpec, data: Volume, settings: Settings) -> Iterator[Problem]:
    """What a volume must not be whose hash tree is made when the image is."""
    tree = verity.tree_of(settings.volumes, data.id)
    assert tree is not None
    where = data.path or tree.path
    if data.grow:
        yield error(
            "verity-of-growing", f"{data.path}.grow" if data.path else "size.disk",
            f"makes {data.id} as large as the disk leaves room for; what is hashed, and its tree, "
            "need a size before",
            "let the disk's size be automatic, or give the volume a size or free",
            edit("Give it the size of its contents", (f"{data.path}.grow", None))
            if data.path and not data.rest
            else edit("Let the disk be as large as it needs", ("size.disk", "auto")),
        )  # fmt: skip
    if "grow-file-system" in data.attributes:
        position = data.attributes.index("grow-file-system")
        yield error(
            "verity-of-growing", f"{where}.flags[{position}]",
            f"would have {data.id} grow at boot, and its hash tree is of its present bytes",
            "leave it out", _leave_out(f"{where}.flags[{position}]"),
        )  # fmt: skip
    if data.format == "none" and not data.source:
        yield error("verity-of-nothing", f"{tree.path}.verity",
                    f"is {show(data.id)}, which holds nothing", "give it a format")  # fmt: skip
    if data.size is not None and data.size % _BLOCK:
        text = format_exact(ceil_to(data.size, MIB))
        path = f"{data.path}.size" if data.path else "size.boot"
        yield error(
            "verity-unaligned", path,
            f"is {in_bytes(data.size)}, not a whole number of blocks of {_BLOCK} bytes, as a "
            "hash tree has them",
            f"{text} is the next size that works", edit(f"Make it {text}", (path, text)),
        )  # fmt: skip
    yield from _identifiers(spec, data, tree)
    row = FILESYSTEMS[data.format]
    if row.files and row.writable:
        yield Problem(
            "verity-of-writable", "warning",
            f"{where}.format" if data.path else "layout.filesystem",
            f"{data.id} is an {row.title}, made to be written to; under its hash tree it can only "
            "be read",
            "an EROFS is as large as its contents",
            edit("Make it an EROFS", (f"{data.path}.format", "erofs")) if data.path else None,
        )  # fmt: skip


def _identifiers(spec: ImageSpec, data: Volume, tree: Volume) -> Iterator[Problem]:
    """GUIDs that the spec gives, and the root hash decides."""
    given = [f"volume[{at}].guid" for at, entry in enumerate(spec.volume)
             if entry.guid and entry.id in {data.id, tree.id}]  # fmt: skip
    if data.id == "root" and spec.identity.root_partition_guid:
        given.append("identity.root_partition_guid")
    for path in given:
        yield error(
            "verity-guid", path,
            f"is given; the partitions of {data.id} and its hash tree are found by GUIDs made of "
            "the root hash",
            "leave it out", _leave_out(path),
        )  # fmt: skip


def _loader(settings: Settings) -> Iterator[Problem]:
    """Loaders that cannot tell the kernel the root hash."""
    loader, names = settings.boot.loader, [one.id for one in verity.hashed(settings.volumes)]
    what = f"the root hash of {' and '.join(names)}"
    uki = (
        edit("Take a unified kernel image", ("boot.loader", "uki")) if settings.has("esp") else None
    )
    hybrid = settings.layout.table == "hybrid"
    uefi = edit("Boot under UEFI only", ("layout.table", "efi")) if hybrid else None
    if loader == "none":
        yield Problem(
            "verity-without-loader", "warning", "boot.loader",
            f"is none, so that no command line has {what}; manifest.json will have it",
            'boot.loader = "uki" puts it where a signature can cover it', uki,
        )  # fmt: skip
    elif (loader == "grub" or "bios" in settings.boots) and not _separate_boot(settings):
        yield error(
            "verity-loader", "boot.loader" if loader == "grub" else "layout.table",
            f"GRUB reads its menu from the root, where {what} cannot be: it is known once the root "
            "is complete",
            'take boot.loader = "uki" or "systemd-boot" on a layout for UEFI alone, or mount a '
            "volume at /boot",
            uki if "bios" not in settings.boots else uefi,
        )  # fmt: skip
    elif loader == "nixos":
        yield error(
            "verity-loader", "boot.loader",
            f"is nixos, and the system's own installer does not know {what}",
            'take "uki" or "systemd-boot"', uki,
        )  # fmt: skip


def _separate_boot(settings: Settings) -> bool:
    """Whether /boot is on a volume of its own, which is written behind the hash trees."""
    return any(volume.mount == "/boot" for volume in settings.volumes)


def _cmdline(settings: Settings) -> Iterator[Problem]:
    """Words of one's own that contradict a root that is only read."""
    words = settings.boot.cmdline.split()
    if "rw" in words:
        kept = " ".join(word for word in words if word != "rw")
        yield error(
            "verity-read-write", "boot.cmdline",
            "has rw, and what has a hash tree can only be read",
            "leave the word out", edit("Leave it out", ("boot.cmdline", kept)),
        )  # fmt: skip
    for word in ("roothash", "usrhash"):
        if any(one.startswith(f"{word}=") for one in words):
            yield error(
                "verity-root-hash", "boot.cmdline",
                f"has {word}=, which the build fills in once it knows the hash", "leave it out",
            )  # fmt: skip
