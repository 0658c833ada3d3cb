"""Sources that are wrong, each made beside the spec that names them."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

_KERNEL_MAGIC = (0x202, b"HdrS")  # Documentation/arch/x86/boot.rst
_MIB = 1 << 20

Make = Callable[[Path], object]


def make(name: str, folder: Path) -> None:
    """Makes the tree that every case has, and what the case adds."""
    (folder / "tree" / "etc").mkdir(parents=True)
    (folder / "tree" / "etc" / "motd").write_text("hello\n")
    if name:
        TREES[name](folder)


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    """Makes a tar archive of members that no tar would make."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def member(
    name: str,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    xattrs: Mapping[str, str] | None = None,
) -> tarfile.TarInfo:
    """Returns the header of a member."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in (xattrs or {}).items()}
    return info


def _archive(*members: tuple[tarfile.TarInfo, bytes]) -> Make:
    return lambda folder: archive(folder / "evil.tar", *members)


def _cut(folder: Path) -> None:
    archive(folder / "cut.tar", (member("a"), b"x" * 3000))
    data = (folder / "cut.tar").read_bytes()
    packed = gzip.compress(data, mtime=0)
    (folder / "cut.tar").write_bytes(data[:2000])
    (folder / "cut.tar.gz").write_bytes(packed[: len(packed) // 2])


def _files(*names: str, size: int = 0) -> Make:
    def write(folder: Path) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(bytes([120]) * min(size, 64 * _MIB))
                file.truncate(size)

    return write


def _link(name: str, target: str) -> Make:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)

    return write


def _kernel(*, sound: bool = True, initrd: bool = True, efi: bool = False) -> Make:
    def write(folder: Path) -> None:
        kernel = bytearray(4096)
        at, magic = _KERNEL_MAGIC
        kernel[at : at + len(magic)] = magic
        boot = folder / "tree" / "boot"
        boot.mkdir()
        (boot / "vmlinuz-1").write_bytes(kernel if sound else b"junk")
        if initrd:
            (boot / "initrd.img-1").write_bytes(b"initrd")
        if efi:
            _files("esp/EFI/BOOT/BOOTX64.EFI", size=2)(folder)

    return write


TREES: Mapping[str, Make] = {
    "dangling link": _link("tree/dangling", "nowhere"),
    "no archive": _files("junk.tar", size=1200),
    "cut archives": _cut,
    "member that climbs": _archive((member("../../etc/passwd"), b"x")),
    "hard link out": _archive((member("a", tarfile.LNKTYPE, "../../etc/passwd"), b"")),
    "member below a file": _archive((member("f"), b"x"), (member("f/b"), b"x")),
    "member below a link": _archive(
        (member("out", tarfile.SYMTYPE, "../../.."), b""), (member("out/b"), b"x")
    ),
    "unknown member": _archive((member("odd", b"Z"), b"")),
    "large attribute": _archive((member("a", xattrs={"user.big": "v" * 5000}), b"")),
    "long link": _archive((member("a", tarfile.SYMTYPE, "x" * 5000), b"")),
    "long name": _archive((member("n" * 256), b"")),
    "fifo": lambda folder: os.mkfifo(folder / "fifo"),
    "two of a name": _files("a/same", "b/same"),
    "lost and found": _files("tree/lost+found"),
    "20 MiB": _files("tree/big", size=20 * _MIB),
    "many files": _files(*(f"tree/{number}" for number in range(1100))),
    "40 MiB for the ESP": _files("esp/big", size=40 * _MIB),
    "4 GiB for the ESP": _files("esp/huge", size=4096 * _MIB),
    "colon for the ESP": _files("esp/a:b"),
    "dot for the ESP": _files("esp/a."),
    "cases for the ESP": _files("esp/A", "esp/a"),
    "link for the ESP": _link("esp/link", "x"),
    "kernel": _kernel(),
    "kernel alone": _kernel(initrd=False),
    "junk for a kernel": _kernel(sound=False),
    "kernel and loader": _kernel(efi=True),
    "accounts": lambda folder: (folder / "tree" / "etc" / "passwd").write_text("root:x:0:0::/:\n"),
}
