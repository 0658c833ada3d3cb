"""What foreign file systems, tables and members of larger storage begin with: one row each.

None of these is read here. A row says what the bytes are and what would read them, in one sentence
that every verb uses. Rows are looked at in their order: what may stand around another comes first.

Sources: BLKID is libblkid of util-linux (libblkid/src/superblocks and partitions), FILE the magic
numbers of file(1); others are named in their row.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.image.reading import Window

Kind = Literal["file system", "table", "encrypted", "member", "other"]

BLKID, FILE = "libblkid", "file(1)"

_KIB, _MIB = 1 << 10, 1 << 20
_FROM_END = 64 * _KIB


@dataclass(frozen=True, slots=True)
class Signature:
    """One thing that bytes can be.

    Attributes:
        key: As blkid calls it in TYPE or PTTYPE, where it knows it.
        title: With its article: "an XFS file system".
        kind: What sort of thing it is.
        tests: Each a set of (offset, bytes) that must all be there; any one test will do. An
            offset below 0 counts from the end.
        would: What does read it, for a sentence: "mount it with ...".
        source: Where the numbers come from.
        label: Where its label is: offset, bytes, encoding.
        uuid: Offset of 16 bytes.
        holds: A further test of the window.
    """

    key: str
    title: str
    kind: Kind
    tests: tuple[tuple[tuple[int, bytes], ...], ...]
    would: str
    source: str
    label: tuple[int, int, str] | None = None
    uuid: int | None = None
    holds: Callable[[Window], bool] | None = None


def _at(*places: int, magic: bytes) -> tuple[tuple[tuple[int, bytes], ...], ...]:
    """Returns the tests of one magic number in any of several places."""
    return tuple(((place, magic),) for place in places)


def _any(*tests: tuple[int, bytes]) -> tuple[tuple[tuple[int, bytes], ...], ...]:
    """Returns the tests of several magic numbers of which one is enough."""
    return tuple((test,) for test in tests)


def _mount(kind: str, tool: str = "") -> str:
    looks = f", or look inside with `{tool}`" if tool else ""
    return f"mount it (`mount -t {kind} -o ro,loop`){looks}"


def _raid_090(window: Window) -> bool:
    """Whether there is a superblock of version 0.90: in the last whole 64 KiB but one."""
    at = (window.size & ~(_FROM_END - 1)) - _FROM_END
    return at > 0 and window.read(at, 4) in {b"\xfc\x4e\x2b\xa9", b"\xa9\x2b\x4e\xfc"}


def _raid_10(window: Window) -> bool:
    """Whether there is a superblock of version 1.0: 8 KiB before the end, at a multiple of 4."""
    at = (window.size // 512 - 16 & ~7) * 512
    return at > 0 and window.read(at, 8) == b"\xfc\x4e\x2b\xa9\x01\0\0\0"


def _is_sun(window: Window) -> bool:
    """Whether a Sun label's words add up: their exclusive or is 0."""
    total = 0
    for word in struct.unpack(">256H", window.read(0, 512)):
        total ^= word
    return total == 0


def _zfs(window: Window) -> bool:
    """Whether at least four uberblocks stand in the first label."""
    ring = window.read(128 * _KIB, 128 * _KIB)
    places = range(0, len(ring), _KIB)
    magics = {b"\x0c\xb1\xba\0\0\0\0\0", b"\0\0\0\0\0\xba\xb1\x0c"}
    return sum(ring[at : at + 8] in magics for at in places) >= 4


_LVM = tuple(((at, b"LABELONE"), (at + 24, b"LVM2 001")) for at in range(0, 2048, 512))
_UDF = tuple(
    ((32 * _KIB + 1, mark), (32 * _KIB + sector * size + 1, b"NSR0" + version))
    for mark in (b"BEA01", b"CD001")
    for size in (2048, 4096)
    for sector in range(1, 10)
    for version in (b"2", b"3")
)
_BSD = struct.pack("<I", 0x82564557)
_MINIX = ((0x10, b"\x7f\x13"), (0x10, b"\x8f\x13"), (0x10, b"\x68\x24"), (0x10, b"\x78\x24"))
_UFS = tuple(
    (at + 0x55C, magic)
    for at in (8 * _KIB, 64 * _KIB, 256 * _KIB, 0)
    for magic in (
        b"\x54\x19\x01\0", b"\0\x01\x19\x54", b"\x19\x01\x54\x19", b"\x19\x54\x01\x19",
    )
)  # fmt: skip


