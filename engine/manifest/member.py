"""Makes an entry of the image of a tar archive's member."""

from __future__ import annotations

import os
import stat

from engine.manifest.acl import acl_of_text, chmod_acls
from engine.manifest.entry import Entry, Source
from engine.manifest.findings import shown
from engine.manifest.owners import MAX_ID
from engine.manifest.tar import Member
from engine.manifest.walk import Walk

TYPES = {
    b"0": stat.S_IFREG, b"2": stat.S_IFLNK, b"3": stat.S_IFCHR, b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR, b"6": stat.S_IFIFO, b"D": stat.S_IFDIR,
}  # fmt: skip
HARD_LINK, VOLUME_LABEL = b"1", b"V"


def has_owner(uid: int, gid: int) -> bool:
    """Whether a file can have these owners: 2^32 - 1 means nobody to chown(2)."""
    return 0 <= uid <= MAX_ID and 0 <= gid <= MAX_ID


class EntryMaker:
    """Makes entries by a walk's rules; what a member lacks is found in the walk.

    Args:
        origin: What the members are in, as messages name it.
        walk: Has the rules, and takes the findings.
        source: Where the data is.
    """

    def __init__(self, origin: str, walk: Walk, source: Source) -> None:
        self.origin = origin
        self.walk = walk
        self._source = source

    def inside(self, name: bytes, member: Member, complaint: str) -> bytes | None:
        """Returns a name below the archive's root, without empty parts, or None (reported)."""
        parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
        if b".." in parts:
            where = "" if name is member.name else f" ({shown(name)})"
            self.odd(member, complaint + where)
            return None
        return b"/".join(parts)

    def entry(self, path: bytes, member: Member, stamp: int) -> Entry | None:
        """Returns the entry of a member that is not a hard link, or None (reported).

        Args:
            path: Its path in the image.
            stamp: What the source finds the data by.
        """
        kind = TYPES.get(member.kind)
        if kind is None:
            self.odd(member, f"is of an unknown type ({shown(member.kind)!r})")
            return None
        rules = self.walk.rules
        uid, gid = rules.owner or (member.uid, member.gid)
        if not has_owner(uid, gid):
            self.odd(member, f"has an owner out of range ({uid}:{gid})")
            return None
        entry = Entry(
            path, kind | member.mode, uid=uid, gid=gid,
            mtime_ns=min(member.mtime_ns, rules.newest_ns), source=self._source,
        )  # fmt: skip
        if kind == stat.S_IFREG:
            entry.size, entry.stamp, entry.extents = member.size, stamp, member.extents
        elif kind == stat.S_IFLNK:
            entry.mode = kind | 0o777  # Linux knows no other (symlink(7))
            entry.target, entry.size = member.link, len(member.link)
            if not member.link or b"\0" in member.link:
                self.odd(member, "is a symbolic link without a usable target")
                return None
        elif kind in {stat.S_IFCHR, stat.S_IFBLK}:
            entry.rdev = os.makedev(member.major, member.minor)
        entry.xattrs = self._attributes(member)
        if rules.mode is not None and kind != stat.S_IFLNK:
            entry.mode = rules.mode.apply(entry.mode)
            entry.xattrs = chmod_acls(entry.xattrs, entry.mode)
        return entry

    def _attributes(self, member: Member) -> tuple[tuple[bytes, bytes], ...]:
        found = dict(member.xattrs)
        for which, text in member.acls:
            try:
                if which not in {b"access", b"default"}:
                    raise ValueError(f"it is of a kind that ext4 does not have ({shown(which)})")
                found[b"system.posix_acl_" + which] = acl_of_text(text)
            except ValueError as error:
                self.walk.findings.add(
                    "acl-left-out",
                    f"{self.origin}: the access list of {shown(member.name)} is left out: {error}",
                    "archive with numeric owners (tar --xattrs --xattrs-include='*')",
                    severity="warning",
                )
        return tuple(sorted(found.items()))

    def odd(self, member: Member, what: str) -> None:
        """Reports a member that cannot be taken."""
        self.walk.findings.add(
            "archive-member-refused",
            f"{self.origin}: member {shown(member.name) or 'without a name'} {what}",
            "exclude it, or make the archive without it",
        )
