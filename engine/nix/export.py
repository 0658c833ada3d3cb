"""A spec as a call of nixpkgs' make-disk-image that yields the same image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.nix.values import TOPLEVEL, Buildable, Import, Opaque, Path, Value, show
from engine.problem import Problem
from engine.spec.formats import FORMATS
from engine.spec.given import general, given
from engine.spec.installable import Flake, parse
from engine.spec.keys import KEYS
from engine.spec.model import ImageSpec
from engine.spec.settings import ContentSettings, Settings
from engine.spec.shape import show as show_toml
from engine.units import MIB, ceil_to, in_bytes

_ESP_START = 8 * MIB
"""Where the reference's ESP begins; its `bootSize` is the offset at which it ends."""
_MEGABYTE = 10**6

_HEAD = """\
# An image with nixpkgs' make-disk-image: nix-build {file}
{{ nixpkgs ? <nixpkgs>, pkgs ? import nixpkgs {{ }}, ... }}:
import (pkgs.path + "/nixos/lib/make-disk-image.nix") """

# Keys that say the same of an image whatever the rules, or that only `compat` explains.
_SILENT = {"schema", "compat", "nix.store"}
_OTHER_LOADERS = ("grub", "systemd-boot", "uki")


@dataclass(frozen=True, slots=True)
class Exported:
    """A call of make-disk-image.

    Attributes:
        arguments: By name, those that differ from its defaults or were given.
        notes: Keys of the spec that it has no argument for.
    """

    arguments: dict[str, Value]
    notes: tuple[Problem, ...]

    def source(self, file: str = "image.nix") -> str:
        """Returns the call as a Nix file.

        Args:
            file: What it will be called, for its comment.
        """
        notes = "".join(f"# not carried over: {note.line()}\n" for note in self.notes)
        arguments = {"pkgs": Opaque("pkgs"), "lib": Opaque("pkgs.lib")} | self.arguments
        call = show(arguments)
        return f"{notes}{_HEAD.format(file=file)}{call}\n"


def export(spec: ImageSpec, settings: Settings) -> Exported:
    """Returns the call that stands for a spec.

    Args:
        spec: As authored.
        settings: The same, resolved.
    """
    arguments = dict(_arguments(spec, settings))
    return Exported(arguments, tuple(_notes(spec, settings)))


def _arguments(spec: ImageSpec, settings: Settings) -> Iterator[tuple[str, Value]]:
    """Yields what was said; without compat also what Diskwright has by default otherwise."""
    ours = not settings.rules.argument_defaults
    layout, boot, nix, identity = spec.layout, spec.boot, spec.nix, spec.identity
    yield "config", _config(settings)
    if spec.name is not None or ours:
        yield "name", settings.name
    if layout.table is not None or ours:
        yield "partitionTableType", settings.layout.table
    if layout.filesystem is not None:
        yield "fsType", settings.layout.filesystem
    if layout.label is not None or ours:
        yield "label", settings.layout.label
    yield from _sizes(spec, settings)
    if spec.contents:
        yield "contents", [_content(content) for content in settings.contents]
    yield from _loader(spec, settings)
    if boot.efi_variables is not None:
        yield "touchEFIVars", settings.boot.efi_variables
    if settings.boot.firmware:
        yield "efiFirmware", Path(settings.boot.firmware)
    if settings.boot.firmware_variables:
        yield "efiVariables", Path(settings.boot.firmware_variables)
    if settings.nix.additional_paths:
        yield "additionalPaths", [Buildable(path) for path in settings.nix.additional_paths]
    if nix.only_store is not None:
        yield "onlyNixStore", settings.nix.only_store
    if settings.nix.copy_channel:
        yield "pkgs", Import(settings.nix.copy_channel)
    yield "copyChannel", bool(settings.nix.copy_channel)
    if settings.nix.config_file:
        yield "configFile", Path(settings.nix.config_file)
    if spec.output.format is not None and FORMATS[settings.output.format].reference:
        yield "format", settings.output.format
    if identity.deterministic is not None:
        yield "deterministic", settings.identity.deterministic
    if identity.root_partition_guid or ours:
        yield "rootGPUID", settings.identity.root_partition_guid
    if identity.root_filesystem_uuid or ours:
        yield "rootFSUID", settings.identity.root_filesystem_uuid
    if settings.hooks.after_build:
        yield "postVM", settings.hooks.after_build
    if spec.vm.memory is not None:
        yield "memSize", settings.vm.memory_mib


