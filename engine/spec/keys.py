"""Every key of a spec as data: what it means, what it takes, what its default is.

The manual (docs/spec.md), the JSON Schema and the wizard's help all read this table; a test holds
it against the types in `engine.spec.model`.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.disk.presets import PRESETS
from engine.disk.roles import ROLES
from engine.spec.choices import (
    COMPATS,
    COMPRESSIONS,
    CONTENT_PARTITIONS,
    FSTABS,
    SECTOR_SIZES,
    SUMS,
    VOLUME_COMPRESSIONS,
    VOLUME_FORMATS,
)
from engine.spec.filesystems import ROOT_FILESYSTEMS
from engine.spec.formats import FORMATS
from engine.spec.loaders import LOADERS


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        path: "size.boot"; `contents[].mode` stands for any entry.
        kind: What it takes, in words.
        default: Its value where the spec has none, as TOML or in words.
        summary: What it is, in a sentence or two.
        choices: The values it takes, where they are few.
        compat: The default under `compat = "make-disk-image"`, where it differs.
        argument: make-disk-image's own name for it, or "".
    """

    path: str
    kind: str
    default: str
    summary: str
    choices: tuple[str | int, ...] = ()
    compat: str = ""
    argument: str = ""


_TABLE = (
    Key("schema", "integer", "1", "Version of this format.", choices=(1,)),
    Key(
        "name",
        "text",
        '"disk"',
        "Name of the build and file stem of its outputs; seed of every identifier not given. "
        "Under make-disk-image the outputs are called nixos.* whatever the name.",
        compat='"nixos-disk-image"',
        argument="name",
    ),
    Key(
        "compat",
        "text",
        '"none"',
        "Rules: Diskwright's own, or make-disk-image's figures, defaults and output "
        "names to the sector.",
        choices=COMPATS,
    ),
    Key(
        "layout.table",
        "text",
        '"efi"',
        "Partition table and partitions.",
        choices=tuple(PRESETS),
        compat='"legacy"',
        argument="partitionTableType",
    ),
    Key(
        "layout.filesystem",
        "text",
        '"ext4"',
        "Type of the root file system.",
        choices=ROOT_FILESYSTEMS,
        argument="fsType",
    ),
    Key(
        "layout.label",
        "text",
        '"root", or "nix-store" with nix.only_store',
        "Label of the root file system, at most 16 bytes.",
        compat='"nixos", or "nix-store" with nix.only_store',
        argument="label",
    ),
    Key(
        "layout.sector_size",
        "integer",
        "512",
        "Bytes in a logical sector of the disk that the image is written to.",
        choices=SECTOR_SIZES,
    ),
    Key(
        "layout.fstab",
        "text",
        '"auto"',
        "Whether /etc/fstab is written: where a [[volume]] has a mount point and the contents "
        "bring no /etc/fstab (auto), in any case (write), or never (keep).",
        choices=FSTABS,
    ),
    Key(
        "layout.pmbr_boot",
        "boolean",
        "false",
        "Whether the protective MBR of a GPT marks its entry active, which some BIOSes demand "
        "before they boot a disk. UEFI asks for an entry that is not active.",
    ),
    Key(
        "size.disk",
        "size; an integer is MiB",
        '"auto"',
        'Size of the whole image, or "auto": measured from the contents.',
        argument="diskSize",
    ),
    Key(
        "size.additional",
        "size; an integer is bytes",
        '"512MiB"',
        "With an automatic size: space left free in the root file system.",
        compat='"512M"',
        argument="additionalSpace",
    ),
    Key(
        "size.boot",
        "size; an integer is bytes",
        '"256MiB"',
        "Size of the EFI system partition. Under make-disk-image: the offset where it ends, in "
        "parted's units, where M is a million.",
        compat='"256M"',
        argument="bootSize",
    ),
    Key(
        "size.inodes",
        "integer",
        "in proportion to the free space",
        "Inodes left free in the root file system, for the files that its user will add.",
    ),
    Key(
        "size.grow_to",
        "size; an integer is bytes",
        "the disk is not grown",
        "Size of the disk that the image will be grown to. The last volume (the root, or one with "
        "the flag grow-file-system) grows with it at the first boot: it gets that flag, inodes for "
        "the larger size and, on a GPT, /etc/repart.d unless the contents have definitions.",
    ),
    Key(
        "boot.loader",
        "text",
        '"none"',
        "Boot loader to install.",
        choices=tuple(LOADERS),
        compat='"nixos" where nix.system is given and nix.install_boot_loader holds; without an '
        'ESP "grub" takes its place',
    ),
    Key(
        "boot.kernel",
        "path",
        "found in the contents",
        "Kernel: a path in the image, else a file relative to the spec. Left out, it is looked for "
        "in the contents: a bootspec, /boot/vmlinuz-*, /usr/lib/modules/*/vmlinuz.",
    ),
    Key(
        "boot.initrd",
        "path or list of paths",
        "found beside the kernel",
        "Initial RAM disk, or several in the order in which they are loaded: each a path in the "
        "image, else a file relative to the spec. Left out, it is the one named like the kernel, "
        "after the microcode images in /boot.",
    ),
    Key(
        "boot.cmdline",
        "text",
        '"console=ttyS0"',
        "Kernel command line; root=... is added.",
        compat='""',
    ),
    Key(
        "boot.efi_variables",
        "true or false",
        "false",
        "Also write efi-vars.fd, a UEFI variable store with a boot entry for the image.",
        argument="touchEFIVars",
    ),
    Key(
        "boot.firmware",
        "path",
        "found on this machine",
        "UEFI firmware code for the virtual machine (OVMF_CODE.fd).",
        argument="efiFirmware",
    ),
    Key(
        "boot.firmware_variables",
        "path",
        "found beside the firmware",
        "Empty UEFI variable store of that firmware (OVMF_VARS.fd).",
        argument="efiVariables",
    ),
    Key(
        "boot.prove", "true or false", "false", "Boot the finished image in QEMU, as a build step."
    ),
    Key(
        "boot.expect",
        "regular expression",
        '"login:"',
        "What the serial console must show for the proof to hold (Python's syntax).",
    ),
    Key("boot.timeout", "seconds", "180", "How long the proof waits for it."),
    Key(
        "volume[].id",
        "text",
        "",
        "Its name, unique in the spec. That of a volume of the preset changes it; any other adds "
        "one.",
    ),
    Key(
        "volume[].role",
        "text",
        "the role named like the id, else data",
        "What it is for: decides the partition type, and the defaults below.",
        choices=tuple(ROLES),
    ),
    Key(
        "volume[].format",
        "text",
        "the role's own",
        "File system, or none for raw bytes or nothing.",
        choices=VOLUME_FORMATS,
    ),
    Key(
        "volume[].mount",
        "text",
        "the role's own",
        "Where it is mounted; contents below it go to this volume automatically. Empty for "
        "nowhere.",
    ),
    Key(
        "volume[].size",
        "size; an integer is bytes",
        "what its contents need",
        "A fixed size.",
    ),
    Key(
        "volume[].free",
        "size; an integer is bytes",
        "0",
        "Instead of a fixed size: what its contents need, and so much more.",
    ),
    Key(
        "volume[].grow",
        "integer",
        "1 for the root where no other volume has a share",
        "Instead of a fixed size: its share, by weight, of what a disk of fixed size has left.",
    ),
    Key("volume[].min", "size; an integer is bytes", "0", "With free or grow: its least size."),
    Key("volume[].label", "text", '""', "Label of its file system."),
    Key(
        "volume[].uuid",
        "UUID, or XXXX-XXXX for FAT",
        "derived from seed and id",
        "Identifier of its file system.",
    ),
    Key("volume[].guid", "UUID", "derived from seed and id", "GUID of its partition."),
    Key("volume[].name", "text", "the role's, or its id", "Name of its GPT partition."),
    Key(
        "volume[].type",
        "UUID, or 0x83 in an MBR",
        "the role's own",
        "Type of its partition.",
    ),
    Key(
        "volume[].flags",
        "list of text",
        "[]",
        "Any of read-only, no-auto, grow-file-system and legacy-boot, which is the active flag of "
        "an MBR.",
    ),
    Key(
        "volume[].compression",
        "text",
        '""',
        "Compression, where its format knows one.",
        choices=VOLUME_COMPRESSIONS,
    ),
    Key(
        "volume[].subvolumes",
        "list of text",
        "[]",
        "Subvolumes of a Btrfs, each its path from the top of the file system and, behind a colon, "
        'where it is mounted: ["@:/", "@home:/home", "@snapshots"]. Contents below that go into '
        "it.",
    ),
    Key(
        "volume[].default_subvolume",
        "text",
        "the top of the file system",
        "The subvolume that a mount without subvol= gets; it needs no option in /etc/fstab and on "
        "the kernel's command line.",
    ),
    Key(
        "volume[].source",
        "path",
        '""',
        "File whose bytes it holds, from its start; takes format none.",
    ),
    Key(
        "volume[].offset",
        "size; an integer is bytes",
        "",
        "For role raw: it is at this byte of the disk, outside of all partitions.",
    ),
    Key(
        "volume[].verity",
        "text",
        '""',
        "For the roles of hash trees and of their signatures: id of the volume that is hashed.",
    ),
    Key(
        "volume[].key",
        "path",
        '""',
        "For a signature: the private key, a PEM file without a passphrase.",
    ),
    Key(
        "volume[].certificate",
        "path",
        '""',
        "For a signature: the certificate that goes with the key, a PEM file.",
    ),
    Key("volume[].after", "text", "the end of the list", "Id of the volume that it follows."),
    Key(
        "contents[].source",
        "path",
        "required",
        "File, folder, glob with *, or archive; relative to the spec, ~ is the home folder.",
        argument="contents.*.source",
    ),
    Key(
        "contents[].target",
        "path in the image",
        "required",
        "Where it goes, from /. A glob's matches go into it; so does a file where the target ends "
        "in /.",
        argument="contents.*.target",
    ),
    Key(
        "contents[].mode",
        "text",
        "the source's own",
        "Permissions: octal (directories stay traversable) or rsync's form, as in D755,F644.",
        argument="contents.*.mode",
    ),
    Key(
        "contents[].user",
        "text or integer",
        "0",
        "Owner: a name in the image's own /etc/passwd, or a number. Needs group.",
        argument="contents.*.user",
    ),
    Key(
        "contents[].group",
        "text or integer",
        "0",
        "Group: a name in the image's own /etc/group, or a number. Needs user.",
        argument="contents.*.group",
    ),
    Key(
        "contents[].extract",
        'true, false or "oci"',
        "false",
        "Unpack a tar archive (plain, gz, xz, zst, bz2, lzma) with the owners, modes and xattrs it "
        'gives; or, with "oci", put the layers of a container image on top of each other: an OCI '
        "image layout or a `docker save`, a folder or an archive.",
    ),
    Key("contents[].exclude", "list of text", "[]", "Patterns of paths below it to leave out."),
    Key(
        "contents[].partition",
        "text",
        "by mount point",
        "An older name of `volume`, for these two.",
        choices=CONTENT_PARTITIONS,
    ),
    Key(
        "contents[].volume",
        "text",
        "by mount point",
        "Id of the volume that it goes to; its target then begins there. Without it, contents go "
        "where the mount points of the volumes say.",
    ),
    Key(
        "contents[].replace",
        "true or false",
        "false",
        "What it brings takes the place of what entries before it bring: file for file, a folder "
        "is merged. Otherwise two files at one place are an error.",
    ),
    Key(
        "contents[].image",
        "text",
        "the only one",
        "Which container image, where the source holds several: a name, a tag, or the beginning "
        "of a digest.",
    ),
    Key(
        "contents[].platform",
        "text",
        "the only one, or linux/amd64",
        "For which machine, where the container image is there for several: as in linux/arm64.",
    ),
    Key(
        "contents[].service",
        "text",
        "no unit",
        "Name of a systemd unit, made and enabled, that runs what the container image says "
        "(Entrypoint, Cmd, Env, WorkingDir, User); below another target than / it is the root "
        "directory of the service.",
    ),
    Key(
        "nix.system",
        "text",
        '""',
        "Store path of a NixOS system; or a flake reference, or `-f FILE -A ATTRIBUTE`, that nix "
        "builds first.",
        argument="config",
    ),
    Key(
        "nix.store",
        "path or text",
        "NIX_REMOTE, or this machine's own",
        "Store that holds the system, as nix's --store takes it; a folder is relative to the spec.",
    ),
    Key(
        "nix.additional_paths",
        "list of text",
        "[]",
        "Further store paths, with everything they refer to.",
        argument="additionalPaths",
    ),
    Key(
        "nix.only_store",
        "true or false",
        "false",
        "The image is a Nix store: the closure is at the root of the file system.",
        argument="onlyNixStore",
    ),
    Key(
        "nix.copy_channel",
        "path",
        '""',
        "nixpkgs source tree to install as the channel.",
        argument="copyChannel",
    ),
    Key(
        "nix.config_file",
        "path",
        '""',
        "Becomes /etc/nixos/configuration.nix.",
        argument="configFile",
    ),
    Key(
        "nix.install_boot_loader",
        "true or false",
        "true, or false with nix.only_store",
        "Whether the NixOS system's boot loader is installed.",
        compat="true",
        argument="installBootLoader",
    ),
    Key(
        "output.name",
        "text",
        "the name of the build",
        "File stem of the outputs.",
        compat='"nixos"',
        argument="baseName",
    ),
    Key(
        "output.format",
        "text",
        '"raw"',
        "Format of the finished image.",
        choices=tuple(FORMATS),
        argument="format",
    ),
    Key(
        "output.compress",
        "text",
        '"none"',
        "Also writes the raw image compressed, as NAME.img.zst, .xz or .gz, in the pass that "
        "computes its checksum.",
        choices=COMPRESSIONS,
    ),
    Key(
        "output.keep_raw",
        "true or false",
        "true",
        "Whether the raw image stays beside the compressed one.",
    ),
    Key(
        "output.bmap",
        "true or false",
        "false",
        "Also writes NAME.img.bmap: which blocks of the raw image matter, with their checksums. "
        "`bmaptool copy` then writes just these to a device.",
    ),
    Key(
        "output.sbom",
        "true or false",
        "true",
        "Writes NAME.spdx.json, a bill of materials (SPDX 2.3), where the contents hold a package "
        "database: dpkg, apk, rpm or a Nix store.",
    ),
    Key(
        "output.sums",
        "text or list of texts",
        '"auto"',
        "Digests of the outputs: `sha256` (SHA256SUMS), `fsverity` (FSVERITYSUMS, which the "
        "kernel and `fsverity digest` agree with, and for which holes cost nothing), both as a "
        "list, or `none`. `auto` is `sha256`, but `fsverity` for a raw image that is mostly empty "
        "and has 8 GiB of holes or more.",
        choices=SUMS,
    ),
    Key(
        "output.sign",
        "list of text",
        "[]",
        "Command that signs, as a list of arguments; SHA256SUMS is added as its last. What it "
        "writes beside that file is published.",
    ),
    Key(
        "identity.deterministic",
        "true or false",
        "true",
        "The same spec and sources give the same bytes. Otherwise identifiers are random.",
        argument="deterministic",
    ),
    Key(
        "identity.seed",
        "UUID",
        "derived from name",
        "From which every identifier derives that is not given here.",
    ),
    Key(
        "identity.disk_guid",
        "UUID",
        "derived",
        "GUID of the disk's table.",
        compat='"97FD5997-F390-0B4A-A3F8-D106C1723AEA"',
    ),
    Key(
        "identity.disk_signature",
        "number as in 0x1a2b3c4d",
        "derived",
        "Signature of the disk where the table is an MBR: 32 bits in hexadecimal.",
    ),
    Key(
        "identity.root_partition_guid",
        "UUID",
        "derived",
        "GUID of the root partition.",
        compat='"F222513B-DED1-49FA-B591-20CE86A2FE7F"',
        argument="rootGPUID",
    ),
    Key(
        "identity.root_filesystem_uuid",
        "UUID",
        "derived",
        "UUID of the root file system.",
        compat="equal to root_partition_guid",
        argument="rootFSUID",
    ),
    Key(
        "identity.source_date_epoch",
        "seconds since 1970",
        "0",
        "Time of everything that has none of its own; where it is not 0, newer times become it. "
        "SOURCE_DATE_EPOCH in the environment wins.",
    ),
    Key(
        "hooks.after_build",
        "shell text",
        '""',
        "Run when the image is finished, with OUT and DISK_IMAGE set.",
        argument="postVM",
    ),
    Key(
        "vm.memory",
        "integer, MiB",
        "1024",
        "Memory of a virtual machine, where one is used.",
        argument="memSize",
    ),
)

KEYS = {key.path: key for key in _TABLE}
SECTIONS = {
    "": "The build",
    "layout": "Partition table and root file system",
    "volume[]": "A volume of one's own, or a change to one of the preset's; one table for each",
    "size": "Sizes",
    "boot": "Booting",
    "contents[]": "What goes into the image; one table for each entry",
    "nix": "A NixOS system and what comes with it",
    "output": "The finished image",
    "identity": "Identifiers and times",
    "hooks": "Commands of your own",
    "vm": "Virtual machines, where one is used",
}
"""Titles of the sections, in the order of the manual."""
