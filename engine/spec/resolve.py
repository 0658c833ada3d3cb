"""From a spec to Settings: every default filled in, every unit resolved, every rule checked."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from engine.disk.presets import PRESETS
from engine.disk.subvolumes import Subvolume
from engine.problem import Problem, errors
from engine.spec import combinations, identity, values
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.identity_values import MAX_EPOCH
from engine.spec.installable import STORE_WORDS, absolute
from engine.spec.model import Content, ImageSpec, VolumeEntry
from engine.spec.paths import home, parse_path, replace_at
from engine.spec.refusals import error
from engine.spec.rules import RULES, Rules
from engine.spec.settings import (
    BootSettings,
    ContentSettings,
    HooksSettings,
    IdentitySettings,
    LayoutSettings,
    NixSettings,
    OutputSettings,
    Settings,
    SizeSettings,
    VmSettings,
    VolumeSettings,
)
from engine.spec.texts import shorten
from engine.units import KIB, MIB, ceil_to, format_exact, parse_size

EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"

_STORE_LABEL = "nix-store"
_EXPECT = "login:"
_TIMEOUT = 180
_MEMORY_MIB = 1024
ESP_OF_4K_SECTORS = 257 * MIB
"""The smallest ESP that FAT32 fits on with sectors of 4096 bytes, where clusters are as large."""


def resolve(
    spec: ImageSpec,
    base: Path,
    env: Mapping[str, str],
    *,
    draw_seed: Callable[[], str] = identity.random_seed,
) -> tuple[Settings, tuple[Problem, ...]]:
    """Fills in every default and checks every rule. Never raises.

    A value that is wrong counts as missing, so that there are Settings to show whatever the
    problems; an entry without a usable source or target is left out.

    Args:
        spec: As authored.
        base: Folder that relative paths start from.
        env: The environment; its SOURCE_DATE_EPOCH wins over the spec's.
        draw_seed: Called for a fresh seed where the spec asks for random identifiers.
    """
    problems = list(values.check(spec))
    wrong = {problem.path for problem in errors(problems)}
    sound = _without(spec, wrong)
    epoch, epoch_problems = _epoch(sound, env)
    settings = _settings(sound, base, epoch=epoch, draw_seed=draw_seed, wrong=wrong)
    problems += epoch_problems
    problems += combinations.check(spec, settings)
    return settings, tuple(problems)


def _required(path: str) -> bool:
    of_content = path.startswith("contents[") and path.endswith((".source", ".target"))
    return of_content or (path.startswith("volume[") and path.endswith(".id"))


def _without(spec: ImageSpec, wrong: Iterable[str]) -> ImageSpec:
    """Returns the spec with the wrong values left out; a required one stays."""
    for path in wrong:
        steps = parse_path(path)
        if steps and not _required(path):
            # A wrong pattern takes its whole list along: removing it would shift the others.
            last, _ = steps[-1]
            spec = replace_at(spec, (*steps[:-1], (last, None)), None)
    return spec


def _epoch(spec: ImageSpec, env: Mapping[str, str]) -> tuple[int | None, list[Problem]]:
    """Returns the time that was given, if any, and what is wrong with the environment's."""
    given = spec.identity.source_date_epoch or None
    text = env.get(EPOCH_VARIABLE, "")
    if not text:
        return given, []
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_EPOCH))
    if digits and int(text) <= MAX_EPOCH:
        return int(text), []
    problem = error(
        "bad-epoch",
        "identity.source_date_epoch",
        f'{EPOCH_VARIABLE} in the environment is "{text}", but must be digits, 0 to {MAX_EPOCH}',
        "unset it, or set it to seconds since 1970",
    )
    return given, [problem]