def _sizes(spec: ImageSpec, settings: Settings) -> Iterator[tuple[str, Value]]:
    size, ours = spec.size, not settings.rules.argument_defaults
    if settings.size.disk is not None:
        yield "diskSize", settings.size.disk // MIB
    elif size.disk is not None:
        yield "diskSize", "auto"
    if size.additional is not None or ours:
        text = str(settings.size.additional) if ours else settings.size.additional_text
        yield "additionalSpace", text
    if ours and settings.layout.table in {"efi", "hybrid"}:
        end = ceil_to(_ESP_START + settings.size.boot, _MEGABYTE) // _MEGABYTE
        yield "bootSize", f"{end}M"
    elif size.boot is not None and not ours:
        yield "bootSize", settings.size.boot_text


def _loader(spec: ImageSpec, settings: Settings) -> Iterator[tuple[str, Value]]:
    """Whether the system's own loader is installed; no other can be."""
    if not settings.rules.argument_defaults:
        yield "installBootLoader", settings.boot.loader == "nixos"
    elif spec.nix.install_boot_loader is not None:
        yield "installBootLoader", settings.nix.install_boot_loader
    elif spec.boot.loader not in {None, "nixos"}:
        yield "installBootLoader", False


def _config(settings: Settings) -> Value:
    """Returns the NixOS configuration, or as much of one as make-disk-image looks at."""
    if not settings.nix.system:
        return Opaque('(import (pkgs.path + "/nixos") { configuration = { }; }).config')
    toplevel = Buildable(settings.nix.system)
    whole = settings.nix.system.removesuffix(f".{TOPLEVEL}")
    if isinstance(parse(settings.nix.system), Flake) and whole != settings.nix.system:
        return Buildable(f"{whole}.config")
    installer = '(import (pkgs.path + "/nixos") { configuration = { }; }).config.system.build'
    return {
        "system": {
            "build": {
                "toplevel": toplevel,
                "nixos-install": Opaque(f"{installer}.nixos-install"),
                "nixos-enter": Opaque(f"{installer}.nixos-enter"),
            },
            "nixos": {"version": "unknown", "versionSuffix": ""},
        },
        "boot": {"loader": {"grub": {"enable": False, "device": "/dev/vda"}}},
    }


def _content(content: ContentSettings) -> Value:
    entry: dict[str, Value] = {
        "source": Path(str(content.source)),
        "target": content.target.decode("utf-8", "surrogateescape"),
    }
    for name in ("mode", "user", "group"):
        text: str = getattr(content, name)
        if text:
            entry[name] = text
    return entry


def _notes(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Yields what the call cannot say."""
    if not settings.rules.argument_defaults:
        yield _note(
            "compat", 'is "none"',
            "partitions, identifiers and sizes will be make-disk-image's own",
        )  # fmt: skip
    if not FORMATS[settings.output.format].reference:
        yield _note(
            "output.format", f'is "{settings.output.format}"',
            "make-disk-image does not make that; it will be raw",
        )  # fmt: skip
    for path, value in given(spec, ""):
        known = KEYS.get(general(path))
        if path in _SILENT or known is None or known.argument:
            continue
        if path == "boot.loader" and value not in _OTHER_LOADERS:
            continue
        yield _note(path, f"is {show_toml(value)}", "make-disk-image has no argument for it")
    if settings.size.disk is not None and settings.size.disk % MIB:
        reason = "make-disk-image counts whole MiB"
        yield _note("size.disk", f"is {in_bytes(settings.size.disk)}", reason)


def _note(path: str, what: str, why: str) -> Problem:
    return Problem("not-carried-over", "warning", path, what, why)
