"""What volumes are for: one row for each role, read by the planner and by every reader.

Sources: UAPI Group, Discoverable Partitions Specification (GPT types, default mount points); UEFI
specification 2.10, table 5.7 (ESP); GNU GRUB manual (BIOS boot partition); util-linux's fdisk
(MBR types).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

LINUX_TYPE = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
BIOS_BOOT_TYPE = "21686148-6449-6E6F-744E-656564454649"
XBOOTLDR_TYPE = "BC13C2FF-59E6-4262-A352-B275FD6F7172"
MBR_LINUX_TYPE = "0x83"
MBR_EXTENDED_TYPE = "0x0f"
_MBR_FAT_TYPE = "0x0c"

ROOT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "x86_64": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
        "i686": "44479540-F297-41B2-9AF7-D131D5F0458A",
        "aarch64": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
        "armv7l": "69DAD710-2CE4-4E3C-B16C-21A1D49ABED3",
        "riscv64": "72EC70A6-CF74-40E6-BD49-4BDA08E8F224",
        "loongarch64": "77055800-792C-4F94-B39A-98C91B762BB6",
        "ppc64le": "C31C45E6-3F39-412E-80FB-4809C4980599",
        "s390x": "5EEAD9A9-FE09-4A1E-A1D7-520D00531306",
    }
)
"""Types of a root by architecture, as `uname -m` names it."""

_USR_TYPES = {
    "x86_64": "8484680C-9521-48C6-9C11-B0720656F69E",
    "aarch64": "B0E01050-EE5F-4390-949A-9101B17104E9",
}
_ROOT_VERITY_TYPES = {
    "x86_64": "2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5",
    "aarch64": "DF3300CE-D69F-4C92-978C-9BFB0F38D820",
}
_USR_VERITY_TYPES = {
    "x86_64": "77FF5F63-E7B6-4633-ACF4-1565B864C0E6",
    "aarch64": "6E11A4E7-FBCA-4DED-B9E9-E1A512BB664E",
}
_ROOT_VERITY_SIG_TYPES = {
    "x86_64": "41092B05-9FC8-4523-994F-2DEF0408B176",
    "aarch64": "6DB69DE6-29F4-4758-A7A5-962190F00CE3",
}
_USR_VERITY_SIG_TYPES = {
    "x86_64": "E7BB33FB-06CF-4E81-8273-E543B413E2E2",
    "aarch64": "C23CE4FF-44BD-4B00-B2D4-B41B3419E02A",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a volume is for.

    Attributes:
        key: As a spec names it.
        title: As people call it, in the middle of a sentence.
        label: The shortest name, for a drawing.
        purpose: One line for a legend.
        gpt: Its GPT type where the architecture does not matter or has no type of its own.
        gpt_by_architecture: Its GPT types by architecture (`uname -m`).
        mbr: Its type in an MBR.
        name: Name of its GPT partition, by default.
        flags: What libparted calls the flags that go with it.
        format: The format it has, by default.
        mount: Where it is mounted, by default; None for nowhere.
        weight: Its share of a drawing that is not to scale.
    """

    key: str
    title: str
    label: str
    purpose: str
    gpt: str = LINUX_TYPE
    gpt_by_architecture: Mapping[str, str] = field(default_factory=dict)
    mbr: str = MBR_LINUX_TYPE
    name: str
    flags: tuple[str, ...] = ()
    format: str = "ext4"
    mount: str | None = None
    weight: int = 4

    def type(self, scheme: str, architecture: str) -> str:
        """Returns the partition type for a table ("gpt" or "mbr") and an architecture."""
        return self.gpt_by_architecture.get(architecture, self.gpt) if scheme == "gpt" else self.mbr

    @property
    def types(self) -> frozenset[str]:
        """Every GPT type by which this role is known."""
        return frozenset((self.gpt, *self.gpt_by_architecture.values()))