def _settings(
    spec: ImageSpec,
    base: Path,
    *,
    epoch: int | None,
    draw_seed: Callable[[], str],
    wrong: set[str],
) -> Settings:
    rules = RULES[spec.compat or "none"]
    layout, boot, nix, output = spec.layout, spec.boot, spec.nix, spec.output
    name = spec.name or rules.name
    only_store = bool(nix.only_store)
    filesystem = layout.filesystem or "ext4"
    label = layout.label or (_STORE_LABEL if only_store else rules.label)
    deterministic = spec.identity.deterministic is not False
    seed = (spec.identity.seed or identity.seed_for(name)) if deterministic else draw_seed()
    identifiers = _identifiers(spec, seed, constants=rules.constant_identifiers and deterministic)
    additional_text, additional_bytes = _additional(spec, rules)
    boot_text, boot_bytes = _boot_size(spec, rules)
    disk = spec.size.disk
    initrds = _listed(boot.initrd)
    install_default = rules.installs_loader or not only_store
    install = install_default if nix.install_boot_loader is None else nix.install_boot_loader
    return Settings(
        name=name,
        compat=rules.key,
        layout=LayoutSettings(
            table=layout.table or rules.table,
            filesystem=filesystem,
            label=shorten(label, FILESYSTEMS[filesystem].label_bytes),
            sector_size=layout.sector_size or 512,
            fstab=layout.fstab or "auto",
            pmbr_boot=bool(layout.pmbr_boot),
        ),
        size=SizeSettings(
            disk=_disk_size(disk, layout.sector_size or 512, rules),
            additional=additional_bytes,
            additional_text=additional_text,
            inodes=spec.size.inodes,
            grow_to=_size(spec.size.grow_to),
            boot=boot_bytes,
            boot_text=boot_text,
        ),
        boot=BootSettings(
            loader=_loader(spec, rules, install=install, only_store=only_store),
            kernel=boot.kernel or "",
            kernel_file=_path(boot.kernel, base),
            initrds=initrds,
            initrd_files=tuple(_path(text, base) for text in initrds),
            cmdline=rules.cmdline if boot.cmdline is None else boot.cmdline,
            efi_variables=bool(boot.efi_variables),
            firmware=_path(boot.firmware, base),
            firmware_variables=_path(boot.firmware_variables, base),
            prove=bool(boot.prove),
            expect=boot.expect or _EXPECT,
            timeout=boot.timeout or _TIMEOUT,
        ),
        volume_entries=tuple(
            _volume(index, entry, base)
            for index, entry in enumerate(spec.volume)
            if entry.id and f"volume[{index}].id" not in wrong
        ),
        contents=tuple(
            _content(index, entry, base)
            for index, entry in enumerate(spec.contents)
            if not {f"contents[{index}].source", f"contents[{index}].target"} & wrong
        ),
        nix=NixSettings(
            system=absolute(nix.system, base) if nix.system else "",
            store=_store(nix.store, base),
            additional_paths=nix.additional_paths,
            only_store=only_store,
            copy_channel=_path(nix.copy_channel, base),
            config_file=_path(nix.config_file, base),
            install_boot_loader=install,
        ),
        output=OutputSettings(
            stem=output.name or rules.stem or name,
            format=output.format or "raw",
            compress=output.compress or "none",
            keep_raw=output.keep_raw is not False,
            bmap=bool(output.bmap),
            sbom=output.sbom is not False,
            sums=_listed(output.sums) or ("auto",),
            sign=output.sign,
        ),
        identity=IdentitySettings(
            deterministic=deterministic,
            seed=seed,
            disk_guid=identifiers[0],
            disk_signature=(spec.identity.disk_signature or "").lower(),
            root_partition_guid=identifiers[1],
            root_filesystem_uuid=identifiers[2],
            source_date_epoch=epoch or 0,
            clamp_times=epoch is not None,
        ),
        hooks=HooksSettings(after_build=spec.hooks.after_build or ""),
        vm=VmSettings(memory_mib=spec.vm.memory or _MEMORY_MIB),
    )


def _identifiers(spec: ImageSpec, seed: str, *, constants: bool) -> tuple[str, str, str]:
    """Returns disk GUID, root partition GUID and root file system UUID."""
    given = spec.identity
    if constants:
        disk = given.disk_guid or identity.REFERENCE_DISK_GUID
        root = given.root_partition_guid or identity.ROOT_PARTITION_GUID
        filesystem = given.root_filesystem_uuid or root
    else:
        disk = given.disk_guid or str(identity.derive(seed, "disk"))
        root = given.root_partition_guid or str(identity.derive(seed, "partition/root"))
        filesystem = given.root_filesystem_uuid or str(identity.derive(seed, "filesystem/root"))
    return disk.upper(), root.upper(), filesystem.lower()


