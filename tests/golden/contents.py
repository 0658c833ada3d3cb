"""What goes into the golden images: made here, so that its bytes, owners and times are known."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tarfile
from pathlib import Path

from tests.engine.boot.trees import X86_KERNEL

TIME = 1_700_000_000
"""2023-11-14T22:13:20Z, the newest time in the contents."""


def make_contents(folder: Path) -> None:
    """Makes `system.tar`, `tree`, `kernels` and `esp` in a folder."""
    _archive(folder / "system.tar")
    _folder(
        folder / "tree",
        {
            "srv/data/large": _noise(3_000_001),
            "srv/data/a name\nof two lines": b"x" * 4096,
            "srv/data/empty": b"",
        },
    )
    with (folder / "tree" / "srv" / "data" / "hole").open("wb") as hole:
        hole.truncate(40 << 20)
        hole.seek(9 << 20)
        hole.write(b"island")
    _settle(folder / "tree")
    _folder(
        folder / "kernels",
        {
            "boot/vmlinuz-6.1": X86_KERNEL,
            "boot/initrd.img-6.1": _noise(50_000),
            "usr/lib/os-release": b'ID=golden\nPRETTY_NAME="Golden"\n',
        },
    )
    _settle(folder / "kernels")
    _folder(
        folder / "esp",
        {
            "EFI/BOOT/BOOTX64.EFI": b"MZ" * 30_000,
            "loader/A long name, ünïcode.conf": b"timeout 0\n",
            "loader/empty": b"",
        },
    )
    _settle(folder / "esp")


def _noise(size: int) -> bytes:
    """Returns bytes that do not compress and never change."""
    return hashlib.shake_256(b"golden").digest(size)


def _folder(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _settle(folder: Path) -> None:
    """Gives every file and folder a mode and a time that do not depend on who made them when."""
    for at, _, files in os.walk(folder, topdown=False):
        for name in files:
            Path(at, name).chmod(0o644)
            os.utime(Path(at, name), ns=(0, (TIME - len(name)) * 10**9 + 123_456_789))
        Path(at).chmod(0o755)
        os.utime(at, (TIME, TIME))


def _acl() -> bytes:
    """Returns an access list that lets user 1000 read (linux/posix_acl_xattr.h)."""
    nobody = 0xFFFF_FFFF
    entries = [(0x01, 6, nobody), (0x02, 4, 1000), (0x04, 4, nobody), (0x10, 4, nobody),
               (0x20, 0, nobody)]  # fmt: skip
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def _archive(path: Path) -> None:
    """Writes what only an archive can bring without root: owners, devices, capabilities."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:

        def add(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", mode: int = 0o644,
                link: str = "", owner: tuple[int, int] = (0, 0), time: float = TIME,
                device: tuple[int, int] = (0, 0), **attributes: bytes) -> None:  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.size, member.mode, member.linkname = kind, len(data), mode, link
            member.uid, member.gid = owner
            member.mtime = time
            member.devmajor, member.devminor = device
            member.pax_headers = {
                "SCHILY.xattr." + key.replace("_", ".", 1): value.decode(errors="surrogateescape")
                for key, value in attributes.items()
            }
            archive.addfile(member, io.BytesIO(data))

        for folder in ("etc", "dev", "var", "var/many"):
            add(folder, tarfile.DIRTYPE, mode=0o755)
        add("tmp", tarfile.DIRTYPE, mode=0o1777)
        add("etc/passwd", data=b"root:x:0:0::/root:/bin/sh\nuser:x:1000:100::/:/bin/sh\n")
        add("etc/shadow", data=b"root:*:::::::\n", mode=0o640, owner=(0, 42))
        add("etc/same", tarfile.LNKTYPE, link="etc/passwd")
        add("etc/third", tarfile.LNKTYPE, link="etc/passwd")
        add("etc/short", tarfile.SYMTYPE, link="passwd", mode=0o777)
        for length in (59, 60, 61, 4000):
            add(f"etc/link{length}", tarfile.SYMTYPE, link="x" * length, mode=0o777)
        add("etc/old", data=b"before 1970", time=-86400.5)
        add("etc/late", data=b"after 2038", time=2**31 + 0.25)
        add("etc/owned", data=b"o" * 5000, owner=(100_000, 4_000_000_000), mode=0o600)
        add("bin", tarfile.SYMTYPE, link="usr/bin", mode=0o777)
        add("usr/bin/sudo", data=b"\x7fELF" * 700, mode=0o4755)
        add("usr/bin/ping", data=b"\x7fELF" * 300, mode=0o755,
            security_capability=struct.pack("<IIIII", 0x0200_0001, 1 << 13, 0, 0, 0))  # fmt: skip
        add("etc/noted", data=b"n", user_note=b"small", user_large=b"l" * 1500)
        add("etc/listed", data=b"a", mode=0o640, system_posix_acl_access=_acl())
        add("dev/null", tarfile.CHRTYPE, mode=0o666, device=(1, 3))
        add("dev/wide", tarfile.BLKTYPE, mode=0o660, owner=(0, 6), device=(259, 70_000))
        add("dev/pipe", tarfile.FIFOTYPE, mode=0o622)
        add("var/\udcff\udcfe not UTF-8", data=b"bytes")
        add("var/" + "é" * 127, data=b"as long as a name can be")
        for number in range(700):  # more than a block of names: an index
            add(f"var/many/an entry with a fairly long name, number {number:04}")