_TABLE = (
    Role(
        key="esp", title="ESP", label="ESP", name="ESP", gpt=ESP_TYPE, mbr="0xef",
        purpose="EFI system partition (FAT): loaders, kernels",
        flags=("boot", "esp"), format="vfat", weight=2,
    ),
    Role(
        key="xbootldr", title="extended boot partition", label="boot", name="XBOOTLDR",
        gpt=XBOOTLDR_TYPE, mbr="0xea", flags=("bls_boot",), format="vfat", mount="/boot", weight=2,
        purpose="Extended boot partition (FAT): kernels and menu entries",
    ),
    Role(
        key="bios-boot", title="BIOS boot partition", label="BIOS", name="BIOS boot",
        gpt=BIOS_BOOT_TYPE, mbr="0xda", flags=("bios_grub",), format="none", weight=1,
        purpose="BIOS boot partition: room for GRUB's core",
    ),
    Role(
        key="boot", title="boot file system", label="boot", name="boot", mount="/boot", weight=2,
        purpose="A file system for /boot",
    ),
    Role(
        key="root", title="root file system", label="root", name="root",
        gpt_by_architecture=ROOT_TYPES, mount="/", weight=8, purpose="The root file system",
    ),
    Role(
        key="usr", title="/usr file system", label="usr", name="usr",
        gpt_by_architecture=_USR_TYPES, mount="/usr",
        purpose="The system's programs, often read-only",
    ),
    Role(
        key="home", title="/home file system", label="home", name="home", mount="/home",
        gpt="933AC7E1-2EB4-4F13-B844-0E14E2AEF915", purpose="The users' files",
    ),
    Role(
        key="srv", title="/srv file system", label="srv", name="srv", mount="/srv",
        gpt="3B8F8425-20E0-4F3B-907F-1A25A76F98E8", purpose="What the machine serves",
    ),
    Role(
        key="var", title="/var file system", label="var", name="var", mount="/var",
        gpt="4D21B016-B534-45C2-A9FB-5C16E091FD2D", purpose="What the system writes",
    ),
    Role(
        key="tmp", title="/var/tmp file system", label="tmp", name="tmp",  # noqa: S108
        mount="/var/tmp",  # noqa: S108 - a mount point
        gpt="7EC6F557-3BC5-4ACA-B293-16EF5DF639D1", purpose="Temporary files",
    ),
    Role(
        key="swap", title="swap", label="swap", name="swap", format="swap", weight=2,
        gpt="0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", mbr="0x82", purpose="Swap space",
    ),
    Role(
        key="data", title="data file system", label="data", name="data", purpose="Anything else",
    ),
    Role(
        key="root-verity", title="hash tree of the root", label="hash", name="root-verity",
        gpt_by_architecture=_ROOT_VERITY_TYPES, format="none", weight=1,
        purpose="The dm-verity hash tree of a root",
    ),
    Role(
        key="usr-verity", title="hash tree of /usr", label="hash", name="usr-verity",
        gpt_by_architecture=_USR_VERITY_TYPES, format="none", weight=1,
        purpose="The dm-verity hash tree of a /usr",
    ),
    Role(
        key="root-verity-sig", title="signature of the root", label="sig", name="root-verity-sig",
        gpt_by_architecture=_ROOT_VERITY_SIG_TYPES, format="none", weight=1,
        purpose="The signature of a root's hash tree",
    ),
    Role(
        key="usr-verity-sig", title="signature of /usr", label="sig", name="usr-verity-sig",
        gpt_by_architecture=_USR_VERITY_SIG_TYPES, format="none", weight=1,
        purpose="The signature of a /usr's hash tree",
    ),
    Role(
        key="raw", title="raw data", label="raw", name="raw", mbr="0xda", format="none", weight=1,
        purpose="Bytes of a file, such as a board's boot loader",
    ),
)  # fmt: skip

ROLES: Mapping[str, Role] = MappingProxyType({role.key: role for role in _TABLE})
"""By key, in the order in which a list shows them."""

_BY_TYPE: Mapping[str, str] = MappingProxyType(
    {
        **{
            found: role.key
            for role in _TABLE
            for found in (*role.types, role.mbr)
            if found not in {LINUX_TYPE, MBR_LINUX_TYPE, "0xda"}
        },
        # A plain Linux partition is the root wherever nothing says otherwise.
        LINUX_TYPE: "root",
        MBR_LINUX_TYPE: "root",
        **dict.fromkeys(("0x05", MBR_EXTENDED_TYPE, "0x85"), "extended"),
    }
)


def role_of(partition_type: str) -> str:
    """Returns the role that a partition's type means, as `plan --json` names it, or "other"."""
    return _BY_TYPE.get(partition_type, "other")
