"""Machine architectures: what their kernels look like and what their loaders are called."""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """Names that depend on the machine.

    Attributes:
        name: As `uname -m` prints it.
        efi: Suffix of EFI binaries (UEFI specification 2.10, 3.5.1.1): "x64".
        pe: Machine type of EFI programs (Microsoft, "PE Format").
        magic_offset, magic: What tells the architecture in a kernel's header.
        grub_efi: GRUB's target for UEFI, "" where this tool builds none.
        grub_bios: GRUB's target for BIOS, "" where there is no BIOS.
    """

    name: str
    efi: str
    pe: int
    magic_offset: int
    magic: bytes
    grub_efi: str = ""
    grub_bios: str = ""

    @property
    def removable_path(self) -> bytes:
        """The path on an ESP that firmware boots without a boot variable."""
        return f"EFI/BOOT/BOOT{self.efi.upper()}.EFI".encode()


# Magic numbers: the kernel's Documentation/arch/x86/boot.rst, arch/arm64/booting.rst and
# arch/riscv/boot-image-header.rst.
X86_64 = Architecture("x86_64", "x64", 0x8664, 0x202, b"HdrS", "x86_64-efi", "i386-pc")
ARCHITECTURES = (
    X86_64,
    Architecture("aarch64", "aa64", 0xAA64, 0x38, b"ARM\x64"),
    Architecture("riscv64", "riscv64", 0x5064, 0x38, b"RSC\x05"),
)
HEADER_BYTES = 1024

# In the setup header of a bzImage: where, less 512, its version is as text.
_RELEASE_POINTER = 0x20E
RELEASE_BYTES = 0x200 + 0x10000

# A kernel that unpacks itself under UEFI (the kernel's drivers/firmware/efi/libstub/
# zboot-header.S); only its PE header tells the machine.
_ZBOOT = (b"MZ", b"zimg")
_PE_POINTER = 0x3C


def release_of(head: bytes) -> str:
    """Returns the release that an x86 kernel states ("6.1.0-9-amd64"), or "" where none is.

    Args:
        head: Its first `RELEASE_BYTES`.
    """
    if of_kernel(head) is not X86_64:
        return ""
    (pointer,) = struct.unpack_from("<H", head, _RELEASE_POINTER)
    if not pointer:
        return ""
    text = head[pointer + 0x200 :].partition(b"\0")[0].decode("ascii", "replace")
    return text.partition(" ")[0]


def of_kernel(header: bytes) -> Architecture | None:
    """Returns the architecture of a kernel by its first bytes, or None if no rule knows it."""
    for architecture in ARCHITECTURES:
        end = architecture.magic_offset + len(architecture.magic)
        if header[architecture.magic_offset : end] == architecture.magic:
            return architecture
    if (header[:2], header[4:8]) == _ZBOOT:
        machine = pe_machine(header)
        return next((each for each in ARCHITECTURES if each.pe == machine), None)
    return None


def pe_machine(header: bytes) -> int:
    """Returns the machine type of an EFI program by its first bytes, 0 for what is none."""
    try:
        (at,) = struct.unpack_from("<I", header, _PE_POINTER)
        signature, machine = struct.unpack_from("<4sH", header, at)
    except struct.error:
        return 0
    return int(machine) if (header[:2], signature) == (b"MZ", b"PE\0\0") else 0
