"""Well-formed inputs, made by the tools of the field, small enough to be read often."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from tests.support import containers
from tests.support.tools import run_tool

FAT32_BYTES = 34 << 20
BTRFS_BYTES = 16 << 20
_FAT32_USED = 640 << 10
"""Bytes that hold a small FAT32's boot sectors, tables and first clusters."""

XFS_BYTES = 300 << 20
_XFS_USED = 1 << 20
"""Bytes that hold the headers, trees, inodes and files of a small XFS's first group."""

PACKAGE_DATABASES = (
    b"var/lib/dpkg/status", b"lib/apk/db/installed", b"usr/lib/sysimage/rpm/rpmdb.sqlite",
    b"var/lib/rpm/Packages", b"var/lib/rpm/Packages", b"usr/lib/sysimage/rpm/Packages.db",
)  # fmt: skip
_EXAMPLES = Path(__file__).parents[2] / "examples"
_DATABASES = Path(__file__).parents[1] / "engine" / "provenance" / "data"
_RPM = ("Packages", "Packages.big-endian", "Packages.db")
_SECTOR = 512
GPT = b"label: gpt\nstart=64, size=720, type=uefi\nstart=2048, size=2048, type=linux\n"


def specs(folder: Path) -> Sequence[bytes]:
    """Every example, and one spec that names every kind of key."""
    del folder
    return [path.read_bytes() for path in sorted(_EXAMPLES.glob("*.toml"))]


def tree(folder: Path) -> Path:
    """A tree with links, a hole, attributes and a long name."""
    root = folder / "tree"
    if root.exists():
        return root
    (root / "boot" / "deep" / "deeper").mkdir(parents=True)
    (root / "boot" / "file").write_bytes(b"0123456789abcdef" * 700)
    (root / "boot" / "deep" / "deeper" / ("n" * 200)).write_text("long")
    (root / "short").symlink_to("boot/file")
    (root / "long").symlink_to("x" * 300)
    os.link(root / "boot" / "file", root / "same")
    os.setxattr(root / "boot" / "file", "user.note", b"v" * 30)
    with (root / "hole").open("wb") as hole:
        hole.seek(200_000)
        hole.write(b"end")
    for number in range(40):
        (root / "boot" / f"small-{number}").write_text(str(number))
    return root


def tars(folder: Path) -> Sequence[bytes]:
    """GNU, pax and ustar archives."""
    root = tree(folder)
    whole = (
        ("--format=gnu", "--sparse", "."),
        ("--format=pax", "--sparse", "--sparse-version=1.0", "--xattrs", "."),
        ("--format=pax", "--sparse", "--sparse-version=0.1", "."),
        ("--format=pax", "boot/deep", "short", "long"),
    )
    return [_output("tar", "-C", root, "-cf", "-", *options) for options in whole]


def packed_tars(folder: Path) -> Sequence[bytes]:
    """The same, packed."""
    root = tree(folder)
    plain = _output("tar", "-C", root, "-cf", "-", "boot/deep", "short", "same")
    tools = (("gzip", "-c"), ("xz", "-c"), ("bzip2", "-c"), ("zstd", "-qc"))
    return [_output(*tool, feed=plain) for tool in tools]


LAYER = b"--LAYER--".ljust(_SECTOR, b"\0")
"""Between the layers of a container image's seed; what the layers are in is made around them."""


def container_layers(folder: Path) -> Sequence[bytes]:
    """Layers with what they can say of each other."""
    lower = containers.layer(
        containers.member("usr/bin/a", data=b"a"), containers.symlink("bin", "usr/bin"),
        containers.member("d/e/f", data=b"f" * 700), containers.hard_link("d/again", "d/e/f"),
    )  # fmt: skip
    upper = containers.layer(
        containers.member("bin/.wh.a"), containers.member("d/e/.wh..wh..opq"),
        containers.member("bin/b", data=b"b"), containers.hard_link("c", "d/again"),
        containers.member("usr/"), containers.symlink("d/out", "../../.."),
    )  # fmt: skip
    del folder
    return [LAYER.join((lower, upper)), LAYER.join((upper, lower, upper))]


def container_archives(folder: Path) -> Sequence[bytes]:
    """An OCI layout, a `docker save`, and the layout packed."""
    made = containers.Made([containers.layer(containers.member("a", data=b"a"))], {"Cmd": ["/a"]})
    shutil.rmtree(folder / "containers", ignore_errors=True)
    (folder / "containers").mkdir()
    image = containers.layout(folder / "containers" / "layout", ("x:1", made), ("y:1", made))
    old = containers.saved(folder / "containers" / "saved", ("x:1", made))
    archives = [containers.archived(image), containers.archived(old),
                containers.archived(image, "+zstd")]  # fmt: skip
    return [path.read_bytes() for path in archives]


