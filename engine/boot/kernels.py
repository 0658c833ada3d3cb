"""Finding what an image can boot, from its manifest.

In this order: what the spec names; a NixOS bootspec; /boot/vmlinuz-*;
/usr/lib/modules/*/vmlinuz; kernels under other names. The first rule that finds one wins, the
newest kernel first; copies and rescue kernels come last, whatever their versions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.boot.architecture import X86_64, Architecture, release_of
from engine.boot.bootspec import BOOTSPEC_LIMIT, SYSTEM_PROFILE, generations
from engine.boot.cmdline import completed
from engine.boot.initrds import beside, initrds_for, initrds_of, installed, microcode
from engine.boot.menu import MenuEntry, Origin
from engine.boot.names import Standing, standing, stated, version_of
from engine.boot.osrelease import release_fields
from engine.boot.packed import IDENTIFY_BYTES, UNKNOWN, Kind, identify
from engine.boot.tree import children, data, heads, read_text, regular
from engine.boot.versions import age, comparable
from engine.manifest.entry import Entry
from engine.manifest.lookup import read
from engine.manifest.manifest import Listing
from engine.problem import Fix, Problem

_KERNEL = b"vmlinuz-"
_OTHER_NAMES = re.compile(rb"(?:vmlinuz|vmlinux|kernel|linux|bzImage|zImage|Image)(?:[-.].*)?")
# What a name goes on with that is not the rest of a version.
_BESIDE = re.compile(r"(?![-.+]?[0-9])[^0-9A-Za-z]")
_FOR_INITRD = ("root=UUID=", "root=/dev/mapper/", "usrhash=")
_MODULE_KERNELS = (b"vmlinuz", b"Image")


@dataclass(frozen=True, slots=True)
class KernelMenu:
    """Menu entries, the default first, and what is wrong with them.

    Attributes:
        kind: What the default's kernel is.
    """

    entries: tuple[MenuEntry, ...]
    problems: tuple[Problem, ...] = ()
    kind: Kind = UNKNOWN


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A kernel that may be booted; `version` is "" where its name has none."""

    version: str
    kernel: Entry
    initrds: tuple[Entry, ...]
    origin: Origin
    options: str = ""
    title: str = ""
    standing: Standing = Standing.REGULAR
    kind: Kind = UNKNOWN

    @property
    def release(self) -> str:
        """What tells its age: a version in its name, else the one it states, else ""."""
        return stated(self.version) or release_of(self.kind.head)


def os_release(manifest: Listing) -> dict[str, str]:
    """Returns the fields of /etc/os-release or /usr/lib/os-release (os-release(5))."""
    text = read_text(manifest, b"etc/os-release") or read_text(manifest, b"usr/lib/os-release")
    return release_fields(text or "")


def find(
    manifest: Listing, *, kernel: Entry | None, initrds: tuple[Entry, ...] | None, cmdline: str,
    volumes: Sequence[tuple[str, ...]], nix_system: str = "", alone: str = "",
) -> KernelMenu:  # fmt: skip
    """Returns the menu of an image.

    Args:
        manifest: The tree of the system.
        kernel: The entry of `boot.kernel`, where the spec names one.
        initrds: Those of `boot.initrd`, where it names some.
        cmdline: `boot.cmdline`, added to every entry's options.
        volumes: Words that find the volumes, as `engine.boot.cmdline.completed` takes them.
        nix_system: Path of the system toplevel in the image, where the spec names one.
        alone: Words by which a kernel without an initrd finds the root, or "".

    Raises:
        SourceChanged, OSError: A kernel cannot be read.
    """
    candidates, problems = _candidates(manifest, kernel, nix_system)
    if not candidates:
        return KernelMenu((), (_no_kernel(),))
    if initrds is not None:
        candidates = [replace(each, initrds=initrds) for each in candidates]
    name = os_release(manifest).get("PRETTY_NAME") or "Linux"
    early = microcode(manifest) if initrds is None else ()
    menu: list[tuple[_Candidate, MenuEntry]] = []
    for each in candidates:
        entry = _entry(each, each.title or name, cmdline, volumes)
        if not _finds_root(entry):
            if not menu:
                return KernelMenu(
                    (entry,), (*problems, _no_initrd(entry, cmdline, alone)), each.kind
                )
            problems.append(_left_out(entry))
        elif menu and _differ(menu[0][0].kind.architecture, each.kind.architecture):
            problems.append(_foreign(entry, each, menu[0][0]))
        else:
            menu.append((each, _with_microcode(entry, each, early)))
    return KernelMenu(tuple(entry for _, entry in menu), tuple(problems), menu[0][0].kind)


