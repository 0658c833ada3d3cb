"""Finding what an image can boot, from its manifest.

In this order: what the spec names; a NixOS bootspec; /boot/vmlinuz-*; and
/usr/lib/modules/*/vmlinuz. The first rule that finds anything wins, newest kernel first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from engine.boot.architecture import RELEASE_BYTES, release_of
from engine.boot.menu import MenuEntry, Origin, version_key
from engine.boot.osrelease import release_fields
from engine.boot.tree import children, data, read_text, regular
from engine.manifest.entry import Entry
from engine.manifest.lookup import read
from engine.manifest.manifest import Manifest
from engine.problem import Problem

BOOTSPEC_LIMIT = 1 << 20
_BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_BOOTSPEC_KEY = "org.nixos.bootspec.v1"
_SPECIALISATION_KEY = "org.nixos.specialisation.v1"
SYSTEM_PROFILE = b"nix/var/nix/profiles/system"
# Names under which distributions install the initrd of a kernel /boot/vmlinuz-RELEASE.
INITRD_NAMES = ("initrd.img-{}", "initrd-{}", "initrd-{}.img", "initramfs-{}.img", "initramfs-{}")
MODULE_INITRD_NAMES = (b"initrd", b"initrd.img", b"initramfs.img")


@dataclass(frozen=True, slots=True)
class Found:
    """Menu entries, the default first, and what is wrong with them."""

    entries: tuple[MenuEntry, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    version: str
    kernel: Entry
    initrds: tuple[Entry, ...]
    options: str
    origin: Origin
    title: str = ""


def os_release(manifest: Manifest) -> dict[str, str]:
    """Returns the fields of /etc/os-release or /usr/lib/os-release (os-release(5))."""
    text = read_text(manifest, b"etc/os-release") or read_text(manifest, b"usr/lib/os-release")
    return release_fields(text or "")


def find(
    manifest: Manifest, *, kernel: Entry | None, initrd: Entry | None, cmdline: str, root_uuid: str,
    nix_system: str = "",
) -> Found:  # fmt: skip
    """Returns the menu of an image.

    Args:
        manifest: The root file system.
        kernel: The entry of `boot.kernel`, where the spec names one.
        initrd: That of `boot.initrd`.
        cmdline: `boot.cmdline`, added to every entry's options.
        root_uuid: The root file system's UUID; `root=UUID=` names it unless `cmdline` has a root=.
        nix_system: Path of the system toplevel in the image, where the spec names one.
    """
    if kernel is not None:
        initrds = (initrd,) if initrd is not None else _matching_initrds(manifest, kernel)
        release = release_of(read(data(kernel), RELEASE_BYTES))
        candidates = [_Candidate(release, kernel, initrds, "", "given")]
    else:
        candidates = (
            list(_from_bootspec(manifest, nix_system))
            or _newest_first(_from_boot(manifest))
            or _newest_first(_from_modules(manifest))
        )
        if initrd is not None:
            candidates = [
                _Candidate(c.version, c.kernel, (initrd,), c.options, c.origin, c.title)
                for c in candidates
            ]
    if not candidates:
        return Found((), (_no_kernel(),))
    name = os_release(manifest).get("PRETTY_NAME", "Linux")
    default, *others = (_entry(c, c.title or name, cmdline, root_uuid) for c in candidates)
    if _finds_root(default):
        problems = tuple(_left_out(entry) for entry in others if not _finds_root(entry))
        kept = (entry for entry in others if _finds_root(entry))
        return Found((default, *kept), problems)
    return Found((default,), (_no_initrd(default),))


def _finds_root(entry: MenuEntry) -> bool:
    """Whether an entry's root is found: only an initrd knows file systems by their UUID."""
    by_uuid = any(word.startswith("root=UUID=") for word in entry.options.split())
    return bool(entry.initrds) or not by_uuid


def _entry(candidate: _Candidate, title: str, cmdline: str, root_uuid: str) -> MenuEntry:
    words = candidate.options.split() + cmdline.split()
    if not any(word.startswith("root=") for word in words):
        words[:0] = [f"root=UUID={root_uuid}", "rw"]
    return MenuEntry(
        title=title,
        version=candidate.version,
        kernel=candidate.kernel,
        initrds=candidate.initrds,
        options=" ".join(words),
        origin=candidate.origin,
    )


def _newest_first(candidates: Iterator[_Candidate]) -> list[_Candidate]:
    return sorted(candidates, key=lambda c: version_key(c.version), reverse=True)


