"""What the pictures of images, comparisons and closures show, always the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from textual.pilot import Pilot

from engine.compare.diff import ByteRange, Comparison
from engine.compare.fields import Difference
from engine.compare.ranges import Reached
from engine.nix.closure import Closure, StorePath
from engine.pipeline.build import build
from engine.planning import plan_spec
from engine.spec.model import Content, ImageSpec, Layout, Size
from screenshots.waiting import PATIENCE, quiet
from tui.app import DiskwrightApp
from tui.screens.closure import ClosureScreen, ClosureTree
from tui.screens.compare import CompareScreen
from tui.screens.flash import FlashScreen
from tui.screens.image import FileTree, ImageScreen
from tui.screens.take import TakeScreen
from tui.screens.view import ViewScreen
from tui.widgets.labels import Plain
from tui.widgets.row_table import RowTable

IMAGE = Path("images/debian.img")
_RELEASE = "6.1.0-37-amd64"

_SPEC = ImageSpec(
    name="debian",
    layout=Layout(table="efi", label="debian"),
    size=Size(additional="64MiB", boot="48MiB"),
    contents=(
        Content(source="debian/root/", target="/", mode="D755,F644", user=0, group=0),
        Content(source="debian/esp/", target="/", partition="esp"),
    ),
)


_FSTAB = b"""# /etc/fstab: static file system information.
#
# Use 'blkid' to print the identifier of a device; a label does as well, unless two disks with
# the same one are in the machine. See fstab(5) and systemd.mount(5).
#
# <file system>  <mount point>  <type>  <options>                  <dump>  <pass>
LABEL=debian     /              ext4    defaults,noatime           0       1
LABEL=ESP        /efi           vfat    umask=0077                 0       2
tmpfs            /tmp           tmpfs   size=25%,mode=1777         0       0
tmpfs            /var/log       tmpfs   size=64M,mode=0755,nodev   0       0

# The rack's shared storage, there or not.
storage:/export  /srv/shared    nfs4    nofail,x-systemd.automount 0       0
"""


def _loader() -> bytes:
    """Returns the headers of an x86-64 EFI program that says it is systemd-boot."""
    head = bytearray(512)
    head[:2] = b"MZ"
    head[0x3C:0x40] = (0x80).to_bytes(4, "little")
    head[0x80:0x86] = b"PE\0\0" + (0x8664).to_bytes(2, "little")
    return bytes(head) + b"#### LoaderInfo: systemd-boot 252.39 ####".ljust(90_000, b"\0")


def _kernel() -> bytes:
    """Returns a file with the setup header of an x86 kernel of a release."""
    head = bytearray(1024)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x100).to_bytes(2, "little")
    text = f"{_RELEASE} (debian-kernel)".encode()
    head[0x300 : 0x300 + len(text)] = text
    return bytes(head).ljust(8_100_000, b"k")


def _files() -> dict[str, bytes]:
    entry = f"""title Debian GNU/Linux 12 (bookworm)
