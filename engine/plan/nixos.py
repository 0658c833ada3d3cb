"""The NixOS system's own boot loader installer: the commands that run it without root.

As nixpkgs' nixos-enter does it: the system is activated, then told to install its loader, in a
root of its own. Here that root is a folder with the store bound into it, in a user namespace
(bwrap(1)), and what it puts into /boot becomes the contents of the ESP.
"""

from __future__ import annotations

from engine.spec.settings import Settings

ROOT = "$ROOT"
"""Stands for the folder that is the installer's root."""

_PROFILE = "/nix/var/nix/profiles/system"
_PATH = "/run/current-system/sw/bin:/run/current-system/sw/sbin"
_ENVIRONMENT = (
    ("PATH", _PATH),
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
    ("NIXOS_INSTALL_BOOTLOADER", "1"),
    # bootctl takes only a mounted FAT for an ESP, and this one is filled later (bootctl(1)).
    ("SYSTEMD_RELAX_ESP_CHECKS", "1"),
    ("SYSTEMD_RELAX_XBOOTLDR_CHECKS", "1"),
    # `nix-env --list-generations` reads the profile alone, yet opens the store to write.
    ("NIX_REMOTE", "dummy://"),
)


def commands(settings: Settings) -> tuple[tuple[str, ...], ...]:
    """Returns the commands: activation, which may fail, then the installer."""
    return tuple(
        (*_sandbox(settings), *command)
        for command in (
            (f"{_PROFILE}/activate",),
            (f"{_PROFILE}/bin/switch-to-configuration", "boot"),
        )
    )


def _sandbox(settings: Settings) -> tuple[str, ...]:
    epoch = str(settings.source_date_epoch)
    variables = (*_ENVIRONMENT, ("SOURCE_DATE_EPOCH", epoch))
    return (
        "bwrap", "--unshare-all", "--unshare-user", "--die-with-parent",
        # Root, and able to do what root does, over this namespace alone.
        "--uid", "0", "--gid", "0", "--cap-add", "ALL",
        "--bind", ROOT, "/", "--ro-bind", settings.nix_folder, "/nix/store",
        "--dev", "/dev", "--proc", "/proc", "--chdir", "/", "--clearenv",
        *(word for name, value in variables for word in ("--setenv", name, value)),
    )  # fmt: skip