def package_databases(folder: Path) -> Sequence[bytes]:
    """Databases of dpkg, apk and rpm's four kinds, behind a byte that says which."""
    dpkg = b"Package: a\nStatus: install ok installed\nVersion: 1:2-3\nArchitecture: amd64\n"
    apk = b"C:Q1x=\nP:musl\nV:1.2-r1\nA:x86_64\nL:MIT\n\nP:b\nV:2\n"
    file = folder / "rpmdb.sqlite"
    file.unlink(missing_ok=True)
    # Tag, type, offset and count of name, version, release and architecture (rpm(8), headers).
    values = (b"bash", b"5.2", b"1.fc40", b"x86_64")
    store = b"\0".join(values) + b"\0"
    index = b""
    for tag, value in zip((1000, 1001, 1002, 1022), values, strict=True):
        index += struct.pack(">IIII", tag, 6, store.index(value), 1)
    header = struct.pack(">II", len(values), len(store)) + index + store
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("create table Packages (hnum integer primary key, blob blob not null)")
        connection.execute("insert into Packages (blob) values (?)", (header,))
        connection.commit()
    older = [(_DATABASES / name).read_bytes() for name in _RPM]
    whole = [dpkg + b"\n" + dpkg, apk, file.read_bytes(), *older]
    return [bytes([kind]) + data for kind, data in enumerate(whole)]


