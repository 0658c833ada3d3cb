"""Output formats as data: one row is all that a format takes (docs/extending.md).

The planner, the converter, the rules of sizes, the wizard, the command line, shell completion, the
schema and the manual read this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.disk.volume import Firmware
from engine.units import GIB, MIB, TIB, format_exact

StampKey = Literal["vdi", "vpc", "vmdk", "vhdx"]
"""What gives a converted file its identity: a key of `engine.pipeline.stamps.STAMPS`."""

WrapKey = Literal["ova", "gce"]
"""What packs a disk for its reader: a key of `engine.pipeline.wrapping.WRAPS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRule:
    """What a format or its reader asks of the disk's size.

    Attributes:
        multiple: The size is a whole number of this many bytes; automatic sizes are rounded up.
        largest: Most bytes of a disk, or None.
        reader: Who asks for it.
        strict: Another multiple is of no use to anybody: an error rather than a warning.
    """

    multiple: int = 1
    largest: int | None = None
    reader: str = ""
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareRule:
    """What must be said where an image boots by one firmware only.

    Attributes:
        advice: What its reader does by default, and what to tell it.
        instead: A format that fits better, or "".
    """

    advice: str
    instead: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One output format.

    Attributes:
        key: Value of `output.format`.
        title: Its name for people.
        summary: Who reads it, in 36 characters: a line of the wizard's list at 80 columns.
        extension: Of the output file, without the dot.
        qemu_img: Arguments to `qemu-img convert` that select it; empty where the disk stays raw.
        flat: The file is as large as the disk, its holes included.
        hydra_type: What `nix-support/hydra-build-products` calls it.
        stamp: What replaces the fields that qemu-img draws at random, or None.
        wrap: What packs the disk into the file that is the output, or None.
        disk_extension: Of the disk before it is wrapped; hooks and boot.prove get that one.
        size: What is asked of the disk's size.
        other_sectors: Whether its readers take disks with sectors other than 512 bytes.
        firmware: What to know when only that firmware boots the image.
        readable: Whether `inspect` and the like read it (`engine.image.container`).
        reference: Whether make-disk-image has it, too.
        note: Something its user should know, or "".
    """

    key: str
    title: str
    summary: str
    extension: str
    qemu_img: tuple[str, ...] = ()
    flat: bool = False
    hydra_type: str
    stamp: StampKey | None = None
    wrap: WrapKey | None = None
    disk_extension: str = ""
    size: SizeRule = SizeRule()
    other_sectors: bool = False
    firmware: Mapping[Firmware, FirmwareRule] = field(default_factory=dict)
    readable: bool = True
    reference: bool = False
    note: str = ""

    @property
    def driver(self) -> str:
        """QEMU's name of the disk's format."""
        return self.qemu_img[self.qemu_img.index("-O") + 1] if self.qemu_img else "raw"

    @property
    def sizes(self) -> str:
        """Which sizes of a disk it is for, as a sentence; "" where it takes all."""
        whole = f"Whole {_UNITS[self.size.multiple]}" if self.size.multiple > 1 else ""
        most = f"{format_exact(self.size.largest)} at most" if self.size.largest else ""
        parts = ", ".join(filter(None, (whole, most)))
        return f"{parts} ({self.size.reader})." if parts else ""

    @property
    def disk_suffix(self) -> str:
        """Extension of the disk itself, which is the output unless that is wrapped."""
        return self.disk_extension or self.extension


_UNITS = {GIB: "GiB", MIB: "MiB"}

# The largest disks: QEMU's block/vpc.c and block/vdi.c; MS-VHDX 2.6.2.
_VHD_LARGEST = 2040 * GIB
_VDI_LARGEST = 512 * TIB
_VHDX_LARGEST = 64 * TIB
# VMware's own: Workstation 11 and later, vSphere 5.5 and later.
_WORKSTATION_LARGEST, _VSPHERE_LARGEST = 8 * TIB, 62 * TIB

_VMDK_MACHINE = "adapter_type=lsilogic,hwversion=13"
_VMX_EFI = 'set firmware = "efi" in the machine\'s .vmx; VMware gives it a BIOS otherwise'
_GENERATION_1 = FirmwareRule(
    advice="Hyper-V boots a VHD in machines of Generation 1 only, which have a BIOS",
    instead="vhdx",
)

_TABLE = (
    Format(
        key="raw",
        title="Raw",
        summary="Devices and every hypervisor",
        extension="img",
        flat=True,
        hydra_type="raw-image",
        other_sectors=True,
        note="The disk itself, sparse",
        reference=True,
    ),
    Format(
        key="qcow2",
        title="qcow2",
        summary="QEMU, Proxmox, OpenStack",
        extension="qcow2",
        qemu_img=("-O", "qcow2"),
        hydra_type="qcow2-image",
        other_sectors=True,
        note="Grows as it is used, takes snapshots",
        reference=True,
    ),
    Format(
        key="qcow2-compressed",
        title="qcow2, compressed",
        summary="QEMU 5.1 and later, for downloads",
        extension="qcow2",
        qemu_img=("-O", "qcow2", "-c", "-o", "compression_type=zstd"),
        hydra_type="qcow2-image",
        other_sectors=True,
        note="Packed with zstd; older readers know only zlib: take qcow2-zlib for them",
        reference=True,
    ),
    Format(
        key="qcow2-zlib",
        title="qcow2, zlib",
        summary="Every QEMU, for downloads",
        extension="qcow2",
        qemu_img=("-O", "qcow2", "-c", "-o", "compression_type=zlib"),
        hydra_type="qcow2-image",
        other_sectors=True,
        note="For readers of qcow2 without zstd",
    ),
    Format(
        key="vdi",
        title="VDI",
        summary="VirtualBox",
        extension="vdi",
        qemu_img=("-O", "vdi"),
        hydra_type="vdi-image",
        stamp="vdi",
        size=SizeRule(multiple=MIB, largest=_VDI_LARGEST, reader="VirtualBox"),
        firmware={
            "uefi": FirmwareRule(
                advice="VirtualBox boots by BIOS until EFI is enabled in the machine's settings "
                "(VBoxManage modifyvm NAME --firmware efi)",
            ),
        },
        reference=True,
    ),
    Format(
        key="vmdk",
        title="VMDK",
        summary="VMware Workstation and Fusion",
        extension="vmdk",
        qemu_img=("-O", "vmdk", "-o", f"subformat=monolithicSparse,{_VMDK_MACHINE}"),
        hydra_type="vmdk-image",
        stamp="vmdk",
        size=SizeRule(largest=_WORKSTATION_LARGEST, reader="VMware Workstation"),
        firmware={"uefi": FirmwareRule(advice=_VMX_EFI)},
        readable=False,
        note="ESXi does not run it: take ova, or convert with vmkfstools -i",
    ),
    Format(
        key="vmdk-stream",
        title="VMDK, stream",
        summary="Import into vSphere, ESXi and AWS",
        extension="vmdk",
        qemu_img=("-O", "vmdk", "-o", f"subformat=streamOptimized,{_VMDK_MACHINE}"),
        hydra_type="vmdk-image",
        stamp="vmdk",
        size=SizeRule(largest=_VSPHERE_LARGEST, reader="vSphere"),
        firmware={"uefi": FirmwareRule(advice=_VMX_EFI)},
        readable=False,
        note="Compressed. To be imported, not run: nothing can be written to it",
    ),
    Format(
        key="ova",
        title="OVA",
        summary="Import into ESXi, VMware, VirtualBox",
        extension="ova",
        qemu_img=("-O", "vmdk", "-o", f"subformat=streamOptimized,{_VMDK_MACHINE}"),
        hydra_type="ova-image",
        stamp="vmdk",
        wrap="ova",
        disk_extension="vmdk",
        size=SizeRule(largest=_VSPHERE_LARGEST, reader="vSphere"),
        readable=False,
        note="A whole machine: one processor, vm.memory. VMware gets UEFI where only that "
        "boots the disk; in VirtualBox enable EFI after the import",
    ),
    Format(
        key="vhdx",
        title="VHDX",
        summary="Hyper-V, both generations",
        extension="vhdx",
        qemu_img=("-O", "vhdx", "-o", "subformat=dynamic"),
        hydra_type="vhdx-image",
        stamp="vhdx",
        size=SizeRule(largest=_VHDX_LARGEST, reader="Hyper-V"),
        firmware={
            "bios": FirmwareRule(
                advice="make a machine of Generation 1; Generation 2 has UEFI only",
            ),
        },
        readable=False,
        note="For Generation 2 turn Secure Boot off, or sign the loader",
    ),
    Format(
        key="vpc",
        title="VHD, dynamic",
        summary="Hyper-V Generation 1, Virtual PC",
        extension="vhd",
        qemu_img=("-O", "vpc", "-o", "force_size=on"),
        hydra_type="vpc-image",
        stamp="vpc",
        size=SizeRule(multiple=MIB, largest=_VHD_LARGEST, reader="Azure"),
        firmware={"uefi": _GENERATION_1},
        note="Azure takes only fixed ones: take vpc-fixed for it. The exact size is kept, not "
        "rounded to cylinders",
        reference=True,
    ),
    Format(
        key="vpc-fixed",
        title="VHD, fixed",
        summary="Azure",
        extension="vhd",
        qemu_img=("-O", "vpc", "-o", "subformat=fixed,force_size=on"),
        flat=True,
        hydra_type="vpc-image",
        stamp="vpc",
        size=SizeRule(multiple=MIB, largest=_VHD_LARGEST, reader="Azure"),
        firmware={
            "uefi": FirmwareRule(
                advice="make the Azure image with --hyper-v-generation V2; V1 has a BIOS",
            ),
        },
        note="To be uploaded as a page blob; sparse on this disk, as large as the disk elsewhere",
    ),
    Format(
        key="gce",
        title="GCE tar.gz",
        summary="Google Compute Engine",
        extension="tar.gz",
        hydra_type="gce-image",
        wrap="gce",
        disk_extension="img",
        size=SizeRule(multiple=GIB, reader="Google Compute Engine", strict=True),
        firmware={
            "uefi": FirmwareRule(
                advice="make the image with --guest-os-features=UEFI_COMPATIBLE, or machines boot "
                "it by BIOS",
            ),
        },
        readable=False,
        note="Holds disk.raw only, without its holes",
    ),
)

FORMATS: Mapping[str, Format] = {format_.key: format_ for format_ in _TABLE}