def _from_boot(manifest: Manifest) -> Iterator[_Candidate]:
    for entry in children(manifest, b"boot"):
        name = entry.name
        if not name.startswith(b"vmlinuz-") or entry.is_symlink:
            continue
        if entry.is_regular:
            release = name.removeprefix(b"vmlinuz-").decode("utf-8", "replace")
            yield _Candidate(release, entry, _matching_initrds(manifest, entry), "", "boot")


def _from_modules(manifest: Manifest) -> Iterator[_Candidate]:
    for folder in children(manifest, b"usr/lib/modules"):
        kernel = regular(manifest, folder.path + b"/vmlinuz")
        if kernel is None:
            continue
        release = folder.name.decode("utf-8", "replace")
        beside = (regular(manifest, folder.path + b"/" + n) for n in MODULE_INITRD_NAMES)
        initrds = next(((e,) for e in beside if e is not None), ())
        yield _Candidate(
            release, kernel, initrds or _boot_initrds(manifest, release), "", "modules"
        )


def _matching_initrds(manifest: Manifest, kernel: Entry) -> tuple[Entry, ...]:
    name = kernel.name.decode("utf-8", "replace")
    return _boot_initrds(manifest, name.removeprefix("vmlinuz-")) if "-" in name else ()


def _boot_initrds(manifest: Manifest, release: str) -> tuple[Entry, ...]:
    for pattern in INITRD_NAMES:
        entry = regular(manifest, b"boot/" + pattern.format(release).encode())
        if entry is not None:
            return (entry,)
    return ()


class Bootspec(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of a bootspec document that a menu needs (NixOS RFC 125)."""

    init: str
    kernel: str
    label: str = ""
    kernel_params: tuple[str, ...] = ()
    initrd: str = ""


def generations(document: bytes) -> Iterator[tuple[str, Bootspec]]:
    """Yields what a boot.json describes: the system as "", then its specialisations by name.

    It ends where the document makes no sense.
    """
    try:
        fields = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
        yield from _generation(fields, "")
        specialisations = msgspec.json.decode(
            fields.get(_SPECIALISATION_KEY, msgspec.Raw(b"{}")),
            type=dict[str, dict[str, msgspec.Raw]],
        )
        for name in sorted(specialisations):
            yield from _generation(specialisations[name], name)
    except _BAD_JSON:
        return


def _generation(fields: dict[str, msgspec.Raw], name: str) -> Iterator[tuple[str, Bootspec]]:
    raw = fields.get(_BOOTSPEC_KEY)
    if raw is not None:
        yield name, msgspec.json.decode(raw, type=Bootspec)


def _from_bootspec(manifest: Manifest, nix_system: str) -> Iterator[_Candidate]:
    system = nix_system.encode().lstrip(b"/") or SYSTEM_PROFILE
    document = regular(manifest, system + b"/boot.json")
    if document is None:
        return
    for specialisation, spec in generations(read(data(document), BOOTSPEC_LIMIT)):
        kernel = regular(manifest, spec.kernel.encode())
        if kernel is None:
            continue
        initrd = regular(manifest, spec.initrd.encode()) if spec.initrd else None
        options = " ".join((f"init={spec.init}", *spec.kernel_params))
        yield _Candidate(
            specialisation, kernel, (initrd,) if initrd else (), options, "bootspec",
            spec.label or "NixOS",
        )  # fmt: skip


def _no_kernel() -> Problem:
    return Problem(
        code="no-kernel",
        severity="error",
        path="boot.kernel",
        message="the contents hold no kernel: no boot.json of a NixOS system, no /boot/vmlinuz-*, "
        "no /usr/lib/modules/*/vmlinuz",
        hint='add a kernel to the contents, name one in boot.kernel, or set boot.loader = "none"',
    )


def _left_out(entry: MenuEntry) -> Problem:
    return Problem(
        code="no-initrd",
        severity="warning",
        path="boot.initrd",
        message=f"the kernel {entry.kernel_path} has no initrd and is left out of the menu",
        hint="add its initrd to the contents, or leave the kernel out too",
    )


def _no_initrd(entry: MenuEntry) -> Problem:
    return Problem(
        code="no-initrd",
        severity="error",
        path="boot.initrd",
        message=f"the kernel {entry.kernel_path} has no initrd, and only an initrd can find the "
        "root by its UUID",
        hint="name it in boot.initrd, or give a kernel that needs none its root= in boot.cmdline",
    )
