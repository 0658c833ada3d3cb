"""Small disks that would boot: an ESP with programs and entries of each kind, a root."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.fuzz.seeds import GPT, placed, run

_MENU = b"""set default=0
search --no-floppy --fs-uuid --set=root 1111-2222
menuentry 'Some' --id some {
  linux /vmlinuz-6.1 root=LABEL=x quiet
  initrd /initrd.img-6.1
}
submenu 'More' { menuentry 'Old' { chainloader /old } }
"""
_ENTRY = b"title Some\nversion 6.1\nlinux /vmlinuz-6.1\ninitrd /initrd.img-6.1\noptions quiet\n"
_LABELS = b"DEFAULT some\nLABEL some\n MENU LABEL Some\n LINUX ../vmlinuz-6.1\n APPEND root=x\n"
_RELEASE = b'ID=some\nVERSION_ID=7\nPRETTY_NAME="Some System 7"\n'
_KERNEL = bytes(0x1F1) + b"\x04" + bytes(0x10) + b"HdrS" + bytes(8) + b"\x40\0" + bytes(512)
_PREFIX = b"(,gpt2)/boot/grub\0"


def systems(folder: Path) -> Sequence[bytes]:
    """A disk that systemd-boot starts, and one that GRUB starts."""
    systemd = pe_file({b".sdmagic": b"#### LoaderInfo: systemd-boot 252 ####"})
    # What grub-mkimage adds to a program: an object with its prefix (GRUB, kernel.h).
    objects = struct.pack("<II", 3, 8 + len(_PREFIX)) + _PREFIX
    grub = pe_file(
        {
            b".text": b"GRUB",
            b"mods": struct.pack("<4s4xQQ", b"mimg", 24, 24 + len(objects)) + objects,
        }
    )
    return [_disk(folder / name, loader) for name, loader in (("s", systemd), ("g", grub))]


def pe_file(sections: Mapping[bytes, bytes]) -> bytes:
    """Returns a program for UEFI that is nothing but its sections (Microsoft, "PE Format")."""
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    head += struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, len(sections), 0, 0, 0, 0, 0x22)
    at = len(head) + 40 * len(sections)
    data = b""
    for name, text in sections.items():
        place = at + len(data)
        head += struct.pack(
            "<8sIIIIIIHHI", name, len(text), place, len(text), place, 0, 0, 0, 0, 0x40000040
        )
        data += text
    return head + data


def _disk(folder: Path, loader: bytes) -> bytes:
    texts = {b".osrel": _RELEASE, b".uname": b"6.1", b".cmdline": b"quiet", b".linux": _KERNEL}
    esp = {
        "EFI/BOOT/BOOTX64.EFI": loader, "EFI/Linux/some.efi": pe_file(texts),
        "EFI/some/grub.cfg": _MENU, "loader/loader.conf": b"default some*\ntimeout 3\n",
        "loader/entries/some.conf": _ENTRY, "extlinux/extlinux.conf": _LABELS,
        "loader/entries/counted+3-1.conf": _ENTRY.replace(b"6.1", b"6.2"),
        "vmlinuz-6.1": _KERNEL, "initrd.img-6.1": b"initrd",
    }  # fmt: skip
    root = {
        "etc/os-release": _RELEASE, "boot/grub/grub.cfg": _MENU, "boot/vmlinuz-6.1": _KERNEL,
        "boot/initrd.img-6.1": b"initrd", "usr/lib/modules/6.1/vmlinuz": _KERNEL,
        "boot/grub/grubenv": b"# GRUB Environment Block\nsaved_entry=some\n####",
    }  # fmt: skip
    boot, fat = _written(folder / "esp", esp), folder / "esp.img"
    run("mkfs.fat", "-F", "12", "-i", "11112222", "-C", fat, "360")
    run("mcopy", "-i", fat, "-s", *sorted(boot.iterdir()), "::/")
    ext = folder / "root.img"
    options = ("-t", "ext4", "-O", "^has_journal", "-b", "1024", "-d")
    run("mke2fs", "-q", "-F", *options, _written(folder / "root", root), ext, "1M")
    disk = folder / "disk"
    with disk.open("wb") as file:
        file.truncate(3 << 20)
    run("sfdisk", "-q", disk, feed=GPT)
    return placed(disk.read_bytes(), fat.read_bytes(), ext.read_bytes())


def _written(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
