"""Reads partition tables, MBR and GPT, at 512- and 4096-byte sectors, and says what is wrong.

Source: UEFI specification 2.10, sections 5.2 (MBR) and 5.3 (GPT).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal
from zlib import crc32

from engine.image.container.disk import Disk
from engine.units import in_bytes

_GPT = b"EFI PART"
_HEADER = struct.Struct("<8sIII4xQQQQ16sQIII")
_ENTRY = struct.Struct("<16s16sQQQ72s")
_MBR_ENTRY = struct.Struct("<B3xB3xII")
_PROTECTIVE = 0xEE
_EXTENDED = {0x05, 0x0F, 0x85}
_MAX_ENTRIES = 1024
_MAX_LOGICAL = 128
_SECTORS = 1 << 34  # more than an MBR can name
_SIGNATURE_AT = 440
SECTORS = (512, 4096)
_MAGICS = (
    (510, b"\x55\xaa"),  # FAT and NTFS, and the records of an extended partition
    (1080, b"\x53\xef"),  # ext
    (1024, b"\xe2\xe1\xf5\xe0"),  # EROFS
    (0, b"hsqs"),
    (0, b"XFSB"),
    (0, b"LUKS\xba\xbe"),
    (4086, b"SWAPSPACE2"),
)
"""Where the commonest formats have what they are known by (libblkid knows them all)."""
_BOOT_SECTORS = {b"NTFS    ", b"EXFAT   ", b"-FVE-FS-", b"ReFS\0\0\0\0"}
_UNPROTECTED = (
    "there is a GPT behind this MBR, which has no protective entry: firmware and kernels read the "
    "MBR alone"
)
_LOST = "the MBR protects a GPT, but neither the GPT nor its backup is there: the table is lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition as its table has it. `start` and `sectors` count logical sectors."""

    number: int
    start: int
    sectors: int
    type: str
    guid: str | None = None
    name: str | None = None
    attributes: int = 0
    active: bool = False

    @property
    def end(self) -> int:
        """The sector behind the last."""
        return self.start + self.sectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A partition table.

    Attributes:
        guid: The disk GUID of a GPT, upper case.
        signature: The disk signature of an MBR ("0x1234abcd").
        pmbr_boot: Whether a GPT's protective MBR has its entry active.
        findings: What is wrong with it, in sentences.
    """

    kind: Literal["gpt", "mbr", "none"]
    sector_size: int = 512
    guid: str | None = None
    signature: str | None = None
    first_usable: int = 0
    last_usable: int = 0
    partitions: tuple[Partition, ...] = ()
    findings: tuple[str, ...] = ()
    pmbr_boot: bool = False


def read_table(disk: Disk) -> Table:
    """Returns the partition table of a disk; kind "none" where there is none."""
    if disk.size < 512:
        return Table(kind="none")
    mbr = disk.read(0, 512)
    signed = mbr[510:512] == b"\x55\xaa"
    entries = [_MBR_ENTRY.unpack_from(mbr, 446 + 16 * slot) for slot in range(4)]
    protects = signed and any(kind == _PROTECTIVE for _, kind, _, _ in entries)
    is_mbr = signed and _plausible(mbr, entries)
    for sector in SECTORS:
        if disk.size < sector * 4 or disk.read(sector, 8) != _GPT:
            continue
        if is_mbr and not protects:
            return _mbr(disk, mbr, entries, _UNPROTECTED)
        active = any(flag == 0x80 and kind == _PROTECTIVE for flag, kind, _, _ in entries)
        return replace(_gpt(disk, sector, protected=protects), pmbr_boot=active)
    if protects:
        return _backup_of_lost_primary(disk) or _mbr(disk, mbr, entries, _LOST)
    return _mbr(disk, mbr, entries) if is_mbr else Table(kind="none")


def _plausible(mbr: bytes, entries: Sequence[tuple[int, int, int, int]]) -> bool:
    """Whether four entries make sense: boot sectors of file systems are signed like an MBR."""
    used = [entry for entry in entries if entry[1]]
    filesystem = b"FAT" in mbr[:96] or mbr[3:11] in _BOOT_SECTORS
    return (
        bool(used)
        and all(flag in {0, 0x80} and start and count for flag, _, start, count in used)
        and not filesystem
    )


def _mbr_sector(disk: Disk, entries: Sequence[tuple[int, int, int, int]]) -> int:
    """Returns the bytes of a sector, which an MBR does not say: what its partitions hold does."""
    used = [(start, count) for _, kind, start, count in entries if kind]
    if disk.size % 4096 or any((start + count) * 4096 > disk.size for start, count in used):
        return 512
    begin = {sector: sum(_begins(disk, start * sector) for start, _ in used) for sector in SECTORS}
    return 4096 if begin[4096] > begin[512] else 512


def _begins(disk: Disk, at: int) -> bool:
    """Whether something that is known by its first bytes begins at a byte of the disk."""
    head = disk.read(at, max(min(4096, disk.size - at), 0)) if at < disk.size else b""
    return any(head[place : place + len(magic)] == magic for place, magic in _MAGICS)


def _mbr(
    disk: Disk, mbr: bytes, entries: Sequence[tuple[int, int, int, int]], *found: str
) -> Table:
    partitions = []
    findings = list(found)
    sector = _mbr_sector(disk, entries)
    for number, (flag, kind, start, count) in enumerate(entries, start=1):
        if not kind:
            continue
        partitions.append(
            Partition(
                number=number, start=start, sectors=count, type=f"0x{kind:02x}",
                active=flag == 0x80,
            )
        )  # fmt: skip
        if kind in _EXTENDED:
            partitions += _logical(disk, start, sector, findings)
    (signature,) = struct.unpack_from("<I", mbr, _SIGNATURE_AT)
    last = disk.size // sector - 1
    return Table(
        kind="mbr", sector_size=sector, signature=f"0x{signature:08x}", first_usable=1,
        last_usable=last, partitions=tuple(partitions),
        findings=(*findings, *_past(partitions, last), *_placement(partitions, 1, _SECTORS)),
    )  # fmt: skip


def _past(partitions: Sequence[Partition], last: int) -> Iterator[str]:
    for partition in partitions:
        if partition.end - 1 > last and partition.type != f"0x{_PROTECTIVE:02x}":
            yield (
                f"partition {partition.number} ends at sector {partition.end - 1}, past the last "
                f"of the disk ({last})"
            )


def _logical(disk: Disk, base: int, sector: int, findings: list[str]) -> list[Partition]:
    found: list[Partition] = []
    at = base
    for number in range(5, 5 + _MAX_LOGICAL):
        if (at + 1) * sector > disk.size:
            findings.append(f"the extended partition's chain leads to sector {at}, past the disk")
            return found
        raw = disk.read(at * sector, 512)
        if raw[510:512] != b"\x55\xaa":
            findings.append(f"no boot record at sector {at} of the extended partition")
            return found
        flag, kind, start, count = _MBR_ENTRY.unpack_from(raw, 446)
        if kind:
            found.append(
                Partition(
                    number=number, start=at + start, sectors=count, type=f"0x{kind:02x}",
                    active=flag == 0x80,
                )
            )  # fmt: skip
        _, kind, start, _ = _MBR_ENTRY.unpack_from(raw, 462)
        if kind not in _EXTENDED or not start:
            return found
        at = base + start
    findings.append(f"more than {_MAX_LOGICAL} logical partitions, or a chain that never ends")
    return found


@dataclass(frozen=True, slots=True)
class _Header:
    """One copy of the GPT header, with the entries it leads to."""

    place: int
    other: int
    first: int
    last: int
    guid: str
    array: int
    entries: bytes
    findings: tuple[str, ...]


def _header(disk: Disk, sector: int, at: int, which: str) -> _Header | None:
    """Returns a copy of the header, or None where none stands."""
    if at < 0 or (at + 1) * sector > disk.size:
        return None
    raw = disk.read(at * sector, sector)
    signature, _, size, stored, own, other, first, last, guid, array, count, width, array_crc = (
        _HEADER.unpack_from(raw)
    )
    if signature != _GPT:
        return None
    findings = []
    if not 92 <= size <= sector:
        findings.append(f"the {which} GPT header claims {in_bytes(size)}")
    elif crc32(raw[:16] + bytes(4) + raw[20:size]) != stored:
        findings.append(f"the {which} GPT header's checksum is wrong")
    if own != at:
        findings.append(f"the {which} GPT header at sector {at} believes to be at {own}")
    entries = b""
    if width < 128 or width % 8 or width > 4096 or count > _MAX_ENTRIES:
        findings.append(f"the {which} GPT has {count} entries of {width} bytes")
    elif (array * sector) + count * width > disk.size:
        findings.append(f"the {which} GPT's entries at sector {array} are past the end of the disk")
    else:
        data = disk.read(array * sector, count * width)
        if crc32(data) != array_crc:
            findings.append(f"the {which} GPT's entries do not match their checksum")
        entries = b"".join(data[n * width : n * width + 128] for n in range(count))
    return _Header(at, other, first, last, _guid(guid), array, entries, tuple(findings))


def _gpt(disk: Disk, sector: int, *, protected: bool) -> Table:
    primary = _header(disk, sector, 1, "primary")
    assert primary is not None
    total = disk.size // sector
    findings = list(primary.findings)
    if not protected:
        findings.append("there is no protective MBR")
    backup = _header(disk, sector, primary.other, "backup")
    if backup is None and primary.findings:
        backup = _header(disk, sector, total - 1, "backup")
    if backup is None:
        findings.append("the backup GPT is missing")
        return _table(primary, sector, findings)
    findings += backup.findings
    if backup.entries != primary.entries or backup.guid != primary.guid:
        findings.append("the backup GPT differs from the primary")
    if backup.place != total - 1:
        findings.append(
            f"the backup GPT is at sector {backup.place}, not in the last sector ({total - 1})"
        )
    if primary.findings and not backup.findings:
        findings.append("the partitions are those of the backup GPT, which is sound")
        return _table(backup, sector, findings)
    return _table(primary, sector, findings)


def _backup_of_lost_primary(disk: Disk) -> Table | None:
    for sector in SECTORS:
        backup = _header(disk, sector, disk.size // sector - 1, "backup")
        if backup is not None:
            findings = ["the primary GPT is missing; this is its backup", *backup.findings]
            return _table(backup, sector, findings)
    return None


def _table(header: _Header, sector: int, findings: list[str]) -> Table:
    partitions = []
    for number in range(len(header.entries) // _ENTRY.size):
        kind, guid, start, end, attributes, name = _ENTRY.unpack_from(
            header.entries, number * _ENTRY.size
        )
        if kind == bytes(16):
            continue
        partitions.append(
            Partition(
                number=number + 1, start=start, sectors=max(end + 1 - start, 0), type=_guid(kind),
                guid=_guid(guid), attributes=attributes,
                name=name.decode("utf-16-le", "replace").partition("\0")[0],
            )
        )  # fmt: skip
    findings += _placement(partitions, header.first, header.last)
    return Table(
        kind="gpt", sector_size=sector, guid=header.guid, first_usable=header.first,
        last_usable=header.last, partitions=tuple(partitions), findings=tuple(findings),
    )  # fmt: skip


def _placement(partitions: Sequence[Partition], first: int, last: int) -> list[str]:
    outer = [p for p in partitions if p.type not in {f"0x{kind:02x}" for kind in _EXTENDED}]
    findings = [
        f"partition {partition.number} (sectors {partition.start} to {partition.end - 1}) "
        f"leaves the usable sectors {first} to {last}"
        for partition in outer
        if partition.start < first or partition.end - 1 > last
    ]
    ordered = sorted(outer, key=lambda p: p.start)
    for left, right in pairwise(ordered):
        if left.end > right.start:
            findings.append(
                f"partitions {left.number} and {right.number} overlap by "
                f"{left.end - right.start} sectors"
            )
    return findings


def _guid(raw: bytes) -> str:
    return str(uuid.UUID(bytes_le=raw)).upper()
