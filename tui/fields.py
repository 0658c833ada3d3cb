"""Every field of the form, as data: the panes, the help and the documentation read this table."""

from __future__ import annotations

from engine.plan.model import Plan
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.rules import RULES
from engine.spec.settings import Settings
from engine.units import format_exact, human, in_bytes
from tui.fieldspec import FieldSpec

OUTDIR = "outdir"
"""Key of the output folder: part of the session, not of the spec."""

DEFAULT_OUTDIR = "out"
"""Where outputs go unless the user says otherwise, below the folder the wizard was started in."""

_SWITCH = (("yes", "yes"), ("no", "no"))
_DIGITS = r"[0-9]*"
_GUID = r"[0-9A-Fa-f-]*"


def has_root(plan: Plan) -> bool:
    """Whether the plan got as far as a root file system."""
    return plan.has_root


def _bytes(size: int) -> str:
    return f"= {human(size)}, {in_bytes(size)}"


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _disk_echo(settings: Settings, plan: Plan | None) -> str:
    if settings.size.disk is None:
        return _bytes(plan.disk.bytes) if plan else ""
    if plan and plan.disk.bytes != settings.size.disk:
        return f"{_bytes(settings.size.disk)}, rounded to {in_bytes(plan.disk.bytes)}"
    return _bytes(settings.size.disk)


def _root_free_echo(settings: Settings, plan: Plan | None) -> str:
    if plan is None or not has_root(plan):
        return _bytes(settings.size.additional)
    return f"{_bytes(settings.size.additional)}; planned {plan.root.free_bytes:,}"


def _boot_echo(settings: Settings, plan: Plan | None) -> str:
    partition = None if plan is None else plan.of_role("esp")
    if partition is not None and partition.bytes != settings.size.boot:
        return f"{_bytes(settings.size.boot)}; the ESP gets {in_bytes(partition.bytes)}"
    return _bytes(settings.size.boot)


def _inode_echo(_settings: Settings, plan: Plan | None) -> str:
    if plan is None or not has_root(plan):
        return ""
    return f"{plan.root.inodes:,} inodes in the plan, {plan.root.free_inodes:,} free"


