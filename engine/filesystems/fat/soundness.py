"""Looks for damage in a FAT file system that its reader does not meet: what fsck.fat would find.

Nothing is repaired and nothing is run.

Source: Microsoft, "FAT32 File System Specification" 1.03; the checks are those of fsck.fat(8).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from engine.filesystems.fat.reader import FatFilesystem
from engine.image.container import BadImage
from engine.image.reading import Examination, Findings, Node
from engine.units import in_bytes

_MOST_ENTRIES = 50_000
_MOST_TABLE = 64 << 20
_PIECE = 1 << 20
_INFO_AT, _BACKUP_AT, _FLAGS_AT, _MEDIA_AT = 48, 50, 40, 21
_ONE_TABLE = 0x80
_UNKNOWN = 0xFFFFFFFF
_PARAMETERS = 90
_STATE_AT = 0x41
"""Of the mark that it is mounted, which the copy need not have."""
_FREE = 0


def examine(fat: FatFilesystem) -> Examination:
    """Returns what is wrong with a file system, and what was not looked at."""
    found = Findings()
    if fat.table_size > _MOST_TABLE:
        return found.with_unchecked(
            f"its tables of {in_bytes(fat.table_size)} and what they lead to"
        )
    look = _Look(fat, found)
    look.tables()
    look.boot_sectors()
    whole = look.tree()
    if whole:
        look.lost()
        return found.with_unchecked()
    return found.with_unchecked(f"what comes behind {_MOST_ENTRIES} entries (`fsck.fat -n` does)")


class _Look:
    """One look at a file system."""

    def __init__(self, fat: FatFilesystem, found: Findings) -> None:
        self._fat = fat
        self._add = found.add
        self._chain: Sequence[int] = [0, 0, *fat.table_entries()]
        self._owner: dict[int, str] = {}
        self._end = (1 << min(fat.bits, 28)) - 8
        self._bad = self._end - 1

    def tables(self) -> None:
        """Holds the copies of the table against each other."""
        fat = self._fat
        (flags,) = struct.unpack_from("<H", fat.boot_sector, _FLAGS_AT)
        if fat.bits == 32 and flags & _ONE_TABLE:
            if flags & 0xF:
                self._add(
                    "tables", f"table {flags & 0xF} is the one in use, which is not read here"
                )
            return
        for number in range(1, fat.tables):
            at = self._differs(number)
            if at is not None:
                self._add("tables", f"table {number + 1} differs from the first at byte {at}")
        media = self._fat.boot_sector[_MEDIA_AT]
        if fat.first_entry & 0xFF != media:
            self._add(
                "tables",
                f"the table's first byte is {fat.first_entry & 0xFF:#x}, the boot sector says "
                f"{media:#x}",
            )

    def _differs(self, number: int) -> int | None:
        fat = self._fat
        used = -(-(fat.clusters + 2) * fat.bits // 8)
        for start in range(0, used, _PIECE):
            length = min(_PIECE, used - start)
            first, other = (fat.read_table(n, start, length) for n in (0, number))
            if first != other:
                pairs = zip(first, other, strict=True)
                return start + next(at for at, (one, two) in enumerate(pairs) if one != two)
        return None

    def boot_sectors(self) -> None:
        """Holds the boot sector of FAT32 against its copy, and the count of free clusters."""
        fat = self._fat
        if fat.bits != 32:
            return
        info, backup = struct.unpack_from("<HH", fat.boot_sector, _INFO_AT)
        copy = fat.read_sector(backup)[:_PARAMETERS]
        mine = fat.boot_sector[:_PARAMETERS]
        if backup and copy[:_STATE_AT] + copy[_STATE_AT + 1 :] != (
            mine[:_STATE_AT] + mine[_STATE_AT + 1 :]
        ):
            self._add("boot", "the boot sector differs from its backup copy")
        if not info:
            return
        raw = fat.read_sector(info)
        if raw[:4] != b"RRaA" or raw[484:488] != b"rrAa":
            self._add("boot", "the information sector is damaged")
            return
        (free,) = struct.unpack_from("<I", raw, 488)
        counted = sum(not entry for entry in self._chain[2:])
        if free not in {_UNKNOWN, counted}:
            self._add("counts", f"the information sector says {free} free clusters, {counted} are")

    def tree(self) -> bool:
        """Follows every chain; whether all of them were."""
        root = self._fat.lookup(b"")
        assert root is not None
        pending = [root]
        self._follow(root)
        seen = {root.inode}
        count = 0
        while pending:
            folder = pending.pop()
            names: set[bytes] = set()
            try:
                for node in self._fat.listed(folder):
                    count += 1
                    if count > _MOST_ENTRIES:
                        return False
                    self._entry(node, names)
                    if node.mode & 0o170000 == 0o040000 and node.inode not in seen:
                        seen.add(node.inode)
                        pending.append(node)
            except (BadImage, struct.error) as error:
                self._add("directory", str(error))
        return True

    def _entry(self, node: Node, names: set[bytes]) -> None:
        folded = node.name.decode("utf-8", "replace").casefold().encode()
        if folded in names:
            self._add("directory", f"{_shown(node)} is there twice")
        names.add(folded)
        length = self._follow(node)
        folder = node.mode & 0o170000 == 0o040000
        if folder and not node.inode:
            self._add("directory", f"{_shown(node)} is a directory without a cluster")
        needed = -(-node.size // self._fat.block_size)
        if not folder and length is not None and length != needed:
            self._add(
                "chain",
                f"{_shown(node)} of {in_bytes(node.size)} "
                f"needs {needed} clusters, and has {length}",
            )

    def _follow(self, node: Node) -> int | None:
        """Takes the clusters of a node; returns how many, None where they end wrongly."""
        name, cluster, count = _shown(node), node.inode, 0
        if not cluster:
            return 0
        while cluster < self._end:
            if not 2 <= cluster < len(self._chain):
                self._add(
                    "chain", f"{name}: its chain leads to cluster {cluster}, which is not there"
                )
                return None
            if cluster in self._owner:
                other = self._owner[cluster]
                both = f"{name} goes round in a circle" if other == name else f"{other} and {name}"
                words = "" if other == name else " share"
                self._add("chain", f"{both}{words}: cluster {cluster}")
                return None
            entry = self._chain[cluster]
            if entry in {_FREE, self._bad}:
                what = "free" if entry == _FREE else "bad"
                self._add("chain", f"{name}: its chain leads to cluster {cluster}, which is {what}")
                return None
            self._owner[cluster] = name
            cluster, count = entry, count + 1
        return count

    def lost(self) -> None:
        """Counts the clusters that are taken and belong to nothing."""
        lost = sum(
            1
            for cluster, entry in enumerate(self._chain)
            if cluster > 1 and entry not in {_FREE, self._bad} and cluster not in self._owner
        )
        if lost:
            self._add("lost", f"clusters that are taken and belong to no file: {lost}")


def _shown(node: Node) -> str:
    return "/" + node.path.decode("utf-8", "backslashreplace")
