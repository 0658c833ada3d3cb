"""Starting points: a spec each, all defaults valid."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import tomlkit

from engine.disk.presets import PRESETS
from engine.spec.keys import KEYS
from engine.spec.model import SCHEMA, ImageSpec, Layout, Nix, Output
from engine.spec.schema import DIRECTIVE


@dataclass(frozen=True, slots=True)
class Starter:
    """A starting point of the wizard; it builds as it stands, and the loader is chosen later.

    Attributes:
        key: Stable identifier.
        title: As a list shows it.
        summary: What one gets, in a sentence.
    """

    key: str
    title: str
    summary: str
    spec: ImageSpec


_TABLE = (
    Starter(
        "uefi-disk",
        "UEFI disk",
        "A disk for UEFI machines and virtual machines: an EFI system partition and a root.",
        ImageSpec(layout=Layout(table="efi")),
    ),
    Starter(
        "bios-disk",
        "BIOS disk",
        "A disk for old machines and simple clouds: one partition behind an MBR.",
        ImageSpec(layout=Layout(table="legacy")),
    ),
    Starter(
        "hybrid-stick",
        "Hybrid stick",
        "One image that boots under BIOS and UEFI alike, once GRUB is chosen.",
        ImageSpec(name="stick", layout=Layout(table="hybrid")),
    ),
    Starter(
        "bare-filesystem",
        "Bare file system",
        "No partitions: a root file system to mount, or for a virtual machine with its own kernel.",
        ImageSpec(name="root", layout=Layout(table="none")),
    ),
    Starter(
        "nix-store",
        "Nix store image",
        "A Nix store alone, as a volume to mount at /nix/store.",
        ImageSpec(
            name="nix-store",
            layout=Layout(table="none"),
            nix=Nix(only_store=True),
        ),
    ),
    Starter(
        "make-disk-image",
        "Like make-disk-image",
        "nixpkgs' make-disk-image to the sector: its figures, defaults and output names.",
        ImageSpec(compat="make-disk-image", output=Output(format="qcow2")),
    ),
)

STARTERS = {preset.key: preset for preset in _TABLE}

_VALUE = re.compile(r'"[^"]*"|[0-9]+')
_COMMENTED = (
    "layout.filesystem",
    "layout.label",
    "size.disk",
    "size.additional",
    "size.boot",
    "boot.loader",
    "boot.cmdline",
    "output.format",
)
"""What a first spec shows, each commented out with its default."""


def commented(table: str, name: str, sources: Sequence[str] = ()) -> str:
    """Returns a spec to begin with, as TOML: what is usually changed, with what each key is for.

    Args:
        table: Key of `engine.disk.presets.PRESETS`.
        name: Of the build.
        sources: Folders, relative to where the spec will be, whose contents go to the root.
    """
    preset = PRESETS[table]
    lines = [
        DIRECTIVE,
        f"# {preset.title}: {preset.summary}",
        "# A key behind a # has the value that is shown. docs/spec.md has all keys.",
        f"schema = {SCHEMA}",
        f"name = {_text(name)}",
    ]
    section = ""
    for path in ("layout.table", *_COMMENTED):
        if path == "size.boot" and not preset.has("esp"):
            continue
        head, key = path.split(".")
        if head != section:
            lines += ["", f"[{head}]"]
            section = head
        if path == "layout.table":
            lines.append(f"table = {_text(table)}")
            continue
        entry = KEYS[path]
        lines += (f"# {line}" for line in textwrap.wrap(entry.summary, 90))
        # A default that depends on other keys begins with the usual one.
        usual = _VALUE.match(entry.default)
        lines.append(f"# {key} = {usual[0] if usual else entry.default}")
    for source in sources:
        lines += ["", "[[contents]]", f"source = {_text(source)}", 'target = "/"']
    if not sources:
        lines += ["", "# [[contents]]", '# source = "rootfs/"', '# target = "/"']
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """Returns a text as TOML writes it."""
    return tomlkit.string(value).as_string()
