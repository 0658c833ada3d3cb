"""From contents and settings to everything that makes an image boot. Decided before any write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.boot import grub, guest, kernels, machine, systemd_boot, uki
from engine.boot.architecture import Architecture
from engine.boot.given import given
from engine.boot.menu import MenuEntry
from engine.boot.packed import BadKernel, Kind, described, unpacked
from engine.boot.parts import LoaderParts, Missing, gather
from engine.boot.pe import BadStub
from engine.boot.tree import data, read_text, regular
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.lookup import LeadsNowhere, resolve
from engine.manifest.manifest import Manifest
from engine.manifest.memory import file_of
from engine.problem import Fix, Problem, errors
from engine.spec.loaders import LOADERS
from engine.spec.settings import Settings

_MACHINE_ID = b"etc/machine-id"
# What systemd takes for "first boot" (machine-id(5)).
_UNINITIALIZED = b"uninitialized\n"
_OWN_LOADERS = {"grub", "systemd-boot", "uki"}
_BIOS_SECTOR = 512
_SECOND_NS = 1_000_000_000
_NOTHING = Manifest(())


@dataclass(frozen=True, slots=True, kw_only=True)
class BootAssets:
    """What the loader adds to the image.

    Attributes:
        menu: What the image can boot, the default first.
        esp_files: Files for the ESP.
        root_files: Files for the root file system; they replace the contents' own.
        root_removed: Paths of the contents left out of the root file system.
        boot: GRUB's boot.img, empty where nothing boots by BIOS.
        core: GRUB's core.img, not yet placed.
        architecture: What the default kernel is for, else the root, as `uname -m` has it; "" where
            nothing tells.
        efi_entries: Title and path on the ESP of what boot variables start, the default first.
        guest: The virtual machine that a NixOS system's own installer runs in, where it needs one.
        missing: What this machine lacks to prepare the loader.
        problems: Why it cannot boot.
    """

    menu: tuple[MenuEntry, ...] = ()
    esp_files: tuple[Entry, ...] = ()
    root_files: tuple[Entry, ...] = ()
    root_removed: tuple[bytes, ...] = ()
    boot: bytes = b""
    core: bytes = b""
    architecture: str = ""
    efi_entries: tuple[tuple[str, str], ...] = (("Linux", "EFI/BOOT/BOOTX64.EFI"),)
    guest: guest.Guest | None = None
    missing: tuple[Missing, ...] = ()
    problems: tuple[Problem, ...] = ()


def is_own(settings: Settings) -> bool:
    """Whether a loader of this tool's own is to be installed, and has a place for it."""
    return settings.boot.loader in _OWN_LOADERS and LOADERS[settings.boot.loader].fits(
        settings.boots
    )


def boots_by_bios(settings: Settings) -> bool:
    """Whether this tool writes BIOS boot code: wherever the layout is for a BIOS."""
    return is_own(settings) and "bios" in settings.boots


def boots_by_uefi(settings: Settings) -> bool:
    """Whether this tool fills the ESP with a loader."""
    return is_own(settings) and "uefi" in settings.boots


def assemble(settings: Settings, root: Manifest, esp: Manifest = _NOTHING) -> BootAssets:
    """Decides what a loader adds to an image, from the contents' manifest.

    Reads kernels' headers, a few small files of the image and the host's loader binaries; has
    grub-mkimage write into memory. Never raises for what a user can cause.

    Args:
        settings: The spec, resolved.
        root: The root file system's contents.
        esp: Those of the ESP.
    """
    assets = _prepared(settings, root, esp)
    if assets.architecture or machine.by_loader(root):
        return assets
    return replace(assets, architecture=machine.by_contents(root, _system(settings)))


def _system(settings: Settings) -> str:
    """Returns the NixOS system's path in the image, or ""."""
    return settings.nix.system if settings.nix.system.startswith("/") else ""


def _prepared(settings: Settings, root: Manifest, esp: Manifest) -> BootAssets:
    if not (is_own(settings) or guest.is_wanted(settings)):
        return BootAssets()
    try:
        if guest.is_wanted(settings):
            found = guest.find(settings, root)
            return BootAssets(guest=found.guest, missing=found.missing, problems=found.problems)
        return _assemble(settings, root, esp)
    except (OSError, SourceChanged, BadStub, BadKernel, LeadsNowhere) as error:
        problem = Problem(
            code="loader-failed", severity="error", path="boot.loader",
            message=f"{LOADERS[settings.boot.loader].title} cannot be prepared: {error}",
        )  # fmt: skip
        return BootAssets(problems=(problem,))


