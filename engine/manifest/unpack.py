"""Turns the members of a tar archive into entries."""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable

from engine.manifest.acl import acl_of_text, chmod_acls
from engine.manifest.archive import ArchiveSource, open_archive
from engine.manifest.compressed import CORRUPT, ToolMissing
from engine.manifest.entry import Entry
from engine.manifest.findings import shown
from engine.manifest.folder import stamp_of
from engine.manifest.links import relink
from engine.manifest.lookup import LeadsNowhere, resolve
from engine.manifest.memory import copy
from engine.manifest.owners import MAX_ID
from engine.manifest.part import with_parents
from engine.manifest.tar import BadArchive, Input, Member, members
from engine.manifest.walk import Walk

_TYPES = {
    b"0": stat.S_IFREG, b"2": stat.S_IFLNK, b"3": stat.S_IFCHR, b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR, b"6": stat.S_IFIFO, b"D": stat.S_IFDIR,
}  # fmt: skip
_HINT = "make the archive again, or check that it was copied whole"


def unpack(path: bytes, target: bytes, walk: Walk) -> None:
    """Reads an archive's members into a walk's entries, below `target` in the image."""
    add = walk.findings.add
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        walk.failed(path, error)
        return
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        add("archive-no-file", f"{shown(path)} is no regular file", "name a tar archive")
        return
    unpacking = _Unpacking(path, target, walk, ArchiveSource(path, stamp_of(status)))
    try:
        source = open_archive(fd, lambda: walk.ticker.add(0, 0))
        try:
            unpacking.read(source)
        finally:
            source.close()
    except ToolMissing as error:
        add(
            "tool-missing",
            f"{shown(path)} needs the program {error} to be unpacked, which is not installed",
            f"install the package {error}, or pack the archive with gzip or xz",
        )
    except (BadArchive, *CORRUPT) as error:
        add("archive-damaged", f"{shown(path)} is no tar archive or damaged: {error}", _HINT)
    except OSError as error:
        walk.failed(path, error)
    unpacking.finish()