def architecture(manifest: Listing, nix_system: str = "") -> str:
    """Returns what the kernels in the contents are for, as `uname -m` has it, or "".

    Raises:
        SourceChanged, OSError: A kernel cannot be read.
    """
    candidates, _ = _candidates(manifest, None, nix_system)
    known = (each.kind.architecture for each in candidates)
    return next((each.name for each in known if each is not None), "")


def _candidates(
    manifest: Listing, kernel: Entry | None, nix_system: str
) -> tuple[list[_Candidate], list[Problem]]:
    """Returns the kernels of a menu, the default first, and a word on those left out."""
    if kernel is not None:
        (given,) = _identified([_given(manifest, kernel)])
        return [replace(given, version=release_of(given.kind.head) or given.version)], []
    generation = _identified(_from_bootspec(manifest, nix_system))
    if generation:
        return generation, []
    return _chosen(
        [_from_boot(manifest), _from_modules(manifest), _from_others(manifest)]
    )  # fmt: skip


def _identified(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Looks at what the kernels are, all of one source in one pass."""
    listed = list(candidates)
    found = heads([data(each.kernel) for each in listed], IDENTIFY_BYTES)
    return [
        replace(each, kind=identify(head)) for each, head in zip(listed, found, strict=True)
    ]  # fmt: skip


def _chosen(rules: Sequence[Iterator[_Candidate]]) -> tuple[list[_Candidate], list[Problem]]:
    """Returns the kernels of the first rule that finds one to boot, in order.

    Where there are only copies and rescue kernels, these; where nothing is a kernel, the files
    that have the name of one, for an error to name.
    """
    passed: list[list[_Candidate]] = []
    for rule in rules:
        listed = _identified(rule)
        good = [each for each in listed if each.kind.architecture is not None]
        if any(each.standing is Standing.REGULAR for each in good):
            return _in_order(good), [_no_kernel_file(each) for each in listed if each not in good]
        passed += [good] if good else []
        passed += [listed] if listed and not good else []
    passed.sort(key=lambda listed: all(each.kind.architecture is None for each in listed))
    return (_in_order(passed[0]) if passed else []), []


def _in_order(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Sorts the newest first, copies last; of kernels without a version the names decide."""
    ordered = sorted(candidates, key=lambda each: each.version)
    ordered.sort(key=lambda each: age(comparable(each.release)), reverse=True)
    complete = [each.version for each in ordered if each.initrds]
    return sorted(ordered, key=lambda each: (_is_derived(each, complete), each.standing))


def _is_derived(candidate: _Candidate, complete: Iterable[str]) -> bool:
    """Whether it is something beside a kernel that has an initrd, and has none itself."""
    tails = (candidate.version.removeprefix(whole) for whole in complete if whole)
    return not candidate.initrds and any(
        tail != candidate.version and _BESIDE.match(tail) for tail in tails
    )


def _finds_root(entry: MenuEntry) -> bool:
    """Whether an entry's root is found: only an initrd knows UUIDs and opens hash trees."""
    words = entry.options.split()
    return bool(entry.initrds) or not any(word.startswith(_FOR_INITRD) for word in words)


def _differ(one: Architecture | None, other: Architecture | None) -> bool:
    return one is not None and other is not None and one != other


def _with_microcode(entry: MenuEntry, candidate: _Candidate, early: tuple[Entry, ...]) -> MenuEntry:
    """Returns an entry with the processors' microcode before its initrds.

    A bootspec's initrd has it already.
    """
    if candidate.origin == "bootspec" or candidate.kind.architecture not in {None, X86_64}:
        return entry
    return replace(entry, initrds=(*early, *entry.initrds))


def _entry(
    candidate: _Candidate, title: str, cmdline: str, volumes: Sequence[tuple[str, ...]]
) -> MenuEntry:
    words = completed(candidate.options.split() + cmdline.split(), volumes)
    named = candidate.origin == "bootspec" or stated(candidate.version)
    return MenuEntry(
        title=title,
        version=_printable(candidate.version),
        release="" if named else _printable(candidate.release),
        kernel=candidate.kernel,
        initrds=candidate.initrds,
        options=" ".join(words),
        origin=candidate.origin,
        packing=candidate.kind.packing,
    )


def _printable(text: str) -> str:
    """Returns a file name as text for menus: what is not UTF-8 or cannot be seen is replaced."""
    text = text.encode(errors="surrogateescape").decode(errors="replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _given(manifest: Listing, kernel: Entry) -> _Candidate:
    version = stated(version_of(os.fsdecode(kernel.name)))
    return _Candidate(version, kernel, initrds_of(manifest, kernel), "given")


def _from_boot(manifest: Listing) -> Iterator[_Candidate]:
    names = [each for each in children(manifest, b"boot") if each.name.startswith(_KERNEL)]
    yield from _named(manifest, names)


def _from_others(manifest: Listing) -> Iterator[_Candidate]:
    """Yields kernels of other names, and those that kernel-install(8) puts below /boot."""
    there = [*children(manifest, b"boot"), *children(manifest, b"")]
    names = [each for each in there if _OTHER_NAMES.fullmatch(each.name)]
    yield from _named(manifest, [each for each in names if not each.name.startswith(_KERNEL)])
    for token in children(manifest, b"boot"):
        for folder in children(manifest, token.path) if token.is_directory else ():
            kernel = regular(manifest, folder.path + b"/linux")
            if kernel is not None:
                initrds = installed(manifest, folder.path)
                yield _Candidate(os.fsdecode(folder.name), kernel, initrds, "boot")


def _named(manifest: Listing, names: Iterable[Entry]) -> Iterator[_Candidate]:
    """Yields the kernels that names lead to, each under one name only."""
    # A file's own name tells more than that of a link to it.
    known: set[bytes] = set()
    for entry in sorted(names, key=lambda each: each.is_symlink):
        kernel = regular(manifest, entry.path)
        stands = standing(os.fsdecode(entry.name))
        if kernel is None or stands is None or kernel.path in known:
            continue
        known.add(kernel.path)
        version = version_of(os.fsdecode(entry.name))
        yield _Candidate(
            version, kernel, initrds_of(manifest, entry), "boot", standing=stands
        )  # fmt: skip


def _from_modules(manifest: Listing) -> Iterator[_Candidate]:
    for folder in children(manifest, b"usr/lib/modules"):
        kernels = (regular(manifest, folder.path + b"/" + name) for name in _MODULE_KERNELS)
        kernel = next((each for each in kernels if each is not None), None)
        version = os.fsdecode(folder.name)
        stands = standing(f"linux-{version}")
        if kernel is None or stands is None:
            continue
        initrds = beside(manifest, folder.path) or initrds_for(manifest, version)
        if not initrds:
            package = (read_text(manifest, folder.path + b"/pkgbase") or "").strip()
            initrds = initrds_for(manifest, package) if package and "/" not in package else ()
        yield _Candidate(version, kernel, initrds, "modules", standing=stands)


def _from_bootspec(manifest: Listing, nix_system: str) -> Iterator[_Candidate]:
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
            specialisation, kernel, (initrd,) if initrd else (), "bootspec", options,
            spec.label or "NixOS",
        )  # fmt: skip


def _no_kernel() -> Problem:
    return Problem(
        code="no-kernel",
        severity="error",
        path="boot.kernel",
        message="no kernel in the contents: no boot.json of a NixOS system, no /boot/vmlinuz-*, "
        "no /usr/lib/modules/*/vmlinuz",
        hint='add a kernel to the contents, name one in boot.kernel, or set boot.loader = "none"',
    )


def _warning(code: str, path: str, message: str, hint: str) -> Problem:
    return Problem(code=code, severity="warning", path=path, message=message, hint=hint)


def _no_kernel_file(candidate: _Candidate) -> Problem:
    path = candidate.kernel.path.decode(errors="backslashreplace")
    return _warning(
        "kernel-unknown", "boot.kernel", f"/{path} is not a kernel and is left out of the menu",
        "replace or exclude it, if it should be one",
    )  # fmt: skip


def _foreign(entry: MenuEntry, one: _Candidate, default: _Candidate) -> Problem:
    assert one.kind.architecture is not None
    assert default.kind.architecture is not None
    return _warning(
        "kernel-architecture", "boot.kernel",
        f"the kernel {entry.kernel_path} is for {one.kind.architecture.name} and the default for "
        f"{default.kind.architecture.name}; it is left out of the menu",
        "name the kernel to boot in boot.kernel, or exclude those for other machines",
    )  # fmt: skip


def _left_out(entry: MenuEntry) -> Problem:
    return _warning(
        "no-initrd", "boot.initrd",
        f"the kernel {entry.kernel_path} has no initrd and is left out of the menu",
        "add its initrd to the contents, or leave the kernel out too",
    )  # fmt: skip


def _no_initrd(entry: MenuEntry, cmdline: str, alone: str) -> Problem:
    fixed = " ".join(filter(None, (cmdline, alone)))
    fix = Fix("Let the kernel find the root by its partition", (("boot.cmdline", fixed),))
    return Problem(
        code="no-initrd",
        severity="error",
        path="boot.initrd",
        message=f"the kernel {entry.kernel_path} has no initrd, and only an initrd can "
        + (
            "open the root by its hash tree"
            if "roothash=" in entry.options
            else "find the root by its UUID"
        ),
        hint="name it in boot.initrd, or give a kernel that needs none its root= in boot.cmdline"
        + (f" ({alone})" if alone else ""),
        fix=fix if alone else None,
    )
