"""Rules between keys: values that are each right and together wrong."""

from __future__ import annotations

from collections.abc import Iterator

from engine.disk.presets import PRESETS
from engine.problem import Problem
from engine.spec import format_rules, size_rules, volume_rules
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.formats import FORMATS
from engine.spec.loaders import LOADERS, loaders_for
from engine.spec.model import ImageSpec
from engine.spec.refusals import edit, error, warning
from engine.spec.rules import RULES
from engine.spec.settings import Settings
from engine.spec.shape import show
from engine.spec.texts import shorten
from engine.units import in_bytes


def check(spec: ImageSpec, settings: Settings) -> tuple[Problem, ...]:
    """Returns the problems of keys that do not go together.

    Args:
        spec: As authored: it tells what was said from what is a default.
        settings: The same, resolved; without values that are wrong on their own.
    """
    rules = [
        _channel,
        _owners,
        _filesystem,
        _label,
        _efi_variables,
        _loader,
        _esp,
        volume_rules.check_together,
        size_rules.used,
        size_rules.rounded,
        _format,
        _pmbr,
        _seed,
        _packed,
        _containers,
    ]
    if settings.nix.only_store:
        rules.append(_only_store)
    rules += [_layout, _one_sector_size, size_rules.inodes, size_rules.in_numfmt]
    return tuple(problem for rule in rules for problem in rule(spec, settings))


def _packed(_: ImageSpec, settings: Settings) -> Iterator[Problem]:
    wanted = {
        "output.compress": settings.output.compress != "none",
        "output.bmap": settings.output.bmap,
    }
    for path in (
        path for path, given in wanted.items() if given and settings.output.format != "raw"
    ):
        yield error(
            "packs-raw-only", path,
            f"is made of a raw image, and output.format is {show(settings.output.format)}",
            'take output.format = "raw", or remove the key',
            edit("Make the image raw", ("output.format", "raw")),
        )  # fmt: skip
    if not settings.output.keep_raw and settings.output.compress == "none":
        yield error(
            "keeps-nothing", "output.keep_raw",
            "is false, and nothing else is made of the image",
            'set output.compress = "zst", or remove the key',
            edit("Compress the image with zstd", ("output.compress", "zst")),
        )  # fmt: skip