def _additional(spec: ImageSpec, rules: Rules) -> tuple[str, int]:
    """Returns `size.additional` as written and in bytes."""
    value = spec.size.additional
    text = rules.additional if value is None else str(value)
    try:
        return text, parse_size(text)
    except ValueError:
        return rules.additional, parse_size(rules.additional)


def _disk_size(value: int | str | None, sector_size: int, rules: Rules) -> int | None:
    """Returns the bytes of a disk of fixed size, up to whole sectors where they are not."""
    if value is None or value == "auto":
        return None
    size = parse_size(value, bare=MIB)
    return ceil_to(size, MIB) if size % (MIB if rules.whole_mib else sector_size) else size


def _boot_size(spec: ImageSpec, rules: Rules) -> tuple[str, int]:
    """Returns `size.boot` as written, and in bytes where our own grammar can read it.

    Our own rules take it up to what FAT counts in.
    """
    value = spec.size.boot
    sector_size = spec.layout.sector_size or 512
    if rules.boot_is_end and isinstance(value, int):
        return format_exact(value), value
    text = rules.boot if value is None else str(value)
    try:
        size = parse_size(text)
    except ValueError:
        return text, parse_size(rules.boot)
    if rules.boot_is_end:
        return text, size
    if value is None and sector_size == 4096:
        return format_exact(ESP_OF_4K_SECTORS), ESP_OF_4K_SECTORS
    whole = ceil_to(size, MIB) if size % max(sector_size, KIB) else size
    return format_exact(whole) if isinstance(value, int) else text, whole


def _loader(spec: ImageSpec, rules: Rules, *, install: bool, only_store: bool) -> str:
    """Returns the loader to install; the system's own only where there is a system."""
    given = spec.boot.loader
    if given is None:
        wanted = rules.installs_loader and install and not only_store
        table = spec.layout.table or rules.table
        # What the system's own installer cannot do without a virtual machine, ours can.
        fitting = "nixos" if table in PRESETS and PRESETS[table].has("esp") else "grub"
        given = fitting if wanted and spec.nix.system and table != "none" else "none"
    return "none" if given == "nixos" and not spec.nix.system else given


def _store(text: str | None, base: Path) -> str:
    """Returns a store as nix's --store takes it; all but a word or URL of nix is a folder."""
    known = not text or text in STORE_WORDS or "?" in text or "://" in text
    return text or "" if known else _path(text, base)


def _listed(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Returns the texts of a key that takes one or a list."""
    return tuple(filter(None, (value,) if isinstance(value, str) else value or ()))


def _path(text: str | None, base: Path) -> str:
    return str(base.absolute() / home(text)) if text else ""


def _size(value: int | str | None) -> int | None:
    return None if value is None else parse_size(value)


def _volume(index: int, entry: VolumeEntry, base: Path) -> VolumeSettings:
    return VolumeSettings(
        path=f"volume[{index}]",
        id=entry.id,
        role=entry.role,
        format=entry.format,
        mount=entry.mount,
        size=_size(entry.size),
        free=_size(entry.free),
        grow=entry.grow,
        min=_size(entry.min),
        label=entry.label,
        uuid=entry.uuid or "",
        guid=entry.guid or "",
        name=entry.name,
        type=entry.type or "",
        flags=entry.flags,
        compression=entry.compression or "",
        subvolumes=tuple(map(Subvolume.parsed, entry.subvolumes)),
        default_subvolume=(entry.default_subvolume or "").strip("/"),
        source=_path(entry.source, base),
        offset=_size(entry.offset),
        verity=entry.verity or "",
        key=_path(entry.key, base),
        certificate=_path(entry.certificate, base),
        after=entry.after or "",
    )


def _content(index: int, entry: Content, base: Path) -> ContentSettings:
    target = posixpath.normpath(f"/{entry.target.lstrip('/')}")
    return ContentSettings(
        index=index,
        source=base.absolute() / home(entry.source),
        target=os.fsencode(target),
        mode=entry.mode or "",
        user="" if entry.user is None else str(entry.user),
        group="" if entry.group is None else str(entry.group),
        extract="oci" if entry.extract == "oci" else bool(entry.extract),
        exclude=entry.exclude,
        replace=bool(entry.replace),
        into=entry.target.endswith(("/", "/.")),
        image=entry.image or "",
        platform=entry.platform or "",
        service=(entry.service or "").removesuffix(".service"),
        volume=entry.volume or entry.partition or "",
    )
