"""Records the images that `test_reader` reads: made, filled and read by the kernel's own Btrfs.

    unshare --mount python -m tests.engine.filesystems.btrfs.record [name...]

needs root, loop devices and a kernel with Btrfs, which no test may ask for: so the images are kept,
packed, and beside each what the kernel said of every file in it.
"""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engine.filesystems.recorded import ACL, Recordings, kernel_says

RECORDINGS = Recordings(Path(__file__).parent / "data")
MIB = 1 << 20
IMAGES: dict[str, tuple[str, ...]] = {
    "usual": (),
    "small": ("--nodesize", "4096", "--mixed", "--sectorsize", "4096", "--csum", "sha256",
              "--features", "^no-holes"),
    "large": ("--nodesize", "65536", "--csum", "blake2", "--metadata", "single"),
    "other": ("--nodesize", "16384", "--csum", "xxhash", "--metadata", "single"),
}  # fmt: skip
"""Options of mkfs.btrfs by name."""


def main(names: list[str]) -> None:
    """Records some or all images."""
    for name in names or IMAGES:
        with tempfile.TemporaryDirectory() as folder:
            _record(name, Path(folder))


def _record(name: str, folder: Path) -> None:
    image, top = folder / "image", folder / "top"
    with image.open("wb") as file:
        file.truncate(128 * MIB)
    argv = ("mkfs.btrfs", "-q", "--label", name, *IMAGES[name], str(image))
    subprocess.run(argv, check=True, capture_output=True)
    top.mkdir()
    # What mkfs.btrfs forgets in the tree of free space would be an error to newer checks.
    _btrfs("check", "--clear-space-cache", "v2", image)
    with _mounted(image, top, "rw,space_cache=v2"):
        _fill(top)
        (_crowd if name == "small" else _subvolumes)(top)
    with _mounted(image, top, "ro,subvolid=5"):
        said = list(kernel_says(top))
    subprocess.run(("btrfs", "check", "--check-data-csum", image), check=True, capture_output=True)
    RECORDINGS.keep(name, image, said)


@contextmanager
def _mounted(image: Path, top: Path, options: str = "rw") -> Iterator[None]:
    subprocess.run(("mount", "-t", "btrfs", "-o", f"loop,{options}", image, top), check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", top), check=True)


def _btrfs(*argv: str | Path) -> None:
    subprocess.run(("btrfs", *argv), check=True, capture_output=True)


def _fill(top: Path) -> None:
    """Fills a file system with each form that Btrfs keeps anything in."""
    chosen = random.Random(11)
    (top / "empty").mkdir()
    (top / "file").write_bytes(b"letters" * 3000)
    (top / "inline").write_bytes(b"i" * 700)
    (top / "exactly").write_bytes(b"b" * 4096)
    (top / "nothing").write_bytes(b"")
    (top / os.fsdecode(b"\xff\n" + b"n" * 253)).write_text("odd")
    os.link(top / "file", top / "empty" / "second name")
    for kind in ("zlib", "lzo", "zstd"):
        _packed(top, kind, chosen)
    _holes(top, chosen)
    for length in (1, 100, 1023):
        (top / f"link of {length}").symlink_to("t" * length)
    os.mkfifo(top / "fifo", 0o600)
    os.mknod(top / "socket", stat.S_IFSOCK | 0o755)
    os.mknod(top / "console", stat.S_IFCHR | 0o620, os.makedev(5, 1))
    os.mknod(top / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70_000))
    os.chown(top / "exactly", 4_294_967_294, 100_000)
    (top / "file").chmod(0o6755)
    (top / "empty").chmod(0o1777)
    (top / "names").mkdir()
    for number in range(400):
        (top / "names" / f"{number * 7919 % 10007}-{'x' * (number % 23)}").write_bytes(b"")
    values = {b"user.%02d" % number: b"v" * number for number in range(30)}
    for key, value in {**values, b"trusted.b": b"2", b"user.empty": b""}.items():
        os.setxattr(top / "inline", key, value)
    os.setxattr(top / "names", b"system.posix_acl_access", ACL)
    os.setxattr(top / "names", b"system.posix_acl_default", ACL)
    os.setxattr(top / "link of 1", b"trusted.on-a-link", b"1", follow_symlinks=False)
    for name, nanoseconds in (("early", -(1 << 40) * 10**9 + 1), ("late", (1 << 40) * 10**9 + 5)):
        (top / name).write_text(name)
        os.utime(top / name, ns=(0, nanoseconds))


