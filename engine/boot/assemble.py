"""From contents and settings to everything that makes an image boot. Decided before any write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.boot import (
    cmdline,
    esp,
    fill,
    grub,
    grub_home,
    guest,
    judged,
    kernels,
    machine,
    systemd_boot,
    uki,
)
from engine.boot.architecture import Architecture
from engine.boot.given import given
from engine.boot.menu import MenuEntry
from engine.boot.packed import BadKernel, unpacked
from engine.boot.parts import LoaderParts, Missing, gather
from engine.boot.pe import BadStub
from engine.boot.tree import data, read_text, regular
from engine.boot.wanted import (
    boots_by_bios,
    boots_by_uefi,
    grub_targets,
    is_own,
    takes_systemd_boot,
    ukis_elsewhere,
)
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.lookup import LeadsNowhere
from engine.manifest.manifest import Manifest
from engine.manifest.memory import copy_of, file_of
from engine.manifest.mounted import Mounted, mounted
from engine.problem import Problem, errors
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.loaders import LOADERS
from engine.spec.settings import Settings

# What systemd takes for "first boot" (machine-id(5)).
_UNINITIALIZED = b"uninitialized\n"
_SECOND_NS = 1_000_000_000


Files = Mapping[str, tuple[Entry, ...]]
"""Files by id of the volume that they go to, with paths as the volume has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootAssets:
    """What the loader adds to the image.

    Attributes:
        menu: What the image can boot, the default first.
        loader_files: Files of the loader's own, which the contents must not bring.
        system_files: Files of the system; they replace the contents' own.
        removed: Paths of the contents left out, by id of the volume.
        boot: GRUB's boot.img, empty where nothing boots by BIOS.
        core: GRUB's core.img, not yet placed.
        architecture: What the default kernel is for, else the root, as `uname -m` has it; "" where
            nothing tells.
        efi_entries: Title and path on the ESP of what boot variables start, the default first.
        guest: The virtual machine that a NixOS system's own installer runs in, where it needs one.
        filler: The virtual machine for volumes that only a kernel can fill, where there are some.
        missing: What this machine lacks to prepare the loader.
        problems: Why it cannot boot.
    """

    menu: tuple[MenuEntry, ...] = ()
    loader_files: Files = field(default_factory=dict)
    system_files: Files = field(default_factory=dict)
    removed: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    boot: bytes = b""
    core: bytes = b""
    architecture: str = ""
    efi_entries: tuple[tuple[str, str], ...] = (("Linux", "EFI/BOOT/BOOTX64.EFI"),)
    guest: guest.Guest | None = None
    filler: fill.Filler | None = None
    missing: tuple[Missing, ...] = ()
    problems: tuple[Problem, ...] = ()


def assemble(settings: Settings, contents: Mapping[str, Manifest]) -> BootAssets:
    """Decides what a loader adds to an image, from the contents' manifests.

    Reads kernels' headers, a few small files of the image and the host's loader binaries; has
    grub-mkimage write into memory. Never raises for what a user can cause.

    Args:
        settings: The spec, resolved.
        contents: By id of the volume.
    """
    tree = mounted(settings.volumes, contents)
    assets = replace(_prepared(settings, tree, contents), filler=_filler(settings, tree, contents))
    if assets.architecture or machine.by_loader(tree):
        return assets
    return replace(assets, architecture=machine.by_contents(tree, _system(settings)))


def _system(settings: Settings) -> str:
    """Returns the NixOS system's path in the image, or ""."""
    return settings.nix.system if settings.nix.system.startswith("/") else ""


def _filler(
    settings: Settings, tree: Mounted, contents: Mapping[str, Manifest]
) -> fill.Filler | None:
    """Returns what fills the volumes that only a kernel fills: with contents or subvolumes."""
    formats = {
        volume.format
        for volume in settings.volumes
        if FILESYSTEMS[volume.format].mounted
        and (volume.role == "root" or volume.subvolumes or len(contents.get(volume.id, ())) > 1)
    }
    return fill.find(tree, sorted(formats), system=_system(settings)) if formats else None


