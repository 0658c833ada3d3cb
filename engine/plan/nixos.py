"""The NixOS system's own boot loader installer: the commands that run it without root.

As nixpkgs' nixos-enter does it: the system is activated, then told to install its loader, in a
root of its own. Here that root is a folder with the store bound into it, in a user namespace
(bwrap(1)), and what it puts into a place where FAT is mounted later goes there. Where it needs a
disk, or /boot is not FAT, it runs in a virtual machine, on the image itself.
"""

from __future__ import annotations

from engine.boot import guest, installer_mounts
from engine.boot.qemu import Accelerator
from engine.filesystems.driver import FilesystemPlan, Request
from engine.filesystems.table import DRIVERS
from engine.manifest.manifest import Manifest
from engine.plan.model import Plan

IMAGE = "$IMAGE"
"""Stands for the raw image in the making."""
ROOT = "$ROOT"
"""Stands for the folder that is the installer's root."""
KERNEL, INITRD, STATUS = "$GUEST_KERNEL", "$GUEST_INITRD", "$GUEST_STATUS"
"""Stand for the virtual machine's kernel and initrd, and for the file of its last word."""

_PROFILE = "/nix/var/nix/profiles/system"
_SWITCH = (f"{_PROFILE}/bin/switch-to-configuration", "boot")
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


def refitted(plan: Plan, planned: FilesystemPlan, manifest: Manifest) -> FilesystemPlan:
    """Returns a planned file system with other contents, whether or not it holds them.

    Raises:
        engine.filesystems.driver.DoesNotFit: Never for one that was planned.
    """
    request = Request(
        manifest=manifest,
        label=planned.label,
        uuid=planned.uuid,
        sector_size=plan.disk.sector_size,
        tool_defaults=plan.settings.rules.mke2fs_defaults,
    )
    return DRIVERS[planned.type].fit(request, planned.size)


def commands(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Returns the commands: activation, which may fail, then the installer."""
    return tuple(
        (*_sandbox(plan), *command)
        for command in (
            (f"{_PROFILE}/activate",),
            _SWITCH,
        )
    )


def _sandbox(plan: Plan) -> tuple[str, ...]:
    return (
        "bwrap", "--unshare-all", "--unshare-user", "--die-with-parent",
        # Root, and able to do what root does, over this namespace alone.
        "--uid", "0", "--gid", "0", "--cap-add", "ALL",
        "--bind", ROOT, "/", "--ro-bind", plan.nix.folder, "/nix/store",
        "--dev", "/dev", "--proc", "/proc", "--chdir", "/", "--clearenv",
        *(
            word
            for name, value in _environment(plan).items()
            for word in ("--setenv", name, value)
        ),
    )  # fmt: skip


def _environment(plan: Plan) -> dict[str, str]:
    return {**dict(_ENVIRONMENT), "SOURCE_DATE_EPOCH": str(plan.identity.epoch)}


def folders(plan: Plan) -> tuple[installer_mounts.Mount, ...]:
    """Returns the volumes that the installer finds mounted as folders, parents first."""
    return tuple(one for one in installer_mounts.mounts(plan.settings) if one.is_folder)


def guest_commands(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """Returns the command that runs the installer in a virtual machine, by emulation."""
    return (guest_command(plan, accelerator="tcg"),)


def guest_command(plan: Plan, *, accelerator: Accelerator, probe: bool = False) -> tuple[str, ...]:
    """Returns the command that runs the virtual machine; see `engine.boot.guest.machine`."""
    return guest.machine(
        memory_mib=plan.memory_mib, epoch=plan.identity.epoch,
        sector_size=plan.disk.sector_size, image=IMAGE, kernel=KERNEL,
        initrd=INITRD, status=STATUS, accelerator=accelerator, probe=probe,
    )  # fmt: skip


def guest_init(plan: Plan) -> bytes:
    """Returns what the virtual machine does; see `engine.boot.guest.init`."""
    assert plan.boot.guest is not None
    return guest.init(
        mounts=plan.boot.guest.mounts, system=plan.nix.system, command=_SWITCH,
        environment=_environment(plan),
    )  # fmt: skip


def written(plan: Plan) -> frozenset[str]:
    """Returns the ids of the volumes that the system's own installer may write to."""
    if plan.boot.loader != "nixos":
        return frozenset()
    if plan.boot.guest is None:
        return frozenset(mount.volume for mount in folders(plan))
    return frozenset(mount.volume for mount in plan.boot.guest.mounts if mount.writable)