version {_RELEASE}
linux /debian/linux
initrd /debian/initrd
options root=LABEL=debian ro quiet
"""
    release = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
    return {
        "esp/EFI/BOOT/BOOTX64.EFI": _loader(),
        "esp/loader/loader.conf": b"timeout 3\n",
        "esp/loader/entries/debian.conf": entry.encode(),
        "esp/debian/linux": _kernel(),
        "esp/debian/initrd": b"i" * 11_400_000,
        f"root/boot/vmlinuz-{_RELEASE}": _kernel(),
        "root/etc/debian_version": b"12.11\n",
        "root/etc/fstab": _FSTAB,
        "root/etc/hostname": b"appliance\n",
        "root/etc/os-release": release.encode(),
        "root/etc/passwd": b"root:x:0:0:root:/root:/bin/bash\n",
        "root/usr/bin/busybox": b"b" * 1_010_000,
        "root/usr/lib/libc.so.6": b"l" * 2_150_000,
        "root/var/log/README": b"Logs go here.\n",
        "root/srv/www/index.html": b"<h1>It works</h1>\n",
    }


async def _make_image(folder: Path) -> None:
    """Builds the image in a folder, unless it is there."""
    if (folder / IMAGE).exists():
        return
    for name, data in _files().items():
        path = folder / "debian" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    outdir = (folder / IMAGE).parent
    plan = await asyncio.to_thread(partial(plan_spec, _SPEC, base=folder, outdir=outdir))
    await build(plan, lambda _event: None, outdir=outdir)


_DIFFERENCES = Comparison(
    fields=(
        Difference("table", "table, disk GUID", "9B1D7A52-0E1C-5C6B-A7F5-2C1B9A3D4E10",
                   "4E0C2D6F-6A57-5B8E-9C43-7D15F0A92B31"),
        Difference("superblock", "partition 2, superblock, free blocks (low)", "20412", "20398",
                   counts=True),
        Difference("path", "partition 2, /etc/hostname, content", "appliance", "laboratory"),
        Difference("path", "partition 2, /etc/motd", "", "regular file, 0644, 61 bytes"),
        Difference("path", "partition 2, /srv/www/index.html, mode", "0644", "0600"),
    ),
    ranges=(
        ByteRange(568, 584, "primary GPT header", "primary GPT header"),
        ByteRange(51_381_256, 51_381_264, "partition 2, superblock", "partition 2, superblock"),
        ByteRange(51_392_512, 51_392_530, "partition 2, group 0 descriptor",
                  "partition 2, group 0 descriptor"),
        ByteRange(51_511_296, 51_511_424, "partition 2, unused inode 31",
                  "partition 2, inode 31 (/etc/motd)"),
        ByteRange(53_010_432, 53_010_442, "partition 2, data of /etc/hostname",
                  "partition 2, data of /etc/hostname"),
        ByteRange(61_480_960, 61_481_021, "partition 2, unallocated blocks",
                  "partition 2, data of /etc/motd"),
        ByteRange(119_536_640, 119_537_152, "backup GPT header", "backup GPT header"),
    ),
    bytes=753,
)  # fmt: skip


def _compare(_first: Path, _second: Path, _reached: Reached) -> Comparison:
    return _DIFFERENCES


def _path(name: str, size: int, *references: str) -> StorePath:
    digest = f"{sum(map(ord, name)):04d}" * 8
    return StorePath(
        path=f"/nix/store/{digest}-{name}",
        nar_hash="0" * 64,
        nar_size=size,
        references=tuple(reference for reference in references),
    )


def _closure() -> Closure:
    glibc = _path("glibc-2.40-66", 31_400_000)
    ssl_old = _path("openssl-3.0.16", 6_900_000, glibc.path)
    ssl = _path("openssl-3.4.1", 7_300_000, glibc.path)
    perl = _path("perl-5.40.0", 60_100_000, glibc.path)
    git = _path("git-2.48.1", 52_700_000, glibc.path, perl.path, ssl_old.path)
    nginx = _path("nginx-1.26.3", 1_900_000, glibc.path, ssl.path)
    kernel = _path("linux-6.12.30", 13_200_000)
    modules = _path("linux-modules-6.12.30", 124_800_000)
    systemd = _path("systemd-257.5", 48_600_000, glibc.path, ssl.path)
    system = _path(
        "nixos-system-appliance-25.05", 41_000, git.path, nginx.path, kernel.path, modules.path,
        systemd.path,
    )  # fmt: skip
    paths = (glibc, ssl_old, ssl, perl, git, nginx, kernel, modules, systemd, system)
    return Closure(tuple(sorted(paths, key=lambda one: one.path)), (system.path,))


async def image_tour(app: DiskwrightApp, pilot: Pilot[int], folder: Path) -> AsyncIterator[str]:
    """Walks through the pages of an image, of a comparison and of a closure."""
    await _make_image(folder)
    screen = ImageScreen(IMAGE, app.glyphs)
    await app.push_screen(screen)
    async with asyncio.timeout(PATIENCE):
        while screen.summary is None:
            await pilot.pause(0.02)
    await _open(pilot, screen, "etc/")
    await _open(pilot, screen, "fstab")
    yield "image"
    await pilot.press("enter")
    await _shown(pilot, ViewScreen)
    yield "view"
    await pilot.press("escape", "s")
    await _shown(pilot, TakeScreen)
    yield "take"
    await pilot.press("escape", "w")
    await _shown(pilot, FlashScreen)
    async with asyncio.timeout(PATIENCE):
        while not app.screen.query_one(RowTable).row_count:
            await pilot.pause(0.02)
    await quiet(pilot)
    yield "flash"
    await pilot.press("escape", "escape")
    first, second = Path("images/appliance.img"), Path("images/laboratory.img")
    await app.push_screen(CompareScreen(first, second, app.glyphs, comparing=_compare))
    await app.workers.wait_for_complete()
    await quiet(pilot)
    yield "compare"
    await pilot.press("escape")
    closure = ClosureScreen(_closure(), app.glyphs)
    await app.push_screen(closure)
    await _at(pilot, closure, "nixos-system-appliance-25.05", opened=True)
    await pilot.press("down")
    await _at(pilot, closure, "git-2.48.1", opened=False)
    await pilot.press("enter")
    await _at(pilot, closure, "git-2.48.1", opened=True)
    await pilot.press("down")
    await _at(pilot, closure, "perl-5.40.0", opened=False)
    await quiet(pilot)
    yield "closure"
    await pilot.press("escape")
    await quiet(pilot)


async def _at(pilot: Pilot[int], screen: ClosureScreen, name: str, *, opened: bool) -> None:
    """Waits until the cursor is on a path, open or not, and the lines below are about it."""
    tree = screen.query_one(ClosureTree)
    async with asyncio.timeout(PATIENCE):
        while True:
            node = tree.cursor_node
            if (
                node is not None
                and str(node.label) == name
                and node.is_expanded == opened == bool(node.children)
                and name in str(screen.query_one("#closure-why", Plain).render())
            ):
                return
            await pilot.pause(0.02)


async def _open(pilot: Pilot[int], screen: ImageScreen, name: str) -> None:
    """Puts the cursor on a name that is in the tree, and opens it if it is a folder."""
    tree = screen.query_one(FileTree)
    async with asyncio.timeout(PATIENCE):
        while True:
            lines = [tree.get_node_at_line(line) for line in range(tree.last_line + 1)]
            found = [node for node in lines if node is not None and str(node.label) == name]
            if found:
                break
            await pilot.pause(0.02)
    tree.move_cursor(found[0])
    if found[0].allow_expand:
        found[0].expand()
    await quiet(pilot)


async def _shown(pilot: Pilot[int], kind: type) -> None:
    async with asyncio.timeout(PATIENCE):
        while not isinstance(pilot.app.screen, kind):
            await pilot.pause(0.02)
    await quiet(pilot)