def _prepared(settings: Settings, tree: Mounted, contents: Mapping[str, Manifest]) -> BootAssets:
    if not (is_own(settings) or guest.is_wanted(settings)):
        return BootAssets()
    try:
        if guest.is_wanted(settings):
            found = guest.find(settings, tree)
            return BootAssets(guest=found.guest, missing=found.missing, problems=found.problems)
        return _assemble(settings, tree, contents)
    except (OSError, SourceChanged, BadStub, BadKernel, LeadsNowhere) as error:
        problem = Problem(
            code="loader-failed", severity="error", path="boot.loader",
            message=f"{LOADERS[settings.boot.loader].title} cannot be prepared: {error}",
        )  # fmt: skip
        return BootAssets(problems=(problem,))


def _assemble(settings: Settings, tree: Mounted, contents: Mapping[str, Manifest]) -> BootAssets:
    mtime_ns = settings.identity.source_date_epoch * _SECOND_NS
    named = given(settings, tree, mtime_ns)
    if named.problems:
        return BootAssets(problems=named.problems)
    found = kernels.find(
        tree, kernel=named.kernel, initrds=named.initrds, cmdline=settings.boot.cmdline,
        volumes=cmdline.finding(settings), nix_system=_system(settings),
        alone=cmdline.without_initrd(settings),
    )  # fmt: skip
    if not found.entries:
        return BootAssets(problems=found.problems)
    target = esp.target(settings, tree, contents)
    menu, architecture = found.entries, found.kind.architecture
    problems = (
        *found.problems, *esp.unreadable(settings), *judged.unfit(settings, menu[0], found.kind),
        *judged.sealed(settings, menu[0]), *judged.unready(settings, tree),
    )  # fmt: skip
    if architecture is None or errors(problems):
        return BootAssets(menu=menu, problems=problems)
    if takes_systemd_boot(settings):
        menu = systemd_boot.arranged(menu, target.names, target.there)
        if systemd_boot.is_undecided(menu, target.names, target.there):
            problems = (*problems, judged.undecided())
    menu = tuple(map(_unpacked, menu)) if boots_by_uefi(settings) else menu
    targets = grub_targets(settings, architecture)
    home = _grub_home(settings, tree, menu, targets)
    if home is not None:
        refused = grub_home.unreadable(home, menu, targets)
        if refused is not None:
            return BootAssets(
                menu=menu, architecture=architecture.name, problems=(*problems, refused)
            )
    parts = _parts(settings, architecture, tree, home)
    if parts.missing:
        return BootAssets(
            menu=menu, architecture=architecture.name, missing=parts.missing, problems=problems
        )

    removed, replaced = _machine_id(settings, tree, mtime_ns)
    added = [*replaced, *named.added]
    system: dict[str, tuple[Entry, ...]] = {}
    if home is not None:
        text = grub.menu_config(menu, home.file).encode("utf-8", "surrogateescape")
        config = file_of(home.config.path, text, mtime_ns=mtime_ns)
        problems = (*problems, *judged.replaced_menu(tree))
        system[home.config.volume] = (config,)
    for entry in added:
        where = tree.place(entry.path)
        file = entry if where.path == entry.path else copy_of(where.path, entry)
        system[where.volume] = (*system.get(where.volume, ()), file)
    files, paths = _loader_files(settings, tree, menu, parts, architecture, target)
    if home is not None and home.copies:
        volume = home.config.volume
        files = {**files, volume: (*files.get(volume, ()), *home.files())}
    return BootAssets(
        menu=menu, loader_files=files, system_files=system, removed=_by_volume(tree, removed),
        boot=parts.grub_boot, core=parts.grub_core, architecture=architecture.name,
        efi_entries=_efi_entries(menu, paths), problems=problems,
    )  # fmt: skip


def _by_volume(tree: Mounted, paths: Iterable[bytes]) -> dict[str, tuple[bytes, ...]]:
    found: dict[str, tuple[bytes, ...]] = {}
    for where in map(tree.place, paths):
        found[where.volume] = (*found.get(where.volume, ()), where.path)
    return found


def _grub_home(
    settings: Settings, tree: Mounted, menu: Sequence[MenuEntry], targets: Sequence[str]
) -> grub_home.GrubHome | None:
    wanted = settings.boot.loader == "grub" or boots_by_bios(settings)
    return grub_home.find(settings, tree, menu, targets) if wanted else None


