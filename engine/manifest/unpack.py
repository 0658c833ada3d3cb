"""Turns the members of a tar archive into entries."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Hashable

from engine.manifest import whiteouts
from engine.manifest.archive import ArchiveSource, Reader, open_archive
from engine.manifest.compressed import CORRUPT
from engine.manifest.entry import Entry
from engine.manifest.findings import shown
from engine.manifest.folder import is_recent, stamp_of
from engine.manifest.links import relink
from engine.manifest.lookup import LeadsNowhere, resolve
from engine.manifest.member import HARD_LINK, VOLUME_LABEL, EntryMaker, has_owner
from engine.manifest.memory import copy
from engine.manifest.oci import recognise
from engine.manifest.part import with_parents
from engine.manifest.tar import BLOCK, BadArchive, ForeignArchive, Member, is_header, members
from engine.manifest.walk import Walk

_HINT = "make the archive again, or check that it was copied whole"
_BEHIND = 1 << 16
"""Bytes behind the end of a plain archive that are looked at for another one."""


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
        if recognise.is_image_folder(path):
            recognise.report(path, walk.findings)
        else:
            add("archive-no-file", f"{shown(path)} is not a regular file", "name a tar archive")
        return
    recent = is_recent(status.st_ctime_ns, time.time_ns())
    unpacking = _Unpacking(
        path, target, walk, ArchiveSource(path, stamp_of(status), recent=recent)
    )  # fmt: skip
    try:
        source = open_archive(fd, lambda: walk.ticker.add(0, 0))
        try:
            unpacking.read(source)
        finally:
            source.close()
    except ForeignArchive as error:
        add("archive-foreign", f"{shown(path)} is {error.what}, not a tar archive", error.remedy)
    except (BadArchive, *CORRUPT) as error:
        add("archive-damaged", f"{shown(path)} is not a tar archive, or is damaged: {error}", _HINT)
    except OSError as error:
        walk.failed(path, error)
    unpacking.finish()


class _Unpacking:
    """Entries of one archive while its members are read; the last of a name counts, as in tar."""

    def __init__(self, path: bytes, target: bytes, walk: Walk, source: ArchiveSource) -> None:
        self._archive = path
        self._target = target
        self._walk = walk
        self._make = EntryMaker(shown(path), walk, source)
        self._recogniser = recognise.Recogniser()
        self._whiteouts: list[bytes] = []
        self._entries: dict[bytes, Entry] = {}
        self._excluded: dict[bytes, Entry] = {}
        self._heads: dict[Hashable, Entry] = {}
        self._retie = False

    def read(self, source: Reader) -> None:
        """Takes all members, and reads on to the end, where packed data has its checksum."""
        member = None
        for member in members(source):
            self._take(member)
            self._walk.ticker.add(1, member.size)
            self._recogniser.look(member, source)
        if member is None:
            self._walk.findings.add(
                "archive-empty",
                f"{shown(self._archive)} has nothing in it",
                "check that it was copied whole",
                severity="warning",
            )
        self._look_behind(source)

    def _look_behind(self, source: Reader) -> None:
        """Warns of what GNU tar ignores as well: an archive behind the end of this one."""
        at, behind = source.position, source.rest(_BEHIND)
        for start in range(0, len(behind) - BLOCK + 1, BLOCK):
            block = behind[start : start + BLOCK]
            if block.strip(b"\0"):
                if is_header(block):
                    self._walk.findings.add(
                        "archive-goes-on",
                        f"{shown(self._archive)}: the archive ends, and another one begins at byte"
                        f" {at + start}; only the first is unpacked",
                        "unpack it and archive the whole again (tar --ignore-zeros reads both)",
                        severity="warning",
                    )
                return

    def _take(self, member: Member) -> None:
        name = self._make.inside(member.name, member, "climbs out of the archive")
        if name is None or member.kind == VOLUME_LABEL:
            return
        path = self._place(name)
        if self._leaves_out(name, member.kind in {b"5", b"D"}):
            # Another name of it may stay.
            if member.kind == b"0" and has_owner(member.uid, member.gid):
                entry = self._make.entry(path, member, member.data)
                if entry is not None:
                    self._excluded[path] = entry
            return
        if whiteouts.is_whiteout(name):
            self._whiteouts.append(name)
        if member.kind == HARD_LINK:
            entry = self._link(path, member)
        else:
            entry = self._make.entry(path, member, member.data)
        if entry is None:
            return
        replaced = self._entries.get(path)
        if replaced is not None and not replaced.is_directory:
            self._retie = True
        if path or entry.is_directory:
            self._entries[path] = entry
        else:
            self._make.odd(member, "would be the root directory, and is not a directory")

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

    def _place(self, name: bytes) -> bytes:
        return b"/".join(part for part in (self._target, name) if part)

    def _link(self, path: bytes, member: Member) -> Entry | None:
        """Returns another name of a file that came before."""
        name = self._make.inside(
            member.link, member, "is a hard link that leads out of the archive"
        )
        if name is None:
            return None
        place = self._place(name)
        first = self._entries.get(place) or self._excluded.get(place)
        if first is None or first.is_directory:
            self._make.odd(
                member, f"is a hard link to {shown(member.link)}, which is not a file before it"
            )
            return None
        if first.path == path:
            return None
        head = first.link_to or first
        self._heads[self._archive, head.path, id(head)] = head
        entry = copy(head)
        entry.path, entry.link_to = path, head
        self._retie = True  # names come in the archive's order, not in the manifest's
        return entry

    def finish(self) -> None:
        """Hands over the entries, each in a directory, in manifest order."""
        if self._recogniser.found:
            recognise.report(self._archive, self._walk.findings)
        elif self._whiteouts:
            whiteouts.report(self._archive, self._whiteouts, self._walk.findings)
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
                    f"{shown(self._archive)}: /{shown(path)} is below a file, or a link that"
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
