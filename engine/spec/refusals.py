"""The problems that several rules of a spec have words for."""

from __future__ import annotations

from engine.problem import Fix, Problem, Scalar
from engine.spec.shape import nearest, show

_OTHER_NAMES = {
    "img": "raw", "dd": "raw", "vhd": "vpc", "vhd-fixed": "vpc-fixed", "virtualbox": "vdi",
    "msdos": "mbr", "dos": "mbr", "bios": "legacy", "uefi": "efi", "gzip": "gz", "zstd": "zst",
    "lzma": "xz", "fat": "vfat", "fat16": "vfat", "fat32": "vfat", "linux-swap": "swap",
    "efi": "esp", "bios_grub": "bios-boot", "biosboot": "bios-boot", "sd-boot": "systemd-boot",
    "gummiboot": "systemd-boot", "grub-efi": "grub", "readonly": "read-only", "ro": "read-only",
    "growfs": "grow-file-system", "noauto": "no-auto", "bootable": "legacy-boot",
    "active": "legacy-boot", "boot": "legacy-boot",
}  # fmt: skip
"""What other tools call a choice."""


def error(code: str, path: str, message: str, hint: str = "", fix: Fix | None = None) -> Problem:
    """Returns a problem that refuses the build."""
    return Problem(code, "error", path, message, hint, fix)


def edit(label: str, *edits: tuple[str, Scalar]) -> Fix:
    """Returns the fix that makes these edits."""
    return Fix(label, edits)


def warning(code: str, path: str, message: str, hint: str = "") -> Problem:
    """Returns a problem that does not keep the image from being built."""
    return Problem(code, "warning", path, message, hint)


def bad_choice(path: str, value: str | int, choices: tuple[str | int, ...]) -> Problem:
    """Returns the problem of a value that is not one of a key's choices."""
    listed = ", ".join(show(choice) for choice in choices)
    by_text = {str(choice): choice for choice in choices}
    other = _OTHER_NAMES.get(str(value).lower())
    near = other if other in by_text else nearest(str(value), by_text)
    fix = edit(f"Take {near}", (path, by_text[near])) if near else None
    hint = f"did you mean {show(by_text[near])}?" if near else ""
    return error("bad-choice", path, f"is {show(value)}, but must be one of {listed}", hint, fix)
