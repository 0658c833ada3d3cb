"""From contents and settings to everything that makes an image boot. Decided before any write."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.boot import grub, kernels, systemd_boot, uki
from engine.boot.architecture import HEADER_BYTES, X86_64, Architecture, of_kernel
from engine.boot.menu import MenuEntry
from engine.boot.parts import LoaderParts, gather
from engine.boot.pe import BadStub
from engine.boot.sources import file_of
from engine.boot.tree import follow, read, read_text
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.manifest import Manifest
from engine.problem import Problem
from engine.spec.settings import Settings

_MACHINE_ID = b"etc/machine-id"
# What systemd takes for "first boot" (machine-id(5)).
_UNINITIALIZED = b"uninitialized\n"
_OWN_LOADERS = {"grub", "systemd-boot", "uki"}
_BIOS_LAYOUTS = {"legacy", "legacy+gpt", "hybrid"}
_UEFI_LAYOUTS = {"efi", "hybrid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BootAssets:
    """What the loader adds to the image.

    Attributes:
        menu: What the image can boot, the default first.
        esp_files: Files for the ESP.
        root_files: Files for the root file system; they replace the contents' own.
        root_removed: Paths of the contents left out of the root file system.
        boot: GRUB's boot.img, "" where nothing boots by BIOS.
        core: GRUB's core.img, not yet placed.
        efi_path: The loader's path on the ESP, for a boot variable; not the removable one.
        problems: Why it can't boot.
    """

    menu: tuple[MenuEntry, ...] = ()
    esp_files: tuple[Entry, ...] = ()
    root_files: tuple[Entry, ...] = ()
    root_removed: tuple[bytes, ...] = ()
    boot: bytes = b""
    core: bytes = b""
    efi_path: str = ""
    problems: tuple[Problem, ...] = field(default=())


def boots_by_bios(settings: Settings) -> bool:
    """Whether this tool writes BIOS boot code: GRUB where chosen, and always on a hybrid disk."""
    if settings.table == "hybrid":
        return settings.loader in _OWN_LOADERS
    return settings.loader == "grub" and settings.table in _BIOS_LAYOUTS


def assemble(
    settings: Settings, root: Manifest, *, root_uuid: str,
    kernel: Entry | None = None, initrd: Entry | None = None,
) -> BootAssets:  # fmt: skip
    """Decides what a loader adds to an image, from the contents' manifest.

    Args:
        settings: The spec, resolved.
        root: The root file system's contents.
        root_uuid: The UUID the root file system will have.
        kernel: The entry of `boot.kernel`, where the spec names one.
        initrd: That of `boot.initrd`.
    """
    if settings.loader not in _OWN_LOADERS or settings.table == "none":
        return BootAssets()
    try:
        return _assemble(settings, root, root_uuid, kernel, initrd)
    except (OSError, SourceChanged, BadStub) as error:
        problem = Problem(
            code="loader-failed", severity="error", path="boot.loader",
            message=f"{settings.loader} can't be prepared: {error}",
        )  # fmt: skip
        return BootAssets(problems=(problem,))


def _assemble(
    settings: Settings, root: Manifest, root_uuid: str, kernel: Entry | None, initrd: Entry | None
) -> BootAssets:
    found = kernels.find(
        root, kernel=kernel, initrd=initrd, cmdline=settings.cmdline, root_uuid=root_uuid,
        nix_system=settings.nix_system if settings.nix_system.startswith("/") else "",
    )  # fmt: skip
    if not found.entries:
        return BootAssets(problems=found.problems)
    header = read(found.entries[0].kernel, HEADER_BYTES)
    architecture = of_kernel(header) or X86_64
    parts = _parts(settings, architecture, root_uuid)
    problems = [*found.problems, *_missing(settings, parts)]
    if problems:
        return BootAssets(menu=found.entries, problems=tuple(problems))

    mtime_ns = settings.source_date_epoch * 1_000_000_000
    removed, replaced = _machine_id(settings, root, mtime_ns)
    menu = found.entries
    if parts.grub_core or parts.grub_efi:
        text = grub.menu_config(menu, root_uuid).encode("utf-8", "surrogateescape")
        replaced.append(file_of(grub.CONFIG_PATH, text, mtime_ns=mtime_ns))
    esp, efi_path = _esp_files(settings, root, menu, parts, architecture, mtime_ns)
    return BootAssets(
        menu=menu, esp_files=tuple(esp), root_files=tuple(replaced), root_removed=tuple(removed),
        boot=parts.grub_boot, core=parts.grub_core, efi_path=efi_path,
    )  # fmt: skip


def _parts(settings: Settings, architecture: Architecture, root_uuid: str) -> LoaderParts:
    uefi = settings.table in _UEFI_LAYOUTS
    return gather(
        architecture, root_uuid,
        want_systemd_boot=uefi and settings.loader == "systemd-boot",
        want_stub=uefi and settings.loader == "uki",
        want_grub_efi=uefi and settings.loader == "grub",
        want_grub_bios=boots_by_bios(settings),
    )  # fmt: skip


def _missing(settings: Settings, parts: LoaderParts) -> list[Problem]:
    return [
        Problem(
            code="loader-not-installed", severity="error", path="boot.loader",
            message=f"{settings.loader} on {settings.table} needs {missing.what}, "
            "which this machine does not have",
            hint=f"on Debian: apt-get install {missing.package.replace(' and ', ' ')}",
        )
        for missing in parts.missing
    ]  # fmt: skip


def _esp_files(
    settings: Settings, root: Manifest, menu: tuple[MenuEntry, ...], parts: LoaderParts,
    architecture: Architecture, mtime_ns: int,
) -> tuple[list[Entry], str]:  # fmt: skip
    if parts.systemd_boot:
        release = kernels.os_release(root)
        files = systemd_boot.esp_files(
            menu, parts.systemd_boot, architecture, sort_key=release.get("ID", "linux"),
            machine_id=_kept_machine_id(settings, root), mtime_ns=mtime_ns,
        )  # fmt: skip
        return files, f"EFI/systemd/{systemd_boot.binary_name(architecture)}"
    if parts.stub:
        text = read_text(root, b"etc/os-release") or read_text(root, b"usr/lib/os-release") or ""
        files = uki.esp_files(
            menu, parts.stub, architecture, os_release=text.encode(),
            named_default=settings.efi_variables, mtime_ns=mtime_ns,
        )  # fmt: skip
        return files, uki.named_path(menu[0]).decode()
    if parts.grub_efi:
        named = f"EFI/grub/grub{architecture.efi}.efi"
        paths = (architecture.removable_path, named.encode())
        return [file_of(path, parts.grub_efi, mtime_ns=mtime_ns) for path in paths], named
    return [], ""


def _pinned_machine_id(settings: Settings) -> bool:
    return any(content.target == b"/" + _MACHINE_ID for content in settings.contents)


def _kept_machine_id(settings: Settings, root: Manifest) -> str:
    text = (read_text(root, _MACHINE_ID) or "").strip() if _pinned_machine_id(settings) else ""
    return text if len(text) == 32 else ""


def _machine_id(
    settings: Settings, root: Manifest, mtime_ns: int
) -> tuple[list[bytes], list[Entry]]:
    """One machine's identity must not be baked into every copy of an image."""
    present = follow(root, _MACHINE_ID)
    if present is None or not present.is_regular or _pinned_machine_id(settings):
        return [], []
    if settings.compat == "make-disk-image":
        return [present.path], []
    return [], [file_of(present.path, _UNINITIALIZED, mtime_ns=mtime_ns)]