_TABLE = (
    FieldSpec(
        path="layout.filesystem", step="layout", label="File system", kind="choice",
        choices=tuple((f.key, f.title) for f in FILESYSTEMS.values() if f.root),
        default=lambda settings: settings.layout.filesystem,
        help="File system of the root partition",
        guide="ext4 unless a guest cannot read it. ext3 and ext2 are for old kernels.",
    ),
    FieldSpec(
        path="layout.label", step="layout", label="Label",
        default=lambda settings: settings.layout.label,
        help="Name of the root file system, at most 16 bytes",
        guide="Boot loaders and `/etc/fstab` can find the file system by it (`LABEL=...`). "
        "An ext label holds at most 16 bytes of UTF-8.",
    ),
    FieldSpec(
        path="layout.sector_size", step="layout", label="Sector size", kind="choice",
        choices=(("512", "512"), ("4096", "4096")),
        default=lambda settings: str(settings.layout.sector_size),
        help="512 fits nearly everything; 4096 only for 4Kn drives",
        guide="Logical sector size in bytes, in which the partition table counts. Virtual disks, "
        "USB sticks and most drives present 512.",
    ),
    FieldSpec(
        path="layout.fstab", step="layout", label="/etc/fstab", kind="choice",
        choices=(("auto", "where it is needed"), ("write", "write it"), ("keep", "leave it")),
        default=lambda settings: settings.layout.fstab,
        help="Where volumes are mounted, written for the guest",
        guide="Needed where a volume of your own has a mount point and the contents bring no "
        "`/etc/fstab`. Written: one line for each volume that is mounted.",
    ),
    FieldSpec(
        path="layout.pmbr_boot", step="layout", label="Active MBR", kind="switch",
        choices=_SWITCH, default=lambda settings: _yes(settings.layout.pmbr_boot),
        help="For a BIOS that skips a disk without an active entry",
        guide="Marks the entry of the protective MBR active (parted's `pmbr_boot`). Some old "
        "BIOSes skip a disk without it. UEFI asks for an entry that is not active.",
    ),
    FieldSpec(
        path="size.disk", step="size", label="Disk size", kind="size",
        default=lambda settings: "auto" if settings.size.disk is None
        else format_exact(settings.size.disk),
        echo=_disk_echo,
        help="K, M, G, T are powers of 1024; alone it is MiB; +2GiB adds",
        guide="The whole disk: partition table, ESP and root together. `4GiB`, `4096` (MiB) and "
        "`4294967296B` are the same. Left empty, the disk is as large as its contents need.",
    ),
    FieldSpec(
        path="size.additional", step="size", label="Free space", kind="size",
        default=lambda settings: settings.size.additional_text
        or format_exact(settings.size.additional),
        echo=_root_free_echo,
        help="Free in the root file system once everything is in",
        guide="With automatic size: bytes still free in root after everything is in. `512MiB`, "
        "`2G` and so on; a bare number is bytes.",
    ),
    FieldSpec(
        path="size.boot", step="size", label="Boot size", kind="size",
        default=lambda settings: settings.size.boot_text or format_exact(settings.size.boot),
        echo=_boot_echo,
        help="Size of the EFI system partition",
        guide="The EFI system partition holds boot loader, kernels and initrds. Under "
        "make-disk-image's rules this is not a size but the offset at which the ESP ends.",
    ),
    FieldSpec(
        path="size.inodes", step="size", label="Inodes", kind="number", restrict=_DIGITS,
        default=lambda settings: "as needed" if settings.size.inodes is None
        else str(settings.size.inodes),
        echo=_inode_echo,
        help="Inodes kept free beyond what the contents take",
        guide="Each file, folder and link takes one inode. Left empty, the engine provides as "
        "many as the contents need and a reserve in proportion to the free space.",
    ),
    FieldSpec(
        path="size.grow_to", step="size", label="Grows to", kind="size",
        default=lambda settings: "as it is" if settings.size.grow_to is None
        else format_exact(settings.size.grow_to),
        help="Size of the disk that the image is written to",
        guide="The last volume grows with the disk at the first boot. It gets inodes for the "
        "larger size, and systemd is told to grow it. Left empty, nothing grows by itself.",
    ),
    FieldSpec(
        path="boot.kernel", step="boot", label="Kernel", kind="path",
        default=lambda settings: settings.boot.kernel or "found in the contents",
        help="Empty: the one found in the contents",
        guide="A kernel image on this machine, relative to the spec. Left empty, it is looked "
        "for in the contents: bootspec, `/boot/vmlinuz-*`, `/usr/lib/modules/*/vmlinuz`.",
    ),
    FieldSpec(
        path="boot.initrd", step="boot", label="Initrd", kind="list",
        default=lambda settings: " ".join(settings.boot.initrds) or "found beside the kernel",
        help="Empty: the one that belongs to the kernel",
        guide="Initial RAM disks, between blanks, in the order in which they are loaded: each a "
        "path in the image, or a file on this machine, relative to the spec. Left empty, it is "
        "the one named like the kernel, after the microcode images in `/boot`.",
    ),
    FieldSpec(
        path="boot.cmdline", step="boot", label="Command line",
        default=lambda settings: settings.boot.cmdline,
        help="root=... is added",
        guide="What the kernel is told. `console=ttyS0` lets it speak on the serial line, which "
        "the boot test listens to. The root file system is added from the plan.",
    ),
    FieldSpec(
        path="boot.efi_variables", step="boot", label="EFI variables", kind="switch",
        choices=_SWITCH, default=lambda settings: _yes(settings.boot.efi_variables),
        help="Also write efi-vars.fd, which names the boot entry",
        guide="A file of UEFI variables that already names the boot loader. A virtual machine "
        "started with it boots this entry first.",
    ),
    FieldSpec(
        path="boot.prove", step="boot", label="Boot test", kind="switch",
        choices=_SWITCH, default=lambda settings: _yes(settings.boot.prove),
        help="After the build, start the image in QEMU",
        guide="Boots the finished image in QEMU with a copy-on-write overlay, so the image "
        "itself stays as built, and waits for the text below.",
    ),
    FieldSpec(
        path="boot.expect", step="boot", label="Expected text",
        default=lambda settings: settings.boot.expect,
        help="What the serial line must show, as a regular expression",
        guide="For example `login:`. The boot test succeeds when the serial line matches.",
    ),
    FieldSpec(
        path="boot.timeout", step="boot", label="Timeout", kind="number", restrict=_DIGITS,
        default=lambda settings: str(settings.boot.timeout),
        help="Seconds that the boot test waits for the text",
        guide="Without KVM a start takes several times as long: count on minutes there.",
    ),
    FieldSpec(
        path="vm.memory", step="boot", label="Memory", kind="number", restrict=_DIGITS,
        default=lambda settings: str(settings.vm.memory_mib),
        help="MiB of a virtual machine, where one is used",
        guide="For the boot test, and for a NixOS installer that needs a machine of its own.",
    ),
    FieldSpec(
        path="boot.firmware", step="boot", label="Firmware", kind="path",
        default=lambda settings: settings.boot.firmware or "found on this machine",
        help="UEFI code for the virtual machine (OVMF_CODE.fd)",
        guide="A file on this machine, relative to the spec. Left empty, the one that Debian, "
        "Fedora or Arch install is taken.",
    ),
    FieldSpec(
        path="boot.firmware_variables", step="boot", label="Variables", kind="path",
        default=lambda settings: settings.boot.firmware_variables or "found beside the firmware",
        help="Empty variable store of that firmware (OVMF_VARS.fd)",
        guide="The boot entries are written into a copy of it.",
    ),
    FieldSpec(
        path="nix.system", step="contents", label="Nix system", kind="path",
        default=lambda settings: settings.nix.system,
        help="Store path of a toplevel or a flake reference",
        guide="The system's closure is copied to `/nix/store` of the image, registered, and "
        "made the first generation of the system profile.",
    ),
    FieldSpec(
        path="nix.additional_paths", step="contents", label="More store paths", kind="list",
        help="Separated by spaces; their dependencies come along",
        guide="Each comes with its closure and is valid in the image's Nix database.",
    ),
    FieldSpec(
        path="nix.store", step="contents", label="Store", kind="path",
        default=lambda settings: settings.nix.store or "this machine's own",
        help="Where the paths are, as nix's --store takes it",
        guide="A folder relative to the spec, or a URL nix knows. Left empty: NIX_REMOTE, or "
        "the store of this machine.",
    ),
    FieldSpec(
        path="nix.config_file", step="contents", label="Configuration", kind="path",
        default=lambda settings: settings.nix.config_file,
        help="Becomes /etc/nixos/configuration.nix; empty: none",
        guide="A file on this machine, relative to the spec.",
    ),
    FieldSpec(
        path="nix.copy_channel", step="contents", label="Channel", kind="path",
        default=lambda settings: settings.nix.copy_channel,
        help="A nixpkgs source tree to install as the channel",
        guide="So that the guest can rebuild itself without fetching nixpkgs first.",
    ),
    FieldSpec(
        path="nix.only_store", step="contents", label="Only the store", kind="switch",
        choices=_SWITCH, default=lambda settings: _yes(settings.nix.only_store),
        help="The image holds what is in /nix/store, nothing else",
        guide="For guests that mount the image as their Nix store.",
    ),
    FieldSpec(
        path="nix.install_boot_loader", step="boot", label="System's loader", kind="switch",
        choices=_SWITCH, default=lambda settings: _yes(settings.nix.install_boot_loader),
        help="Run the system's own boot loader installation",
        guide="Only with a Nix system: its `switch-to-configuration boot` runs in a sandbox, "
        "or in a virtual machine where it needs a disk.",
    ),
    FieldSpec(
        path="name", step="output", label="Name",
        default=lambda settings: settings.name,
        help="Name; files are called NAME.img and so on",
        guide="Also the seed of every identifier, unless a seed is given.",
    ),
    FieldSpec(
        path="output.name", step="output", label="File name",
        default=lambda settings: settings.output.stem,
        help="Stem of the image's files, where it is not the name",
        guide="The name stays the seed of every identifier; only the files are called otherwise.",
    ),
    FieldSpec(
        path=OUTDIR, step="output", label="Folder", kind="path",
        help="Where the finished image goes",
        guide="Everything is written under a temporary name here and renamed once it is "
        "complete and verified.",
    ),
    FieldSpec(
        path="output.compress", step="output", label="Compressed", kind="choice",
        choices=(("none", "no"), ("zst", "zstd"), ("xz", "xz"), ("gz", "gzip")),
        default=lambda settings: settings.output.compress,
        help="Also the raw image as NAME.img.zst, .xz or .gz",
        guide="Packed in the same pass that computes the checksum. zstd is fast, xz smaller, "
        "gzip what most clouds unpack.",
    ),
    FieldSpec(
        path="output.sums", step="output", label="Digests", kind="list",
        default=lambda settings: " ".join(settings.output.sums),
        help="auto, sha256, fsverity, both of these, or none",
        guide="SHA-256 goes into `SHA256SUMS`. The fs-verity digest (`FSVERITYSUMS`) takes no time "
        "for holes; `auto` takes it for a raw image that is mostly empty and has 8 GiB of holes.",
    ),
    FieldSpec(
        path="output.keep_raw", step="output", label="Raw image", kind="switch",
        choices=(("yes", "stays beside it"), ("no", "only compressed")),
        default=lambda settings: _yes(settings.output.keep_raw),
        help="Whether NAME.img stays when the compressed one is done",
        guide="The raw image is sparse: it takes less room on this disk than it seems to.",
    ),
    FieldSpec(
        path="output.bmap", step="output", label="Block map", kind="switch",
        choices=_SWITCH, default=lambda settings: _yes(settings.output.bmap),
        help="Also NAME.img.bmap, for bmaptool copy",
        guide="Lists which blocks of the raw image matter, with their checksums. `bmaptool copy` "
        "then writes just these to a device.",
    ),
    FieldSpec(
        path="output.sbom", step="output", label="Packages", kind="switch",
        choices=_SWITCH, default=lambda settings: _yes(settings.output.sbom),
        help="Bill of materials NAME.spdx.json, where packages are known",
        guide="SPDX 2.3, from the databases of dpkg, apk, rpm or the Nix store in the "
        "contents. Without any of these no file is written.",
    ),
    FieldSpec(
        path="output.sign", step="output", label="Sign with", kind="list",
        help="A command; SHA256SUMS is added as its last argument",
        guide="For example `gpg --batch --detach-sign --armor`. What the command writes beside "
        "SHA256SUMS is published. Quotes keep blanks together; no shell runs.",
    ),
    FieldSpec(
        path="hooks.after_build", step="output", label="After the build",
        default=lambda settings: settings.hooks.after_build,
        help="Shell text, run with OUT and DISK_IMAGE set",
        guide="Runs once the image is complete and before it is checked and converted. It may "
        "still change the image.",
    ),
    FieldSpec(
        path="compat", step="output", label="Rules", kind="choice",
        choices=tuple((rules.key, rules.title) for rules in RULES.values()),
        default=lambda settings: settings.compat,
        help="Rules for sizes, identifiers and names",
        guide="**Diskwright**: aligned to MiB, sizes as named, identifiers by role. "
        "**make-disk-image**: byte for byte what the reference makes, oddities included; that "
        "of NixOS 25.11 rounds otherwise and has two more layouts. "
        "Review shows where they differ.",
    ),
    FieldSpec(
        path="identity.deterministic", step="output", label="Deterministic", kind="switch",
        choices=_SWITCH, default=lambda settings: _yes(settings.identity.deterministic),
        help="Same spec and sources, same bytes",
        guide="Identifiers come from the seed and times from the epoch. Otherwise they are "
        "drawn anew for every build.",
    ),
    FieldSpec(
        path="identity.seed", step="output", label="Seed", restrict=_GUID, max_length=36,
        default=lambda settings: settings.identity.seed,
        help="UUID from which identifiers derive; empty: the name",
        guide="Two images with the same seed have the same identifiers and should not meet in "
        "one machine.",
    ),
    FieldSpec(
        path="identity.disk_guid", step="output", label="Disk GUID", restrict=_GUID,
        max_length=36, default=lambda settings: settings.identity.disk_guid or "from the seed",
        help="Empty: derived from the seed",
        guide="Identifier in the header of the partition table.",
    ),
    FieldSpec(
        path="identity.disk_signature", step="output", label="Disk signature",
        restrict=r"[0-9A-Fa-fx]*", max_length=10,
        default=lambda settings: settings.identity.disk_signature or "from the seed",
        help="As in 0x1a2b3c4d; empty: derived from the seed",
        guide="Identifier of a disk whose table is an MBR; `root=PARTUUID=` begins with it.",
    ),
    FieldSpec(
        path="identity.root_partition_guid", step="output", label="Root partition",
        restrict=_GUID, max_length=36,
        default=lambda settings: settings.identity.root_partition_guid or "from the seed",
        help="GUID of the root partition; empty: from the seed",
        guide="What `root=PARTUUID=...` names.",
    ),
    FieldSpec(
        path="identity.root_filesystem_uuid", step="output", label="Root file system",
        restrict=_GUID, max_length=36,
        default=lambda settings: settings.identity.root_filesystem_uuid or "from the seed",
        help="UUID of the root file system; empty: from the seed",
        guide="What `root=UUID=...` names.",
    ),
    FieldSpec(
        path="identity.source_date_epoch", step="output", label="Epoch", kind="number",
        restrict=_DIGITS, default=lambda settings: str(settings.identity.source_date_epoch),
        help="Time (SOURCE_DATE_EPOCH) of files without one",
        guide="SOURCE_DATE_EPOCH of the environment wins over this.",
    ),
)  # fmt: skip

FIELDS = {field.path: field for field in _TABLE}