def _minix(window: Window) -> bool:
    """Whether the figures of a superblock make sense: its magic number has but two bytes."""
    raw = window.read(_KIB, 32)
    inodes, zones, inode_maps, zone_maps = struct.unpack_from("<HHHH", raw)
    (wide,) = struct.unpack_from("<I", raw, 20)
    total = zones or wide
    return bool(inodes and inode_maps and zone_maps) and total * 8 * _KIB >= inode_maps * 8 * _KIB


def _nilfs(window: Window) -> bool:
    """Whether a superblock's size makes sense, whose magic number has but two bytes."""
    return 0x100 <= int.from_bytes(window.read(_KIB + 8, 2), "little") <= _KIB


def _hfs(window: Window) -> bool:
    """Whether an allocation block is a multiple of a sector, as the old HFS has it."""
    size = int.from_bytes(window.read(_KIB + 20, 4), "big")
    return size > 0 and size % 512 == 0


def _is_program(window: Window) -> bool:
    """Whether there is the header of a PE program behind that of a DOS one."""
    head = window.read(0, 64)
    at = int.from_bytes(head[60:64], "little")
    return head[:2] == b"MZ" and window.read(at, 4) == b"PE\0\0"


SIGNATURES: tuple[Signature, ...] = (
    # Tables of partitions.
    Signature(
        "mac", "an Apple partition map", "table", (((0, b"ER"), (512, b"PM\0\0")),),
        "`parted IMAGE unit s print` lists its partitions; copy one out to inspect it", BLKID,
    ),
    Signature(
        "bsd", "a BSD disklabel", "table",
        _at(512, 64, 0, 128, magic=_BSD), "`sfdisk -l` lists its partitions", BLKID,
    ),
    Signature(
        "sun", "a Sun disk label", "table", _any((508, b"\xda\xbe")),
        "`sfdisk -l` lists its partitions", BLKID, holds=_is_sun,
    ),
    Signature(
        "sgi", "an SGI volume header (dvh)", "table", _any((0, b"\x0b\xe5\xa9\x41")),
        "`sfdisk -l` lists its partitions", BLKID,
    ),
    Signature(
        "amiga", "an Amiga rigid disk block", "table",
        _at(*range(0, 16 * 512, 512), magic=b"RDSK"), "`parted IMAGE print` lists its partitions",
        "Linux kernel, include/uapi/linux/affs_hardblocks.h",
    ),
    Signature(
        "aix", "an AIX disk label", "table", _any((0, b"\xc9\xc2\xd4\xc1")),
        "AIX reads it", BLKID,
    ),
    # What is not a file system yet.
    Signature(
        "crypto_LUKS", "a LUKS encrypted volume", "encrypted",
        _any((0, b"LUKS\xba\xbe")),
        "`cryptsetup open` with its key gives what is inside", BLKID,
    ),
    Signature(
        "BitLocker", "a BitLocker encrypted volume", "encrypted",
        _any((3, b"-FVE-FS-")), "`cryptsetup open --type bitlk` with its key gives what is inside",
        BLKID,
    ),
    Signature(
        "cs_fvault2", "an Apple Core Storage (FileVault 2) volume", "encrypted",
        (((88, b"CS"), (8, b"\x01\0")),),
        "`cryptsetup open --type fvault2` with its key gives what is inside", BLKID,
    ),
    Signature(
        "LVM2_member", "an LVM physical volume", "member", _LVM,
        "`vgchange -ay` on a loop device (`losetup -P`) gives its logical volumes", BLKID,
    ),
    Signature(
        "LVM1_member", "an LVM1 physical volume", "member",
        _any((0, b"HM\x01\0"), (0, b"HM\x02\0")), "LVM tools of Linux 2.4 read it", BLKID,
    ),
    Signature(
        "linux_raid_member", "a member of a Linux software RAID", "member",
        _at(0, 4096, magic=b"\xfc\x4e\x2b\xa9\x01\0\0\0"),
        "`mdadm --assemble` with all its members gives the array", BLKID,
    ),
    Signature(
        "linux_raid_member", "a member of a Linux software RAID", "member", ((),),
        "`mdadm --assemble` with all its members gives the array", BLKID, holds=_raid_10,
    ),
    Signature(
        "linux_raid_member", "a member of a Linux software RAID", "member", ((),),
        "`mdadm --assemble` with all its members gives the array", BLKID, holds=_raid_090,
    ),
    Signature(
        "ddf_raid_member", "a member of a DDF RAID", "member", _any((-512, b"\xde\x11\xde\x11")),
        "`mdadm --assemble` with all its members gives the array", BLKID,
    ),
    Signature(
        "isw_raid_member", "a member of an Intel RAID", "member",
        _any((-1024, b"Intel Raid ISM Cfg Sig. ")),
        "`mdadm --assemble` with all its members gives the array", BLKID,
    ),
    Signature(
        "zfs_member", "a member of a ZFS pool", "member", ((),),
        "`zpool import -o readonly=on` gives its file systems", BLKID, holds=_zfs,
    ),
    Signature(
        "bcachefs", "a bcachefs file system", "file system",
        _any((4120, b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef")),
        _mount("bcachefs", "bcachefs list"), BLKID,
    ),
    Signature(
        "bcache", "a bcache device", "member",
        _any((4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81")),
        "register it with bcache (`bcache-super-show` describes it)", BLKID,
    ),
    Signature(
        "ceph_bluestore", "a Ceph BlueStore device", "member",
        _any((0, b"bluestore block device")), "`ceph-bluestore-tool` reads it", BLKID,
    ),
    Signature(
        "stratis", "a Stratis device", "member",
        _at(516, 4612, magic=b"!Stra0tis\x86\xff\x02^\x41rh"), "`stratis pool start` gives it",
        BLKID,
    ),
    Signature(
        "vdo", "a VDO volume", "member", _any((0, b"dmvdo001")), "`lvchange -ay` gives it", BLKID,
    ),
    Signature(
        "drbd", "a DRBD device", "member",
        _any(*((-4096 + 60, b"\x83\x74\x02" + last) for last in (b"\x6b", b"\x6c", b"\x6d"))),
        "`drbdadm up` gives it", BLKID,
    ),
    Signature(
        "VMFS_volume_member", "a member of a VMFS volume", "member",
        _any((_MIB, b"\x0d\xd0\x01\xc0")), "VMware ESXi or vmfs-tools read it", BLKID,
    ),
    Signature(
        "DM_verity_hash", "a dm-verity hash tree", "other", _any((0, b"verity\0\0")),
        "`veritysetup verify` with its data checks it", BLKID,
    ),
    Signature(
        "DM_integrity", "a dm-integrity volume", "member", _any((0, b"integrt\0")),
        "`integritysetup open` gives what is inside", BLKID,
    ),
    Signature(
        "DM_snapshot_cow", "the exceptions of a device-mapper snapshot", "member",
        _any((0, b"SnAp")), "it makes sense only with its origin", BLKID,
    ),
    Signature(
        "swsuspend", "a swap space with a suspended system", "other",
        tuple(
            ((page - 10, magic),)
            for page in (4096, 8192, 16384, 32768, 65536)
            for magic in (b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001")
        ),
        "only the kernel that wrote it resumes from it", BLKID,
    ),
    # File systems.
    Signature(
        "xfs", "an XFS file system", "file system", _any((0, b"XFSB")),
        _mount("xfs", "xfs_db -r"), BLKID, (108, 12, "utf-8"), 32,
    ),
    Signature(
        "btrfs", "a Btrfs file system", "file system", _any((0x10040, b"_BHRfS_M")),
        _mount("btrfs", "btrfs restore"), BLKID, (0x1012B, 256, "utf-8"), 0x10020,
    ),
    Signature(
        "ntfs", "an NTFS file system", "file system", _any((3, b"NTFS    ")),
        _mount("ntfs3", "ntfsls"), BLKID,
    ),
    Signature(
        "exfat", "an exFAT file system", "file system", _any((3, b"EXFAT   ")),
        _mount("exfat"), BLKID,
    ),
    Signature(
        "ReFS", "a ReFS file system", "file system", _any((3, b"ReFS\0\0\0\0")),
        "Windows reads it", BLKID,
    ),
    Signature(
        "udf", "a UDF file system", "file system", _UDF, _mount("udf"), BLKID,
    ),
    Signature(
        "iso9660", "an ISO 9660 file system", "file system",
        _any((0x8001, b"CD001"), (0x8009, b"CDROM")),
        _mount("iso9660", "xorriso -indev IMAGE -find"), BLKID, (0x8028, 32, "ascii"),
    ),
    Signature(
        "f2fs", "an F2FS file system", "file system", _any((1024, b"\x10\x20\xf5\xf2")),
        _mount("f2fs", "dump.f2fs"), BLKID, (0x47C, 1024, "utf-16-le"), 0x46C,
    ),
    Signature(
        "squashfs", "a SquashFS file system", "file system", (((0, b"hsqs"), (28, b"\4\0")),),
        _mount("squashfs", "unsquashfs -l"), BLKID,
    ),
    Signature(
        "squashfs3", "a SquashFS file system of a version before 4", "file system",
        _any((0, b"sqsh"), (0, b"hsqs"), (0, b"qshs")), "`unsquashfs` of that time reads it", BLKID,
    ),
    Signature(
        "erofs", "an EROFS file system", "file system", _any((1024, b"\xe2\xe1\xf5\xe0")),
        _mount("erofs", "dump.erofs"), BLKID,
    ),
    Signature(
        "cramfs", "a cramfs file system", "file system",
        _any((0, b"\x45\x3d\xcd\x28"), (0, b"\x28\xcd\x3d\x45"), (512, b"\x45\x3d\xcd\x28")),
        _mount("cramfs", "fsck.cramfs -x"), BLKID, (48, 16, "ascii"),
    ),
    Signature(
        "romfs", "a romfs file system", "file system", _any((0, b"-rom1fs-")),
        _mount("romfs"), BLKID, (16, 16, "ascii"),
    ),
    Signature(
        "apfs", "an APFS container", "file system", _any((32, b"NXSB")),
        "macOS or apfs-fuse read it", BLKID, None, 72,
    ),
    Signature(
        "hfsplus", "an HFS+ file system", "file system",
        _any((1024, b"H+\0\x04"), (1024, b"HX\0\x05")), _mount("hfsplus"), BLKID,
    ),
    Signature(
        "hfs", "an HFS file system", "file system", _any((1024, b"BD")), _mount("hfs"), BLKID,
        holds=_hfs,
    ),
    Signature(
        "reiserfs", "a ReiserFS file system", "file system",
        _any(
            (0x10034, b"ReIsErFs"), (0x10034, b"ReIsEr2Fs"), (0x10034, b"ReIsEr3Fs"),
            (0x2034, b"ReIsErFs"),
        ),
        "`mount -t reiserfs` of Linux before 6.13 or `debugreiserfs` read it", BLKID,
        (0x10064, 16, "utf-8"), 0x10054,
    ),
    Signature(
        "reiser4", "a Reiser4 file system", "file system", _any((0x10000, b"ReIsEr4")),
        "a Linux kernel with the Reiser4 patch reads it", BLKID,
    ),
    Signature(
        "jfs", "a JFS file system", "file system", _any((0x8000, b"JFS1")),
        _mount("jfs", "jfs_debugfs"), BLKID, (0x8098, 16, "utf-8"), 0x8088,
    ),
    Signature(
        "nilfs2", "a NILFS2 file system", "file system", _any((1030, b"\x34\x34")),
        _mount("nilfs2"), BLKID, holds=_nilfs,
    ),
    Signature(
        "jffs2", "a JFFS2 file system", "file system",
        _any(
            *((0, b"\x85\x19" + kind) for kind in (b"\x01\xe0", b"\x02\xe0", b"\x03\x20")),
            *((0, b"\x19\x85" + kind) for kind in (b"\xe0\x01", b"\xe0\x02", b"\x20\x03")),
        ),
        "mount it from an MTD device (`modprobe mtdram`, `mount -t jffs2`)", FILE,
    ),
    Signature(
        "ubi", "a UBI image for raw flash", "member", _any((0, b"UBI#")),
        "attach it to an MTD device (`nandsim`, `ubiattach`), or unpack it with ubi_reader", BLKID,
    ),
    Signature(
        "ubifs", "a UBIFS file system", "file system", _any((0, b"\x31\x18\x10\x06")),
        "put it into a UBI volume (`ubiupdatevol`) and mount that, or unpack it with ubi_reader",
        BLKID,
    ),
    Signature(
        "yaffs2", "a YAFFS2 file system", "file system",
        _any((0, b"\x03\0\0\0\x01\0\0\0\xff\xff")), "`unyaffs` unpacks it", FILE,
    ),
    Signature(
        "minix", "a Minix file system", "file system",
        (*_any(*((_KIB + at, magic) for at, magic in _MINIX)), ((_KIB + 0x18, b"\x5a\x4d"),)),
        _mount("minix"), BLKID, holds=_minix,
    ),
    Signature(
        "ocfs2", "an OCFS2 file system", "file system",
        _at(1024, 2048, 4096, 8192, magic=b"OCFSV2"), _mount("ocfs2"), BLKID,
    ),
    Signature(
        "ocfs", "an OCFS file system", "file system", _any((8, b"OracleCFS")),
        "Oracle's tools of that time read it", BLKID,
    ),
    Signature(
        "oracleasm", "an Oracle ASM disk", "member", _any((32, b"ORCLDISK")),
        "Oracle ASM reads it", BLKID,
    ),
    Signature(
        "gfs2", "a GFS or GFS2 file system", "file system",
        _any((0x10000, b"\x01\x16\x19\x70")), _mount("gfs2"), BLKID,
    ),
    Signature(
        "vxfs", "a VxFS file system", "file system",
        _any((1024, b"\xf5\xfc\x01\xa5"), (8192, b"\xa5\x01\xfc\xf5")), _mount("freevxfs"), BLKID,
    ),
    Signature(
        "hpfs", "an HPFS file system", "file system", _any((0x2000, b"\x49\xe8\x95\xf9")),
        _mount("hpfs"), BLKID,
    ),
    Signature(
        "befs", "a BeFS file system", "file system",
        _any((32, b"BFS1"), (32, b"1SFB"), (544, b"BFS1"), (544, b"1SFB")), _mount("befs"), BLKID,
    ),
    Signature(
        "bfs", "an SCO BFS file system", "file system", _any((0, b"\xce\xfa\xad\x1b")),
        _mount("bfs"), BLKID,
    ),
    Signature(
        "qnx6", "a QNX6 file system", "file system",
        _any((0x2000, b"\x22\x11\x19\x68"), (0x2000, b"\x68\x19\x11\x22")), _mount("qnx6"),
        "Linux kernel, fs/qnx6",
    ),
    Signature(
        "affs", "an Amiga file system", "file system",
        _any(*((0, b"DOS" + bytes([kind])) for kind in range(8))), _mount("affs"),
        "Linux kernel, include/uapi/linux/affs_hardblocks.h",
    ),
    Signature(
        "zonefs", "a zonefs file system", "file system", _any((0, b"SFOZ")), _mount("zonefs"),
        BLKID,
    ),
    Signature(
        "nss", "a Novell storage services pool", "file system", _any((0x1000, b"SPB5")),
        "NetWare or Open Enterprise Server read it", BLKID,
    ),
    Signature(
        "ufs", "a UFS file system", "file system", _any(*_UFS),
        _mount("ufs -o ufstype=ufs2", "fsdb_ffs"), BLKID,
    ),
    Signature(
        "xenix", "a Xenix file system", "file system",
        _any((2048, b"\x2b\x55\x44"), (2048, b"\x44\x55\x2b")),
        _mount("sysv"), BLKID,
    ),
    Signature(
        "sysv", "a System V file system", "file system",
        tuple(
            ((at * _KIB + 512 + 0x1F8, magic),)
            for at in (0, 9, 15, 18) for magic in (b"\x20\x7e\x18\xfd", b"\xfd\x18\x7e\x20")
        ),
        _mount("sysv"), BLKID,
    ),
    # What firmware and boards take, and no file system.
    Signature(
        "uimage", "a U-Boot image", "other", _any((0, b"\x27\x05\x19\x56")),
        "`dumpimage -l` describes it", "U-Boot, include/image.h",
    ),
    Signature(
        "fdt", "a flattened device tree or FIT image", "other", _any((0, b"\xd0\x0d\xfe\xed")),
        "`dtc -I dtb` or `dumpimage -l` describe it", "Devicetree Specification 0.4, 5.2",
    ),
    Signature(
        "android_boot", "an Android boot image", "other",
        _any((0, b"ANDROID!"), (0, b"VNDRBOOT")), "`unpack_bootimg` unpacks it",
        "AOSP, system/tools/mkbootimg",
    ),
    Signature(
        "vbmeta", "an Android verified boot record (vbmeta)", "other", _any((0, b"AVB0")),
        "`avbtool info_image` describes it", "AOSP, external/avb",
    ),
    # What somebody may give for an image.
    Signature(
        "cpio", "a cpio archive, such as an initrd", "other",
        _any((0, b"070701"), (0, b"070702")), "`cpio -it` lists it", FILE,
    ),
    Signature(
        "elf", "an ELF program", "other", _any((0, b"\x7fELF")), "`readelf -h` describes it", FILE,
    ),
    Signature(
        "ar", "an ar archive, such as a Debian package", "other", _any((0, b"!<arch>\n")),
        "`ar t` lists it", FILE,
    ),
    Signature(
        "rpm", "an RPM package", "other", _any((0, b"\xed\xab\xee\xdb")), "`rpm -qlp` lists it",
        FILE,
    ),
    Signature(
        "pdf", "a PDF document", "other", _any((0, b"%PDF-")), "a PDF viewer shows it", FILE,
    ),
    Signature(
        "pe", "a program for UEFI or Windows, or a kernel", "other", ((),),
        "`objdump -x` describes it", FILE, holds=_is_program,
    ),
)  # fmt: skip
"""In the order in which they are looked for."""