def tar_sums(data: bytes) -> bytes:
    """Makes the checksum of whatever looks like a header right."""
    fixed = bytearray(data)
    for at in range(0, len(fixed) - _SECTOR + 1, _SECTOR):
        if fixed[at + 257 : at + 262] == b"ustar":
            fixed[at + 148 : at + 156] = b" " * 8
            total = sum(fixed[at : at + _SECTOR])
            fixed[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(fixed)


def exts(folder: Path) -> Sequence[bytes]:
    """ext4 with and without 64 bits and checksums, and ext2 with its block maps."""
    made = []
    for number, options in enumerate(
        (
            ("-t", "ext4", "-b", "1024", "-O", "^has_journal,metadata_csum,64bit"),
            ("-t", "ext4", "-b", "4096", "-O", "^has_journal,^64bit,^metadata_csum"),
            ("-t", "ext2", "-b", "1024"),
        )
    ):
        image = folder / f"ext-{number}"
        run("mke2fs", "-q", "-F", *options, "-d", tree(folder), image, "1M")
        made.append(image.read_bytes())
    return made


def btrfses(folder: Path) -> Sequence[bytes]:
    """Btrfs with small nodes, up to where it has anything."""
    image = folder / "btrfs"
    with image.open("wb") as empty:
        empty.truncate(BTRFS_BYTES)
    options = ("--mixed", "--nodesize", "4096", "--rootdir", tree(folder))
    run("mkfs.btrfs", "--quiet", *options, image)
    return [image.read_bytes().rstrip(b"\0")]


def copied(folder: Path) -> Sequence[bytes]:
    """ext with what a copy must not take over: special files, set-user-id; inline data; a FAT."""
    root = tree(folder)
    (root / "boot" / "file").chmod(0o6755)
    os.mkfifo(root / "pipe")
    image = folder / "ext-inline"
    options = ("-t", "ext4", "-b", "1024", "-O", "^has_journal,inline_data")
    run("mke2fs", "-q", "-F", *options, "-d", root, image, "1M")
    return [*exts(folder), image.read_bytes()]


def fats(folder: Path) -> Sequence[bytes]:
    """FAT12 and FAT16."""
    return [_fat(folder, "12", 360), _fat(folder, "16", 2600)]


def fat32s(folder: Path) -> Sequence[bytes]:
    """The beginning of a FAT32."""
    return [_fat(folder, "32", FAT32_BYTES >> 10)[:_FAT32_USED]]


def xfss(folder: Path) -> Sequence[bytes]:
    """The beginning of an XFS of version 5 and of one of version 4, with what a system has."""
    release, listed = folder / "os-release", folder / "listed"
    release.write_text("ID=x\nPRETTY_NAME=X\n")
    many = "\n".join(f"{number}-{'x' * 40} ---644 3 4 {release}" for number in range(90))
    listed.write_text(
        f"/\n0 0\nd--755 0 0\netc d--755 0 0\nos-release ---644 0 0 {release}\n$\n"
        f"boot d--755 0 0\nvmlinuz-1 -u-755 1 2 {release}\nup l--777 0 0 ../etc\n$\n"
        f"many d--755 0 0\n{many}\n$\nchr c--620 0 5 5 1\nfifo p--600 0 0\n$\n"
    )
    made = []
    for number, options in enumerate((("-m", "crc=1"), ("-m", "crc=0,finobt=0"))):
        image = folder / f"xfs-{number}"
        with image.open("wb") as file:
            file.truncate(XFS_BYTES)
        run("mkfs.xfs", "-q", *options, "-p", listed, image)
        changes = ("-cpath /boot/vmlinuz-1", "-cattr_set -u -v 9 a", "-cattr_set -s -v 3000 b")
        run("xfs_db", "-x", *changes, image)
        with image.open("rb") as file:
            made.append(file.read(_XFS_USED))
    return made


def gpts(folder: Path) -> Sequence[bytes]:
    """A GPT with a FAT and an ext partition."""
    disk = folder / "gpt"
    with disk.open("wb") as file:
        file.truncate(3 << 20)
    run("sfdisk", "-q", disk, feed=GPT)
    return [_filled(disk, folder)]


def mbrs(folder: Path) -> Sequence[bytes]:
    """An MBR with logical partitions."""
    disk = folder / "mbr"
    with disk.open("wb") as file:
        file.truncate(4 << 20)
    script = (
        "label: dos\nstart=64, size=720, type=ef\nstart=2048, size=2048, type=83\n"
        "start=4200, size=3900, type=5\nstart=4300, size=100, type=83\nstart=4500, size=100\n"
    )
    run("sfdisk", "-q", disk, feed=script.encode())
    return [_filled(disk, folder)]


def gpt_sums(data: bytes) -> bytes:
    """Makes the checksums of both copies of a GPT right."""
    fixed = bytearray(data)
    last = len(fixed) // _SECTOR - 1
    for at in (_SECTOR, last * _SECTOR):
        size, array, count, width = (
            struct.unpack_from(form, fixed, at + offset)[0]
            for form, offset in (("<I", 12), ("<Q", 72), ("<I", 80), ("<I", 84))
        )
        entries = fixed[array * _SECTOR : array * _SECTOR + min(count * width, 1 << 20)]
        struct.pack_into("<I", fixed, at + 88, crc32(entries))
        struct.pack_into("<I", fixed, at + 16, 0)
        struct.pack_into("<I", fixed, at + 16, crc32(fixed[at : at + min(size, _SECTOR)]))
    return bytes(fixed)


def qcow2s(folder: Path) -> Sequence[bytes]:
    """qcow2 with small clusters: version 2, plain, zlib and zstd."""
    sizes = "cluster_size=4096"
    return [
        _converted(folder, "qcow2", "-o", f"{sizes},compat=0.10"),
        _converted(folder, "qcow2", "-o", "cluster_size=512,refcount_bits=1"),
        _converted(folder, "qcow2", "-c", "-o", sizes),
        _converted(folder, "qcow2", "-c", "-o", f"{sizes},compression_type=zstd"),
    ]


def vdis(folder: Path) -> Sequence[bytes]:
    """A dynamic and a fixed VDI."""
    return [_converted(folder, "vdi"), _converted(folder, "vdi", "-o", "static=on")]


def vhds(folder: Path) -> Sequence[bytes]:
    """A dynamic and a fixed VHD."""
    options = ("-o", "force_size=on")
    return [
        _converted(folder, "vpc", *options),
        _converted(folder, "vpc", "-o", "force_size=on,subformat=fixed"),
    ]


def _fat(folder: Path, bits: str, kib: int) -> bytes:
    image = folder / f"fat{bits}"
    image.unlink(missing_ok=True)
    sectors = ("-s", "1") if bits != "12" else ()
    run("mkfs.fat", "-F", bits, *sectors, "-C", image, str(kib))
    boot = tree(folder) / "boot"
    run("mcopy", "-i", image, "-s", boot / "deep", boot / "file", "::/")
    run("mmd", "-i", image, "::/Ünïcode folder")
    return image.read_bytes()


def _filled(disk: Path, folder: Path) -> bytes:
    return placed(disk.read_bytes(), _fat(folder, "12", 360), exts(folder)[0])


def placed(disk: bytes, fat: bytes, ext: bytes) -> bytes:
    """Puts file systems where the partitions of a disk begin."""
    data = bytearray(disk)
    data[64 * _SECTOR : 64 * _SECTOR + len(fat)] = fat
    data[2048 * _SECTOR : 2048 * _SECTOR + len(ext)] = ext
    return bytes(data)


def _converted(folder: Path, driver: str, *options: str) -> bytes:
    """Returns a disk with a GPT, a FAT and an ext4 in a container."""
    disk, image = folder / "disk", folder / "converted"
    if not disk.exists():
        disk.write_bytes(gpts(folder)[0])
    run("qemu-img", "convert", "-O", driver, *options, disk, image)
    return image.read_bytes()


def run(*argv: str | Path, feed: bytes | None = None) -> None:
    run_tool(argv, check=True, capture_output=True, input=feed)


def _output(*argv: str | Path, feed: bytes | None = None) -> bytes:
    output: bytes = run_tool(argv, check=True, capture_output=True, input=feed).stdout
    return output