def _channel(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    if settings.nix.copy_channel and not settings.nix.system:
        yield warning(
            "channel-unused",
            "nix.copy_channel",
            "is not used: there is no nix.system to install it beside",
        )


def _owners(spec: ImageSpec, _: Settings) -> Iterator[Problem]:
    for index, entry in enumerate(spec.contents):
        user, group = (owner not in {None, ""} for owner in (entry.user, entry.group))
        if user == group:
            continue
        given, missing = ("user", "group") if user else ("group", "user")
        owner = entry.user if user else entry.group
        yield error(
            "owner-incomplete",
            f"contents[{index}].{missing}",
            f"is missing, while {given} is {show(owner)}; user and group go together",
            f"set {missing}, or leave both out for 0:0",
            edit(f"Set {missing} to {owner} as well", (f"contents[{index}].{missing}", owner)),
        )


def _filesystem(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    if (
        settings.rules.only_ext4_in_tables
        and settings.layout.table != "none"
        and settings.layout.filesystem != "ext4"
    ):
        yield error(
            "filesystem-needs-no-table",
            "layout.filesystem",
            f"is {show(settings.layout.filesystem)}; make-disk-image puts only ext4 behind a "
            f"partition table, and layout.table is {show(settings.layout.table)}",
            'take ext4, or layout.table = "none"',
            edit("Take ext4", ("layout.filesystem", "ext4")),
        )


def _label(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    label = spec.layout.label
    limit = FILESYSTEMS[settings.layout.filesystem].label_bytes
    if label is None or len(label.encode(errors="replace")) <= limit:
        return
    short = shorten(label, limit)
    message = (
        f"{show(label)} has {in_bytes(len(label.encode(errors='replace')))}; "
        f"a label of {settings.layout.filesystem} has at most {limit}"
    )
    fix = edit(f"Shorten it to {short}", ("layout.label", short))
    if settings.rules.cuts_labels:
        message += f"; as there, it is cut to {show(short)}"
        yield Problem("label-too-long", "warning", "layout.label", message, "", fix)
    else:
        yield error("label-too-long", "layout.label", message, "", fix)


def _efi_variables(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    if not settings.boot.efi_variables or settings.has("esp"):
        return
    message = f"needs an EFI system partition, but layout {show(settings.layout.table)} has none"
    hint = 'take layout.table = "efi" or "hybrid", or leave efi_variables out'
    if settings.rules.blank_variables and settings.layout.table == "legacy+gpt":
        message += "; as in make-disk-image, efi-vars.fd is the firmware's empty store"
        yield warning("efi-variables-without-esp", "boot.efi_variables", message, hint)
    else:
        fix = edit("Leave efi-vars.fd out", ("boot.efi_variables", False))
        yield error("efi-variables-without-esp", "boot.efi_variables", message, hint, fix)


def _loader(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    yield from _guest_loader(spec, settings)
    loader = LOADERS[settings.boot.loader]
    layout = PRESETS[settings.layout.table]
    if not loader.fits(settings.boots):
        fitting = [other.key for other in loaders_for(settings.boots)]
        best = "grub" if "grub" in fitting else "none"
        yield error(
            "loader-unfit",
            "boot.loader",
            f"{loader.title} does not fit layout {show(settings.layout.table)} ({layout.title})",
            "what fits: " + ", ".join(fitting),
            edit(f"Take {best}", ("boot.loader", best)),
        )
    if settings.boot.prove and not settings.boots:
        yield error(
            "prove-without-table",
            "boot.prove",
            f"boots the image, but under layout {show(settings.layout.table)} no firmware boots it",
            "leave it out, or take a layout with a partition table",
            edit("Leave the proof out", ("boot.prove", False)),
        )
    elif settings.boot.prove and loader.key == "none":
        yield warning(
            "prove-without-loader",
            "boot.prove",
            "boots the image, but no loader is installed",
            "the contents must bring one, or set boot.loader",
        )


def _guest_loader(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    if spec.boot.loader == "nixos" and spec.nix.install_boot_loader is False:
        yield error(
            "loader-contradiction",
            "boot.loader",
            'is "nixos", while nix.install_boot_loader is false',
            "say the same in both",
            edit("Install no loader", ("boot.loader", "none")),
        )
    elif not settings.nix.system and guest_loader_wanted(spec, settings):
        path = "boot.loader" if spec.boot.loader == "nixos" else "nix.install_boot_loader"
        yield warning(
            "no-guest-loader",
            path,
            "nix.system is not set, so no boot loader is installed",
            "set nix.system, or a loader of Diskwright's own in boot.loader",
        )
    elif spec.boot.loader is None and settings.boot.loader == "grub":
        yield warning(
            "guest-loader-replaced",
            "nix.install_boot_loader",
            "the system's own installer would write to the disk itself, which takes a virtual "
            "machine; Diskwright's GRUB is installed instead, with the menu of the system's "
            "bootspec",
            'boot.loader = "grub" says the same without a warning; "nixos" makes the machine',
        )


def guest_loader_wanted(spec: ImageSpec, settings: Settings) -> bool:
    """Whether the system in the image is asked to install its own boot loader."""
    if spec.boot.loader is not None:
        return spec.boot.loader == "nixos"
    return (
        settings.rules.installs_loader
        and settings.nix.install_boot_loader
        and not settings.nix.only_store
    )


def _esp(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    if settings.uses_boot_size:
        return
    for index, entry in enumerate(spec.contents):
        if entry.partition == "esp":
            yield error(
                "no-esp",
                f"contents[{index}].partition",
                f'is "esp", but layout {show(settings.layout.table)} has no EFI system partition',
                'take layout.table = "efi" or "hybrid", or the root partition',
                edit("Put it into the root", (f"contents[{index}].partition", "root")),
            )
    if spec.size.boot is not None:
        yield warning(
            "size-unused",
            "size.boot",
            f"is not used: layout {show(settings.layout.table)} has no EFI system partition",
        )


def _format(_: ImageSpec, settings: Settings) -> Iterator[Problem]:
    format_ = FORMATS[settings.output.format]
    boots = () if settings.boot.loader == "none" else settings.boots
    yield from format_rules.sectors(format_, settings.layout.sector_size)
    yield from format_rules.firmware(format_, boots)


def _pmbr(_: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Refuses an active protective entry where there is none."""
    if settings.layout.pmbr_boot and settings.scheme != "gpt":
        yield error(
            "pmbr-without-gpt",
            "layout.pmbr_boot",
            f"is true, but layout {show(settings.layout.table)} has no GPT, and so no protective "
            "MBR",
            'take layout.table = "legacy+gpt" or another with a GPT, or remove the key',
            edit("Remove pmbr_boot", ("layout.pmbr_boot", None)),
        )


def _seed(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    if spec.identity.seed and not settings.identity.deterministic:
        yield warning(
            "seed-unused",
            "identity.seed",
            "is not used: with deterministic = false, identifiers are random",
        )


def _only_store(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    rule = "an image with nix.only_store is a Nix store and nothing else"
    if spec.contents:
        yield error(
            "only-store-contents",
            "contents",
            f"has {len(spec.contents)} entries, but {rule}",
            "remove the contents, or nix.only_store",
            edit("Build a whole system instead", ("nix.only_store", False)),
        )
    if settings.nix.config_file:
        yield error(
            "only-store-config",
            "nix.config_file",
            f"is {show(settings.nix.config_file)}, but {rule}",
            "leave it out",
            edit("Leave the configuration out", ("nix.config_file", None)),
        )
    if settings.nix.install_boot_loader:
        said = spec.nix.install_boot_loader is not None
        yield error(
            "only-store-loader",
            "nix.install_boot_loader",
            f"is true{'' if said else ' by default'}, but {rule}",
            "set it to false",
            edit("Install no boot loader", ("nix.install_boot_loader", False)),
        )
    if settings.boot.loader not in {"none", "nixos"}:
        yield error(
            "only-store-loader",
            "boot.loader",
            f"is {show(settings.boot.loader)}, but {rule}",
            'set it to "none"',
            edit("Install no boot loader", ("boot.loader", "none")),
        )


def _layout(_: ImageSpec, settings: Settings) -> Iterator[Problem]:
    rules = settings.rules
    if rules.layouts and settings.layout.table not in rules.layouts:
        newer = "make-disk-image-25.11"
        known = settings.layout.table in RULES[newer].layouts
        yield error(
            "compat-layout",
            "layout.table",
            f"is {show(settings.layout.table)}, which {rules.title} does not have",
            f'compat = "{newer}" has it' if known else 'take compat = "none"',
            edit(f"Take {newer}" if known else "Take Diskwright's own rules",
                 ("compat", newer if known else "none")),
        )  # fmt: skip


def _one_sector_size(_: ImageSpec, settings: Settings) -> Iterator[Problem]:
    if settings.rules.sector_size not in {None, settings.layout.sector_size}:
        yield error(
            "compat-sector-size",
            "layout.sector_size",
            f"is {settings.layout.sector_size}; make-disk-image knows sectors of 512 bytes only",
            'take compat = "none" for other sectors',
            edit("Use 512", ("layout.sector_size", 512)),
        )


def _containers(spec: ImageSpec, _: Settings) -> Iterator[Problem]:
    """Keys of a container image where there is none, and a unit where nothing reads it."""
    for index, entry in enumerate(spec.contents):
        path = f"contents[{index}]"
        given = {"image": entry.image, "platform": entry.platform, "service": entry.service}
        if entry.extract != "oci":
            for name in (name for name, value in given.items() if value is not None):
                yield error(
                    "needs-container-image",
                    f"{path}.{name}",
                    'is for container images, and extract is not "oci"',
                    "set it, or remove the key",
                    edit("Take the source for a container image", (f"{path}.extract", "oci")),
                )
        elif entry.partition == "esp":
            yield error(
                "container-on-esp",
                f"{path}.partition",
                "is the ESP; FAT cannot keep the links, owners and modes of a container image",
                "put it into the root",
                edit("Put it into the root", (f"{path}.partition", "root")),
            )