def _assemble(settings: Settings, root: Manifest, esp: Manifest) -> BootAssets:
    mtime_ns = settings.identity.source_date_epoch * _SECOND_NS
    named = given(settings, root, mtime_ns)
    if named.problems:
        return BootAssets(problems=named.problems)
    found = kernels.find(
        root, kernel=named.kernel, initrds=named.initrds, cmdline=settings.boot.cmdline,
        root_uuid=settings.identity.root_filesystem_uuid, nix_system=_system(settings),
    )  # fmt: skip
    if not found.entries:
        return BootAssets(problems=found.problems)
    names, there = _names(settings, root), systemd_boot.present(esp)
    menu, architecture = found.entries, found.kind.architecture
    problems = (*found.problems, *_unfit(settings, menu[0], found.kind))
    if architecture is None or errors(problems):
        return BootAssets(menu=menu, problems=problems)
    if _takes_systemd_boot(settings):
        menu = systemd_boot.arranged(menu, names, there)
        if systemd_boot.is_undecided(menu, names, there):
            problems = (*problems, _undecided())
    menu = tuple(map(_unpacked, menu)) if boots_by_uefi(settings) else menu
    parts = _parts(settings, architecture, root)
    if parts.missing:
        return BootAssets(
            menu=menu, architecture=architecture.name, missing=parts.missing, problems=problems
        )

    removed, replaced = _machine_id(settings, root, mtime_ns)
    replaced += named.added
    if parts.grub_core or parts.grub_efi:
        path = resolve(root.get, grub.CONFIG_PATH, may_miss=True)
        text = grub.menu_config(menu).encode("utf-8", "surrogateescape")
        replaced.append(file_of(path, text, mtime_ns=mtime_ns))
    files, paths = _esp_files(settings, root, menu, parts, architecture, names, there)
    return BootAssets(
        menu=menu, esp_files=tuple(files), root_files=tuple(replaced), root_removed=tuple(removed),
        boot=parts.grub_boot, core=parts.grub_core, architecture=architecture.name,
        efi_entries=_efi_entries(menu, paths), problems=problems,
    )  # fmt: skip


def _efi_entries(menu: tuple[MenuEntry, ...], paths: list[str]) -> tuple[tuple[str, str], ...]:
    """Returns titles with what they start: one loader with a menu, or each kernel alone."""
    if len(paths) == 1:
        return ((menu[0].title, paths[0]),)
    return tuple((entry.heading, path) for entry, path in zip(menu, paths, strict=False))


def _takes_systemd_boot(settings: Settings) -> bool:
    return boots_by_uefi(settings) and settings.boot.loader == "systemd-boot"


def _names(settings: Settings, root: Manifest) -> systemd_boot.Names:
    sort_key = kernels.os_release(root).get("ID") or "linux"
    return systemd_boot.Names(sort_key, _kept_machine_id(settings, root))


def _unpacked(entry: MenuEntry) -> MenuEntry:
    """Returns an entry with its kernel unpacked, which no loader of UEFI would do.

    Raises:
        BadKernel: It is damaged.
    """
    if not entry.packing:
        return entry
    return replace(entry, unpacked=unpacked(entry.kernel.path, data(entry.kernel)))


def _undecided() -> Problem:
    return Problem(
        "default-undecided", "warning", "boot.loader",
        "the contents bring entries and a loader.conf of their own to the ESP, whose default is "
        "none of the kernels found: systemd-boot may start one of those entries",
        "name the default in their loader.conf, or exclude it from the contents",
    )  # fmt: skip