def _efi_entries(menu: tuple[MenuEntry, ...], paths: list[str]) -> tuple[tuple[str, str], ...]:
    """Returns titles with what they start: one loader with a menu, or each kernel alone."""
    if len(paths) == 1:
        return ((menu[0].title, paths[0]),)
    return tuple((entry.heading, path) for entry, path in zip(menu, paths, strict=False))


def _unpacked(entry: MenuEntry) -> MenuEntry:
    """Returns an entry with its kernel unpacked, which no loader of UEFI would do.

    Raises:
        BadKernel: It is damaged.
    """
    if not entry.packing:
        return entry
    return replace(entry, unpacked=unpacked(entry.kernel.path, data(entry.kernel)))


def _parts(
    settings: Settings, architecture: Architecture, tree: Mounted, home: grub_home.GrubHome | None
) -> LoaderParts:
    uefi = boots_by_uefi(settings)
    return gather(
        architecture,
        want_systemd_boot=uefi
        and (settings.boot.loader == "systemd-boot" or ukis_elsewhere(settings)),
        want_stub=uefi and settings.boot.loader == "uki",
        want_grub_efi=uefi and settings.boot.loader == "grub",
        want_grub_bios=boots_by_bios(settings),
        grub_prefix="" if home is None else home.prefix,
        grub_modules=() if home is None else home.modules,
        contents=tree,
    )  # fmt: skip


def _loader_files(
    settings: Settings, tree: Mounted, menu: tuple[MenuEntry, ...], parts: LoaderParts,
    architecture: Architecture, target: esp.Target,
) -> tuple[Files, list[str]]:  # fmt: skip
    """Returns the loader's files, and those of their paths on the ESP that boot variables name."""
    mtime_ns = settings.identity.source_date_epoch * _SECOND_NS
    named = [f"EFI/systemd/{systemd_boot.binary_name(architecture)}"]
    if parts.systemd_boot and not parts.stub:
        files = systemd_boot.loader_files(
            menu, parts.systemd_boot, architecture,
            names=target.names, there=target.there, mtime_ns=mtime_ns,
        )  # fmt: skip
        entries = systemd_boot.entry_files(
            menu, names=target.names, there_as=target.there_as, mtime_ns=mtime_ns
        )
        if target.entries == target.esp:
            return {target.esp: (*files, *entries)}, named
        return {target.esp: tuple(files), target.entries: tuple(entries)}, named
    if parts.stub:
        text = read_text(tree, b"etc/os-release") or read_text(tree, b"usr/lib/os-release") or ""
        if parts.systemd_boot:
            first = systemd_boot.before_ukis(
                parts.systemd_boot, architecture, uki.named_paths(menu), mtime_ns=mtime_ns
            )
            images = uki.named_files(menu, parts.stub, os_release=text.encode(), mtime_ns=mtime_ns)
            return {target.esp: tuple(first), target.entries: tuple(images)}, named
        files = uki.esp_files(
            menu, parts.stub, architecture, os_release=text.encode(),
            named_default=settings.boot.efi_variables, mtime_ns=mtime_ns,
        )  # fmt: skip
        return {target.esp: tuple(files)}, [path.decode() for path in uki.named_paths(menu)]
    if parts.grub_efi:
        name = f"EFI/grub/grub{architecture.efi}.efi"
        paths = (architecture.removable_path, name.encode())
        files = [file_of(path, parts.grub_efi, mtime_ns=mtime_ns) for path in paths]
        return {target.esp: tuple(files)}, [name]
    return {}, []


def _machine_id(
    settings: Settings, tree: Mounted, mtime_ns: int
) -> tuple[list[bytes], list[Entry]]:
    """One machine's identity must not be baked into every copy of an image.

    An empty file already means what is wanted; one that the spec places itself is left alone.
    """
    present = regular(tree, esp.MACHINE_ID)
    if present is None or not present.size or esp.pins_machine_id(settings):
        return [], []
    if settings.rules.removes_machine_id:
        return [present.path], []
    mode = present.mode & 0o7777
    return [], [file_of(present.path, _UNINITIALIZED, mtime_ns=mtime_ns, mode=mode)]
