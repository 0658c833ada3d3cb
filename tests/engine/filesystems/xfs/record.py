"""Records the images that `test_reader` reads: made, filled and read by the kernel's own XFS.

    python -m tests.engine.filesystems.xfs.record [name...]

needs root, loop devices and a kernel with XFS, which no test may ask for: so the images are kept,
packed, and beside each what the kernel said of every file in it.
"""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.image.crc32c import crc32c
from tests.engine.filesystems.recorded import ACL, Recordings, kernel_says

RECORDINGS = Recordings(Path(__file__).parent / "data")
MIB = 1 << 20
IMAGES = {
    "modern": ("-b", "size=1k", "-m", "rmapbt=1,reflink=1", "-i", "nrext64=1"),
    "plain": ("-m", "bigtime=0,finobt=0,reflink=0,inobtcount=0", "-i", "nrext64=0,sparse=0"),
    "large": ("-b", "size=64k", "-s", "size=4096", "-i", "size=2048"),
    "folders": (
        "-m",
        "reflink=0,finobt=0,inobtcount=0",
        "-b",
        "size=2k",
        "-n",
        "size=8k",
        "-s",
        "size=1024",
        "-i",
        "size=1024",
    ),
    "dirty": (),
    "newer": ("-i", "nrext64=1"),
}
"""Options of mkfs.xfs by name."""
_WITHOUT_LOG = ("modern", "plain")
"""Those whose log is made empty: it has all metadata a second time."""
_SCATTERED = {1024: 1500, 4096: 1500}
"""Names that take so many blocks that their map does not fit into an inode, by bytes of a block."""


def main(names: list[str]) -> None:
    """Records some or all images."""
    for name in names or IMAGES:
        with tempfile.TemporaryDirectory() as folder:
            _record(name, Path(folder))


def _record(name: str, folder: Path) -> None:
    image, top = folder / "image", folder / "top"
    make(image, name, IMAGES[name])
    if name == "newer":
        _set_features(image)
    top.mkdir()
    with mounted(image, top):
        block = os.statvfs(top).f_bsize
        (_few if name in {"dirty", "newer"} else fill)(top, block)
        if name == "folders":
            _crowd(top, block)
        if name == "modern":
            _share(top)
        os.sync()
        said = list(kernel_says(top))
        if name == "dirty":
            (top / "not yet in its place").write_text("only the log knows")
            subprocess.run(("xfs_io", "-x", "-c", "shutdown -f", str(top)), check=True)
    if name in _WITHOUT_LOG:
        subprocess.run(("xfs_repair", "-L", "-f", str(image)), check=True, capture_output=True)
    if name not in {"dirty", "newer"}:
        subprocess.run(("xfs_repair", "-n", "-f", str(image)), check=True, capture_output=True)
    RECORDINGS.keep(name, image, said)


def _set_features(image: Path) -> None:
    """Turns on what mkfs.xfs 6.1 does not know: names in inodes, and files that change places."""
    data = bytearray(image.read_bytes())
    (block,), (length,) = (struct.unpack_from(">I", data, at) for at in (4, 84))
    for at in range(0, len(data), length * block):
        (features,) = struct.unpack_from(">I", data, at + 216)
        struct.pack_into(">I", data, at + 216, features | 0xC0)
        struct.pack_into("<I", data, at + 224, 0)
        struct.pack_into("<I", data, at + 224, crc32c(data[at : at + 512]) ^ 0xFFFFFFFF)
    image.write_bytes(data)


def make(image: Path, name: str, options: Sequence[str]) -> None:
    """Makes an empty file system, smaller than mkfs.xfs makes for use, as its own tests have it."""
    with image.open("wb") as file:
        file.truncate((64 if name != "large" else 192) * MIB)
    small = {"TEST_DIR": "/", "TEST_DEV": "/", "QA_CHECK_FS": "1", **os.environ}
    argv = ("mkfs.xfs", "-q", "-d", "agcount=3", "-L", name, *options, str(image))
    subprocess.run(argv, check=True, env=small)


@contextmanager
def mounted(image: Path, top: Path) -> Iterator[None]:
    """Mounts an image."""
    subprocess.run(("mount", "-t", "xfs", "-o", "loop,attr2,allocsize=4k", image, top), check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", top), check=True)


def _few(top: Path, block: int) -> None:
    del block
    (top / "folder").mkdir()
    (top / "folder" / "file").write_text("in its place")
    for number in range(40):  # so many names that what leads back from the file has a block
        os.link(top / "folder" / "file", top / f"{number}-{'n' * 30}")
    os.setxattr(top / "folder" / "file", "user.one", b"1")
    os.setxattr(top / "folder", "trusted.two", b"2" * 300)


def _share(top: Path) -> None:
    """Makes files that share all of their blocks, and have more data than there is room."""
    (top / "shared").mkdir()
    (top / "shared" / "0").write_bytes(b"r" * (3 << 20))
    for number in range(1, 30):
        clone = ("cp", "--reflink=always", top / "shared" / "0", top / "shared" / str(number))
        subprocess.run(clone, check=True)
    with (top / "shared" / "7").open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"its own")


def _crowd(top: Path, block: int) -> None:
    """Leaves no room but single blocks, and makes a directory whose blocks are of several."""
    subprocess.run(("xfs_io", "-x", "-c", "resblks 0", top), check=True, capture_output=True)
    descriptor = os.open(top / "crowd", os.O_RDWR | os.O_CREAT)
    step, size = 1 << 22, 0
    while step >= block:
        try:
            os.posix_fallocate(descriptor, size, step)
            size += step
        except OSError:
            step >>= 1
    os.close(descriptor)
    subprocess.run(
        ("xfs_io", *(f"-cfpunch {at * block} {block}" for at in range(0, 600, 2)), top / "crowd"),
        check=True,
    )
    (top / "crowded").mkdir()
    for number in range(1200):
        os.link(top / "more behind", top / "crowded" / f"{number}-{'c' * 200}")


