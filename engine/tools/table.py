"""The programs a build may run, as data: what each is for and which package has it.

`doctor`, the preflight and the manual read this table. Minimum versions are those whose options
the commands of `engine.plan.steps` use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Distribution = Literal["debian", "fedora", "arch", "nix"]

DISTRIBUTIONS: tuple[Distribution, ...] = ("debian", "fedora", "arch", "nix")
INSTALL_COMMANDS: dict[Distribution, str] = {
    "debian": "apt-get install",
    "fedora": "dnf install",
    "arch": "pacman -S",
    "nix": "nix-shell -p",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One program.

    Attributes:
        name: Of the executable.
        purpose: What is lost without it, as "needed to ...".
        packages: Package by distribution, in the order of `DISTRIBUTIONS`.
        version: Arguments that make it print its version and do nothing else.
        minimum: Oldest version that works, as numbers; empty where any does.
    """

    name: str
    purpose: str
    packages: tuple[str, str, str, str]
    version: tuple[str, ...] = ("--version",)
    minimum: tuple[int, ...] = ()

    def package(self, distribution: Distribution) -> str:
        """Returns the package that has it."""
        return self.packages[DISTRIBUTIONS.index(distribution)]


_E2FSPROGS = ("e2fsprogs", "e2fsprogs", "e2fsprogs", "e2fsprogs")
_SQUASHFS = ("squashfs-tools-ng", "squashfs-tools-ng", "squashfs-tools-ng", "squashfs-tools-ng")
_XFSPROGS = ("xfsprogs", "xfsprogs", "xfsprogs", "xfsprogs")
_BTRFS = ("btrfs-progs", "btrfs-progs", "btrfs-progs", "btrfs-progs")
_DOSFSTOOLS = ("dosfstools", "dosfstools", "dosfstools", "dosfstools")

_TABLE = (
    Tool(
        name="mke2fs",
        purpose="make the root file system",
        packages=_E2FSPROGS,
        version=("-V",),
        minimum=(1, 45),
    ),
    Tool(
        name="e2fsck",
        purpose="check the root file system",
        packages=_E2FSPROGS,
        version=("-V",),
        minimum=(1, 45),
    ),
    Tool(
        name="resize2fs",
        purpose="make a finished image larger",
        packages=_E2FSPROGS,
    ),
    Tool(
        name="sfdisk",
        purpose="set the identifiers of partitions",
        packages=("fdisk", "util-linux", "util-linux", "util-linux"),
        minimum=(2, 34),
    ),
    Tool(
        name="fsck.fat",
        purpose="check the EFI system partition",
        packages=_DOSFSTOOLS,
        version=("-n", "/dev/null"),  # it says which it is before it finds no file system there
    ),
    Tool(
        name="qemu-img",
        purpose="convert the image",
        packages=("qemu-utils", "qemu-img", "qemu-img", "qemu-utils"),
        minimum=(5, 1),
    ),
    Tool(
        name="tar2sqfs",
        purpose="make a squashfs",
        packages=(
            "squashfs-tools-ng",
            "squashfs-tools-ng",
            "squashfs-tools-ng",
            "squashfs-tools-ng",
        ),
        minimum=(1, 0),
    ),
    Tool(
        name="mkfs.xfs",
        purpose="make an XFS",
        packages=_XFSPROGS,
        version=("-V",),
        minimum=(5, 19),
    ),
    Tool(
        name="xfs_repair",
        purpose="check an XFS",
        packages=_XFSPROGS,
        version=("-V",),
    ),
    Tool(
        name="mkfs.btrfs",
        purpose="make a Btrfs",
        packages=_BTRFS,
        minimum=(5, 15),  # with the defaults of today: metadata twice, a tree of free space
    ),
    Tool(
        name="btrfs",
        purpose="check a Btrfs",
        packages=_BTRFS,
        minimum=(5, 15),
    ),
    Tool(
        name="zstd",
        purpose="unpack archives compressed with zstd",
        packages=("zstd", "zstd", "zstd", "zstd"),
    ),
    Tool(
        name="bash",
        purpose="run the after-build hook",
        packages=("bash", "bash", "bash", "bash"),
    ),
    Tool(
        name="qemu-system-x86_64",
        purpose="boot the image, or run a NixOS system's own installer on a disk",
        packages=("qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86", "qemu"),
    ),
    Tool(
        name="qemu-system-aarch64",
        purpose="boot an image for arm64",
        packages=(
            "qemu-system-arm",
            "qemu-system-aarch64-core",
            "qemu-system-aarch64",
            "qemu",
        ),
    ),
    Tool(
        name="grub-mkimage",
        purpose="install GRUB",
        packages=("grub-common", "grub2-tools", "grub", "grub2"),
    ),
    Tool(
        name="nix",
        purpose="install a NixOS system",
        packages=("nix-bin", "nix", "nix", "nix"),
        minimum=(2, 4),  # the first with `nix path-info --json` and flakes as features
    ),
    Tool(
        name="bwrap",
        purpose="run a NixOS system's own boot loader installer",
        packages=("bubblewrap", "bubblewrap", "bubblewrap", "bubblewrap"),
    ),
    Tool(
        name="veritysetup",
        purpose="check hash trees",
        packages=("cryptsetup-bin", "veritysetup", "cryptsetup", "cryptsetup"),
    ),
    Tool(
        name="openssl",
        purpose="sign hash trees",
        packages=("openssl", "openssl", "openssl", "openssl"),
        version=("version",),
    ),
    Tool(
        name="busybox",  # a static one: see engine.boot.guest
        purpose="run a NixOS system's own boot loader installer where it writes to a disk",
        packages=("busybox-static", "busybox", "busybox", "pkgsStatic.busybox"),
        version=("--help",),
    ),
)

TOOLS = {tool.name: tool for tool in _TABLE}


def install_hint(tool: Tool, distribution: Distribution | None) -> str:
    """Returns how to get a tool: one command where the distribution is known, else all four."""
    return packages_hint(tool.packages, distribution)


def packages_hint(packages: tuple[str, str, str, str], distribution: Distribution | None) -> str:
    """Returns how to get packages, given in the order of `DISTRIBUTIONS`."""
    by_name = dict(zip(DISTRIBUTIONS, packages, strict=True))
    if distribution is not None:
        return f"{INSTALL_COMMANDS[distribution]} {by_name[distribution]}"
    return ", ".join(f"{name}: {package}" for name, package in by_name.items())