def _packed(top: Path, kind: str, chosen: random.Random) -> None:
    """Writes compressed files: short, with data that does not shrink, of several pieces."""
    for name, data in (
        ("short", b"short " * 200),
        ("long", b"".join(b"%06d\n" % number for number in range(40_000))),
        ("mixed", b"".join(chosen.randbytes(300) + bytes([at % 251]) * 5000 for at in range(40))),
    ):
        path = top / f"{kind} {name}"
        path.touch()
        _btrfs("property", "set", path, "compression", kind)
        path.write_bytes(data)
        os.sync()
    # One that begins in the midst of what is packed.
    subprocess.run(("cp", "--reflink=always", top / f"{kind} long", top / f"{kind} part"),
                   check=True)  # fmt: skip
    with (top / f"{kind} part").open("r+b") as part:
        part.seek(40_960)
        part.write(b"other" * 1000)
    os.sync()


def _holes(top: Path, chosen: random.Random) -> None:
    descriptor = os.open(top / "hole", os.O_WRONLY | os.O_CREAT)
    os.pwrite(descriptor, b"far", 1 << 40)
    os.close(descriptor)
    (top / "all hole").touch()
    os.truncate(top / "all hole", 5 << 30)
    descriptor = os.open(top / "set aside", os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(descriptor, 0, 9 * 4096)
    os.pwrite(descriptor, b"written", 4 * 4096 + 3)
    os.close(descriptor)
    (top / "more behind").write_bytes(b"short" * 1000)
    subprocess.run(("fallocate", "--keep-size", "-l", "163840", top / "more behind"), check=True)
    (top / "without sums").touch()
    subprocess.run(("chattr", "+C", top / "without sums"), check=True)
    (top / "without sums").write_bytes(b"nobody counts" * 900)
    descriptor = os.open(top / "pieces", os.O_WRONLY | os.O_CREAT)
    for number in range(120):
        os.pwrite(descriptor, bytes([number % 255 + 1]) * chosen.choice((4096, 9000)),
                  number * 5 * 4096)  # fmt: skip
        if number % 8 == 0:
            os.fsync(descriptor)
    os.close(descriptor)
    os.sync()
    subprocess.run(("cp", "--reflink=always", top / "pieces", top / "same pieces"), check=True)


def _subvolumes(top: Path) -> None:
    """Makes subvolumes in each other, snapshots of them, and a default one."""
    _btrfs("subvolume", "create", top / "@")
    (top / "@" / "etc").mkdir()
    (top / "@" / "etc" / "os-release").write_text('ID=inner\nPRETTY_NAME="In a subvolume"\n')
    (top / "@" / "etc" / "fstab").write_text(
        "LABEL=usual / btrfs defaults 0 1\nLABEL=usual /home btrfs noatime,subvol=/@home 0 2\n"
    )
    (top / "@" / "home").mkdir()
    (top / "@" / "deep").mkdir()
    _btrfs("subvolume", "create", top / "@" / "deep" / "er")
    (top / "@" / "deep" / "er" / "file").write_text("in the inner one")
    _btrfs("subvolume", "create", top / "@home")
    (top / "@home" / "note").write_bytes(b"of the home " * 900)
    os.link(top / "@home" / "note", top / "@home" / "same")
    _btrfs("subvolume", "snapshot", top / "@", top / "empty" / "snapshot")
    _btrfs("subvolume", "snapshot", "-r", top / "@home", top / "@home" / "before")
    (top / "@home" / "note").write_bytes(b"changed since " * 900)
    _btrfs("subvolume", "set-default", top / "@")


def _crowd(top: Path) -> None:
    """Makes trees of several levels, and names that share a hash with none."""
    (top / "crowd").mkdir()
    for number in range(1500):
        (top / "crowd" / f"{number}-{'c' * (number % 190)}").write_bytes(b"%d" % number)


if __name__ == "__main__":
    main(sys.argv[1:])