def fill(top: Path, block: int) -> None:
    """Fills a file system with each form that XFS keeps anything in."""
    (top / "empty").mkdir()
    _names(top / "short", 3)
    _names(top / "block", 12)
    _names(top / "leaf", max(40, block // 24))
    _names(top / "node", min(max(600, block // 6), 1500))
    _scattered(top / "scattered", block)
    (top / "gaps").mkdir()
    _names(top / "gaps" / "of names", 60)
    for path in sorted((top / "gaps" / "of names").iterdir())[::3]:
        path.unlink()
    (top / os.fsdecode(b"\xff\n" + b"n" * 253)).write_text("odd")
    (top / "file").write_bytes(b"letters" * 3000)
    (top / "exactly").write_bytes(b"b" * block)
    (top / "nothing").write_bytes(b"")
    os.link(top / "file", top / "empty" / "second name")
    for count, name in ((5, "few pieces"), (90, "pieces"), (1700, "very many pieces")):
        if count * block < 20 * MIB:
            _pieces(top / name, count, block)
    _holes(top, block)
    for length in (1, 100, 400, 1023):
        (top / f"link of {length}").symlink_to("t" * length)
    os.mkfifo(top / "fifo", 0o600)
    os.mknod(top / "socket", stat.S_IFSOCK | 0o755)
    os.mknod(top / "console", stat.S_IFCHR | 0o620, os.makedev(5, 1))
    os.mknod(top / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70_000))
    (top / "file").chmod(0o6755)
    (top / "empty").chmod(0o1777)
    os.chown(top / "exactly", 4_294_967_294, 100_000)
    _attributes(top, block)
    for name, nanoseconds in (("1901", -2_147_483_648 * 10**9 + 1), ("1969", -1),
                              ("2038", 2_147_483_647 * 10**9 + 999_999_999),
                              ("2400", 13_569_465_600 * 10**9 + 5)):  # fmt: skip
        (top / name).write_text(name)
        os.utime(top / name, ns=(0, nanoseconds))


def _names(folder: Path, count: int) -> None:
    folder.mkdir()
    first = folder / "first"
    first.write_bytes(b"")
    for number in range(count):
        name = folder / f"{number * 7919 % 10007}-{'x' * (number % 23)}"
        if number < 20:
            name.write_bytes(b"")
        else:
            os.link(first, name)


def _scattered(folder: Path, block: int) -> None:
    """Makes a directory whose blocks lie between those of a file."""
    if block not in _SCATTERED:
        return
    folder.mkdir()
    between = os.open(folder / "0-between", os.O_WRONLY | os.O_CREAT)
    first = folder / "first"
    first.write_bytes(b"")
    for number in range(_SCATTERED[block]):
        os.link(first, folder / f"{number:04}-{'y' * (50 if number % 8 else 200)}")
        if number % (block // 160) == 0:
            os.write(between, b"z" * (9 * block))
            os.fsync(between)
    os.close(between)


def _pieces(path: Path, count: int, block: int) -> None:
    """Writes a file of so many pieces with holes between them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    for number in range(count):
        os.pwrite(descriptor, bytes([number % 255 + 1]) * block, number * 2 * block)
    os.close(descriptor)


def _holes(top: Path, block: int) -> None:
    descriptor = os.open(top / "hole", os.O_WRONLY | os.O_CREAT)
    os.pwrite(descriptor, b"far", 1 << 40)
    os.close(descriptor)
    (top / "all hole").touch()
    os.truncate(top / "all hole", 5 << 30)
    descriptor = os.open(top / "set aside", os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(descriptor, 0, 9 * block)
    os.pwrite(descriptor, b"written", 4 * block + 3)
    os.close(descriptor)
    (top / "more behind").write_bytes(b"short")
    subprocess.run(("xfs_io", "-c", f"falloc -k 0 {40 * block}", top / "more behind"), check=True)


def _attributes(top: Path, block: int) -> None:
    capability = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    several: dict[str, dict[bytes, bytes]] = {
        "attributes inside": {
            b"user.a": b"1", b"trusted.b": b"2", b"security.capability": capability,
        },
        "attributes in a block": {b"user.%02d" % n: b"v" * 20 for n in range(block // 60)},
        "attributes of blocks": {b"user.%04d" % n: b"v" * 40 for n in range(min(block // 20, 600))},
        "attributes far away": {b"user.far": b"f" * 65536, b"user.empty": b"", b"user.near": b"n"},
        "attributes in pieces": {b"user.p%d" % n: bytes([n + 65]) * 9000 for n in range(40)},
    }  # fmt: skip
    if block > 4096:
        del several["attributes in pieces"]
    for name, values in several.items():
        (top / name).write_text(name)
        with (top / "attributes far away").open("ab") as between:
            for key, value in values.items():
                os.setxattr(top / name, key, value)
                if name == "attributes in pieces":
                    between.write(b"b" * block)
                    between.flush()
                    os.fsync(between.fileno())
    os.setxattr(top / "short", b"system.posix_acl_access", ACL)
    os.setxattr(top / "short", b"system.posix_acl_default", ACL)
    os.setxattr(top / "link of 1", b"trusted.on-a-link", b"1", follow_symlinks=False)
    os.setxattr(top / "link of 1023", b"security.on-a-link", b"l" * 500, follow_symlinks=False)
    os.setxattr(top / "console", b"trusted.on-a-device", b"d")


if __name__ == "__main__":
    main(sys.argv[1:])