def _unfit(settings: Settings, entry: MenuEntry, kind: Kind) -> Iterator[Problem]:
    """Yields why a kernel and what is to boot it do not go together."""
    loader, kernel, architecture = (
        LOADERS[settings.boot.loader],
        entry.kernel_path,
        kind.architecture,
    )
    if architecture is None:
        what, hint = described(kind)
        yield _error(
            "kernel-unknown", "boot.kernel",
            f"{kernel} is not a kernel that a loader can boot: it {what}", hint,
        )  # fmt: skip
    elif architecture.name not in loader.architectures:
        yield _error(
            "loader-architecture", "boot.loader",
            f"{loader.title} is for {', '.join(loader.architectures)}, and {kernel} is a kernel "
            f"for {architecture.name}",
            'take "systemd-boot" or "uki"',
            Fix("Take systemd-boot", (("boot.loader", "systemd-boot"),)),
        )  # fmt: skip
    elif entry.packing and (settings.boot.loader == "grub" or boots_by_bios(settings)):
        yield _error(
            "kernel-packed", "boot.kernel",
            f"{kernel} is packed with {entry.packing}, and GRUB as built here unpacks no kernels",
            "unpack it",
        )  # fmt: skip
    elif boots_by_bios(settings) and not architecture.grub_bios:
        yield _error(
            "no-bios", "layout.table",
            f"layout {settings.layout.table} boots under a BIOS, and {kernel} is a kernel for "
            f"{architecture.name}, which has none",
            'take layout.table = "efi"',
            Fix("Boot under UEFI only", (("layout.table", "efi"),)),
        )  # fmt: skip
    elif boots_by_bios(settings) and settings.layout.sector_size != _BIOS_SECTOR:
        yield _error(
            "bios-sector-size", "layout.sector_size",
            f"is {settings.layout.sector_size}, and a BIOS reads disks of {_BIOS_SECTOR}-byte "
            f"sectors only; layout {settings.layout.table} boots under a BIOS",
            f'take {_BIOS_SECTOR}, or layout.table = "efi"',
            Fix(f"Use {_BIOS_SECTOR}", (("layout.sector_size", _BIOS_SECTOR),)),
        )  # fmt: skip


def _error(code: str, path: str, message: str, hint: str, fix: Fix | None = None) -> Problem:
    return Problem(code, "error", path, message, hint, fix)


def _parts(settings: Settings, architecture: Architecture, root: Manifest) -> LoaderParts:
    uefi = boots_by_uefi(settings)
    return gather(
        architecture, grub.partition_name(settings.scheme, settings.root_number),
        want_systemd_boot=uefi and settings.boot.loader == "systemd-boot",
        want_stub=uefi and settings.boot.loader == "uki",
        want_grub_efi=uefi and settings.boot.loader == "grub",
        want_grub_bios=boots_by_bios(settings),
        contents=root,
    )  # fmt: skip


def _esp_files(
    settings: Settings, root: Manifest, menu: tuple[MenuEntry, ...], parts: LoaderParts,
    architecture: Architecture, names: systemd_boot.Names, there: systemd_boot.Present,
) -> tuple[list[Entry], list[str]]:  # fmt: skip
    """Returns the ESP's files, and those of their paths that boot variables name."""
    mtime_ns = settings.identity.source_date_epoch * _SECOND_NS
    if parts.systemd_boot:
        files = systemd_boot.esp_files(
            menu, parts.systemd_boot, architecture, names=names, there=there, mtime_ns=mtime_ns,
        )  # fmt: skip
        return files, [f"EFI/systemd/{systemd_boot.binary_name(architecture)}"]
    if parts.stub:
        text = read_text(root, b"etc/os-release") or read_text(root, b"usr/lib/os-release") or ""
        files = uki.esp_files(
            menu, parts.stub, architecture, os_release=text.encode(),
            named_default=settings.boot.efi_variables, mtime_ns=mtime_ns,
        )  # fmt: skip
        return files, [path.decode() for path in uki.named_paths(menu)]
    if parts.grub_efi:
        named = f"EFI/grub/grub{architecture.efi}.efi"
        paths = (architecture.removable_path, named.encode())
        return [file_of(path, parts.grub_efi, mtime_ns=mtime_ns) for path in paths], [named]
    return [], []


def _pinned_machine_id(settings: Settings) -> bool:
    return any(content.target == b"/" + _MACHINE_ID for content in settings.contents)


def _kept_machine_id(settings: Settings, root: Manifest) -> str:
    text = (read_text(root, _MACHINE_ID) or "").strip() if _pinned_machine_id(settings) else ""
    return text if len(text) == 32 else ""


def _machine_id(
    settings: Settings, root: Manifest, mtime_ns: int
) -> tuple[list[bytes], list[Entry]]:
    """One machine's identity must not be baked into every copy of an image.

    An empty file already means what is wanted; one that the spec places itself is left alone.
    """
    present = regular(root, _MACHINE_ID)
    if present is None or not present.size or _pinned_machine_id(settings):
        return [], []
    if settings.rules.removes_machine_id:
        return [present.path], []
    mode = present.mode & 0o7777
    return [], [file_of(present.path, _UNINITIALIZED, mtime_ns=mtime_ns, mode=mode)]