class _Unpacking:
    """Entries of one archive while its members are read; the last of a name counts, as in tar."""

    def __init__(self, path: bytes, target: bytes, walk: Walk, source: ArchiveSource) -> None:
        self._archive = path
        self._target = target
        self._walk = walk
        self._source = source
        self._entries: dict[bytes, Entry] = {}
        self._excluded: dict[bytes, Entry] = {}
        self._heads: dict[Hashable, Entry] = {}
        self._retie = False

    def read(self, source: Input) -> None:
        """Takes all members."""
        for member in members(source):
            self._take(member)
            self._walk.ticker.add(1, member.size)

    def _take(self, member: Member) -> None:
        name = self._inside(member.name, member, "climbs out of the archive")
        if name is None or member.kind == b"V":  # V: the volume's label
            return
        path = self._place(name)
        if self._leaves_out(name, member.kind in {b"5", b"D"}):
            if member.kind == b"0":  # another name of it may stay
                entry = self._entry(path, member)
                if entry is not None:
                    self._excluded[path] = entry
            return
        if member.kind == b"1":
            entry = self._link(path, member)
        elif member.kind in _TYPES:
            entry = self._entry(path, member)
        else:
            self._odd(member, f"is of an unknown type ({shown(member.kind)!r})")
            return
        if entry is None:
            return
        replaced = self._entries.get(path)
        if replaced is not None and not replaced.is_directory:
            self._retie = True
        if path or entry.is_directory:
            self._entries[path] = entry
        else:
            self._odd(member, "would be the root directory, and is none")

    def _leaves_out(self, name: bytes, is_directory: bool) -> bool:
        """Whether a member or a directory above it is excluded."""
        excluded = self._walk.rules.excluded
        if excluded is None or not name:
            return False
        above = name
        while above := above.rpartition(b"/")[0]:
            if excluded(above, True):
                return True
        return excluded(name, is_directory)

    def _inside(self, name: bytes, member: Member, complaint: str) -> bytes | None:
        """Returns a name below the archive's root, without empty parts, or None (reported)."""
        parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
        if b".." in parts:
            self._odd(member, f"{complaint} ({shown(name)})")
            return None
        return b"/".join(parts)

    def _place(self, name: bytes) -> bytes:
        return b"/".join(part for part in (self._target, name) if part)

    def _entry(self, path: bytes, member: Member) -> Entry | None:
        rules = self._walk.rules
        kind = _TYPES[member.kind]
        if not (0 <= member.uid <= MAX_ID and 0 <= member.gid <= MAX_ID):
            self._odd(member, f"has an owner out of range ({member.uid}:{member.gid})")
            return None
        uid, gid = rules.owner or (member.uid, member.gid)
        entry = Entry(
            path, kind | member.mode, uid=uid, gid=gid,
            mtime_ns=min(member.mtime_ns, rules.newest_ns), source=self._source,
        )  # fmt: skip
        if kind == stat.S_IFREG:
            entry.size, entry.stamp, entry.extents = member.size, member.data, member.extents
        elif kind == stat.S_IFLNK:
            entry.mode = kind | 0o777  # Linux knows no other (symlink(7))
            entry.target, entry.size = member.link, len(member.link)
            if not member.link or b"\0" in member.link:
                self._odd(member, "is a symbolic link without a usable target")
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
                found[b"system.posix_acl_" + which] = acl_of_text(text)
            except ValueError as error:
                self._walk.findings.add(
                    "acl-left-out",
                    f"{shown(self._archive)}: the access list of {shown(member.name)}"
                    f" is left out: {error}",
                    "archive with numeric owners (tar --xattrs --xattrs-include='*')",
                    severity="warning",
                )
        return tuple(sorted(found.items()))

    def _link(self, path: bytes, member: Member) -> Entry | None:
        """Returns another name of a file that came before."""
        name = self._inside(member.link, member, "is a hard link that leads out of the archive")
        if name is None:
            return None
        place = self._place(name)
        first = self._entries.get(place) or self._excluded.get(place)
        if first is None or first.is_directory:
            self._odd(member, f"is a hard link to {shown(member.link)}, which is no file before it")
            return None
        if first.path == path:
            return None
        head = first.link_to or first
        self._heads[self._archive, head.path, id(head)] = head
        entry = copy(head)
        entry.path, entry.link_to = path, head
        self._retie = True  # names come in the archive's order, not in the manifest's
        return entry

    def _odd(self, member: Member, what: str) -> None:
        self._walk.findings.add(
            "archive-member-refused",
            f"{shown(self._archive)}: member {shown(member.name)} {what}",
            "exclude it, or make the archive without it",
        )

    def finish(self) -> None:
        """Hands over the entries, each in a directory, in manifest order."""
        self._close()
        moved = self._follow_links()
        self._close()
        entries = list(self._entries.values())
        if self._retie or moved:
            entries = relink(entries, [self._heads], moved)
            tops = {id(head): head for head in (entry.link_to for entry in entries) if head}
            self._heads = {(self._archive, at): head for at, head in tops.items()}
        self._walk.entries += entries
        self._walk.heads.update(self._heads)

    def _close(self) -> None:
        """Adds the directories that no member made, and puts all in manifest order."""
        made_ns = self._walk.rules.made_ns
        entries = with_parents(self._entries.values(), self._target, made_ns)
        self._entries = {entry.path: entry for entry in entries}

    def _follow_links(self) -> list[tuple[Entry, Entry]]:
        """Moves members that lie below a symbolic link of the archive to where it leads."""
        moved: list[tuple[Entry, Entry]] = []
        places: dict[bytes, bytes | None] = {}
        top = len(self._target)
        for path, entry in list(self._entries.items()):
            above = path.rpartition(b"/")[0]
            if len(above) <= top:
                continue
            if above not in places:
                places[above] = self._directory(above)
            place = places[above]
            if place == above:
                continue
            del self._entries[path]
            new = b"/".join(part for part in (place, entry.name) if part)
            inside = not self._target or new.startswith(self._target + b"/")
            if place is None or not inside:
                self._walk.findings.add(
                    "archive-member-refused",
                    f"{shown(self._archive)}: /{shown(path)} lies below a file, or a link that"
                    " leads out of the archive",
                    "exclude it, or make the archive without it",
                )
                continue
            ours = copy(entry)
            ours.path = new
            moved.append((entry, ours))
            self._entries.setdefault(new, ours)
        return moved

    def _directory(self, path: bytes) -> bytes | None:
        """Returns where a directory really is, or None if it cannot be one."""
        try:
            place = resolve(self._entries.get, path, may_miss=True)
        except LeadsNowhere:
            return None
        there = self._entries.get(place)
        return place if there is None or there.is_directory else None
