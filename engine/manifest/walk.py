"""Walks folders of the host into entries, in manifest order, each name looked at once.

Two system calls an entry cannot be saved (lstat for its size, llistxattr for its attributes);
everything else is there to add little to them.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.manifest.acl import chmod_acls
from engine.manifest.columns import columns, entries_of
from engine.manifest.descent import Descent
from engine.manifest.entry import Entry, order
from engine.manifest.findings import Findings, shown
from engine.manifest.folder import COARSE_NS, FolderSource, is_recent
from engine.manifest.helpers import Helpers, Item, Part, Share, Walker
from engine.manifest.hostnames import assert_readable, attributes_of, extents_of, names_in
from engine.manifest.patterns import Excluded
from engine.manifest.progress import Ticker
from engine.spec.modes import ModeRule

_TYPE, _REGULAR, _DIRECTORY = 0o170000, stat.S_IFREG, stat.S_IFDIR
_SYMLINK, _SOCKET = stat.S_IFLNK, stat.S_IFSOCK
_READ_BY_ALL = 0o444
_ST_BLOCK = 512
"""Unit of st_blocks (stat(2))."""

_SHARE = 500
"""Entries that a helper walks at most before it says what it found."""

_ROOT = (0, 0)
_ALWAYS = sys.maxsize
_CHANGED_HINT = "wait until nothing writes to the source any more, then scan again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What becomes of a source's metadata on its way into the image.

    Attributes:
        mode: Rule for permissions, or None to keep the source's.
        owner: User and group of everything, or None for the source's default: root for files
            of the host (the caller's own ids never reach the image), an archive's own.
        made_ns: Time of directories that have to be made.
        newest_ns: Times after this one become it.
        excluded: Paths left out.
    """

    mode: ModeRule | None = None
    owner: tuple[int, int] | None = None
    made_ns: int = 0
    newest_ns: int = _ALWAYS
    excluded: Excluded | None = None


class _Place(NamedTuple):
    """A directory's path on the host, and what goes before a name in it to make a path.

    Attributes:
        path: On the host.
        below: Before a name to make it relative to the source.
        image: Before a name to make it a path of the image.
    """

    path: bytes
    below: bytes
    image: bytes


@dataclass(slots=True)
class Walk:
    """One walk over one or several places; collects entries, hard links and findings.

    Attributes:
        entries: In manifest order within each place walked.
        heads: By device and inode, the first name of each file that has several (after `tie`).
    """

    rules: Rules
    ticker: Ticker
    findings: Findings = field(default_factory=Findings)
    entries: list[Entry] = field(default_factory=list)
    heads: dict[Hashable, Entry] = field(default_factory=dict)
    _shared: dict[tuple[int, int], list[Entry]] = field(default_factory=dict)
    _unsupported: set[int] = field(default_factory=set)
    _begun_ns: int = field(default_factory=time.time_ns)

    def folder(self, folder: bytes, target: bytes) -> None:
        """Walks a folder, itself included, to `target` in the image; links in it stay links."""
        source = FolderSource(folder, target)
        try:
            descent = Descent(folder)
        except OSError as error:
            self.failed(folder, error)
            return
        with descent:
            found = self._look(source, descent.root_fd, [b"."], _Place(folder, b"", b""))
            for root in found:
                root.path = target
            self.ticker.add(len(found), 0)
            begun = len(self.entries)
            pending: list[Item] = [*found]
            with Helpers(
                self._walker(source, descent),
                lambda share: self._found(source, share),
                lambda: self.ticker.add(0, 0),
            ) as helpers:
                while pending:
                    item = pending.pop()
                    if isinstance(item, Entry):
                        self._enter(descent, source, item, pending)
                        helpers.turn(pending, len(self.entries) - begun)
                    elif isinstance(item, Share):
                        pending += helpers.wait(item)
                    else:
                        self.entries += item
        source.walked = self.entries[begun:]

    def _enter(
        self, descent: Descent, source: FolderSource, directory: Entry, pending: list[Item]
    ) -> None:
        """Takes a directory, and puts what is in it on the stack."""
        self.entries.append(directory)
        found = self._children(descent, directory, source.origin(directory))
        others: list[Entry] = []
        for entry in reversed(found):
            if entry.mode & _TYPE != _DIRECTORY:
                others.append(entry)
                continue
            if others:
                pending.append(others[::-1])
                others = []
            pending.append(entry)
        if others:
            pending.append(others[::-1])

    def _walker(self, source: FolderSource, descent: Descent) -> Walker:
        """Returns what a helper does in the walk of a folder."""
        descents: list[Descent] = []

        def walk(paths: Sequence[bytes]) -> Part:
            if not descents:
                # Of its own: descriptors that two processes share have one position.
                descents.append(Descent(b"/proc/self/fd/%d" % descent.root_fd))
            part = Walk(
                self.rules, Ticker(), _unsupported=self._unsupported, _begun_ns=self._begun_ns
            )
            return part._part(descents[0], source, paths)

        return walk

    def _part(self, descent: Descent, source: FolderSource, paths: Sequence[bytes]) -> Part:
        """Walks what is below directories, up to a number of entries; see `Part`."""
        source.recent.clear()
        counts: list[int] = []
        pending: list[Item] = []
        for path in paths:
            begun = len(self.entries)
            self._enter(descent, source, Entry(path, _DIRECTORY, source=source), pending)
            del self.entries[begun]
            while pending and len(self.entries) < _SHARE:
                item = pending.pop()
                if type(item) is Entry:
                    self._enter(descent, source, item, pending)
                elif type(item) is list:
                    self.entries += item
            counts.append(len(self.entries) - begun)
            if len(self.entries) >= _SHARE:
                break
        if list(self.findings):
            raise ValueError("somebody has to be told of something")
        left: list[int] = []
        for item in pending:
            if type(item) is Entry:
                self.entries.append(item)
                left.append(0)
            elif type(item) is list:
                self.entries += item
                left.append(len(item))
        at = {id(entry): at for at, entry in enumerate(self.entries)} if self._shared else {}
        shared = [(*inode, at[id(one)]) for inode, names in self._shared.items() for one in names]
        return counts, left, columns(self.entries), shared, list(source.recent)

    def _found(self, source: FolderSource, share: Share) -> list[Item]:
        """Takes in a helper's share; returns what of it is still to come, bottom first."""
        rest = share.items
        if share.part is None:
            return rest
        counts, left, found, shared, recent = share.part
        entries = entries_of(found, source, *(self.rules.owner or _ROOT))
        self.ticker.add(len(entries), sum([entry.size for entry in entries]))
        for device, inode, at in shared:
            self._shared.setdefault((device, inode), []).append(entries[at])
        source.recent.update(recent)
        done: list[Entry] = []
        begin = 0
        for count in counts:
            while type(item := rest.pop()) is list:
                done += item
            assert type(item) is Entry
            done.append(item)
            done += entries[begin : begin + count]
            begin += count
        for length in left:
            rest.append(entries[begin : begin + length] if length else entries[begin])
            begin += length or 1
        rest.append(done)
        return rest

    def tie(self) -> None:
        """Ties the names of each inode to the first in manifest order, at the walk's end."""
        for inode, names in self._shared.items():
            names.sort(key=lambda entry: order(entry.path))
            head = self.heads[inode] = names[0]
            for name in names[1:]:
                name.link_to = head

    def single(self, path: bytes, target: bytes) -> None:
        """Takes one name that is not a directory; a symbolic link is kept as one."""
        above, name = os.path.split(path)
        source = FolderSource(above, names={target: name})
        try:
            with Descent(above) as descent:
                for entry in self._look(source, descent.root_fd, [name], _Place(above, b"", b"")):
                    entry.path = target
                    self.entries.append(entry)
                    source.walked = (entry,)
                    self.ticker.add(1, entry.size)
        except OSError as error:
            self.failed(above, error)

    def again(self, source: FolderSource, below: bytes) -> tuple[Entry | None, list[bytes]]:
        """Looks once more at one name of a folder, and lists it if it is a directory.

        Args:
            source: The folder.
            below: The path in it; b"" is the folder itself.

        Returns:
            The entry, its path in the image left to the caller, or None if it is gone, is left
            out or cannot be read; the names in it, sorted. One of several names of an inode is
            among `shared`.
        """
        above, _, name = below.rpartition(b"/")
        names: list[bytes] = []
        try:
            with Descent(source.folder) as descent:
                fd = descent.enter(above)
                place = _Place(source.place(above), above + b"/" if above else b"", b"")
                found = self._look(source, fd, [name or b"."], place)
                if found and found[0].is_directory:
                    names = names_in(descent.enter(below))
        except OSError as error:
            self.failed(source.place(below), error)
            return None, []
        return (found[0] if found else None), names

    def below(
        self, source: FolderSource, folder: bytes, names: list[bytes], image: bytes
    ) -> list[Entry]:
        """Walks some names of a directory and what is below them, in manifest order.

        Args:
            source: Of the directory.
            folder: Path of the directory in it.
            names: Sorted; those that are to be left out are left out.
            image: Path of the directory in the image.
        """
        path = source.place(folder)
        pending: list[Item] = []
        try:
            with Descent(source.folder) as descent:
                fd = descent.enter(folder)
                before = folder + b"/" if folder else b""
                above = image + b"/" if image else b""
                pending += self._look(source, fd, names, _Place(path, before, above))[::-1]
                while pending:
                    item = pending.pop()
                    if isinstance(item, list):
                        self.entries += item
                    elif isinstance(item, Entry) and item.is_directory:
                        self._enter(descent, source, item, pending)
                    elif isinstance(item, Entry):
                        self.entries.append(item)
        except OSError as error:
            self.failed(path, error)
        return self.entries

    @property
    def shared(self) -> Mapping[tuple[int, int], Sequence[Entry]]:
        """What of all that was looked at is one of several names of an inode, by that."""
        return self._shared

    def _children(self, descent: Descent, parent: Entry, folder: bytes) -> list[Entry]:
        """Returns the entries directly in a directory, sorted by name."""
        source = parent.source
        assert isinstance(source, FolderSource)
        path = source.place(folder)
        try:
            fd = descent.enter(folder)
            names = names_in(fd)
        except OSError as error:
            self.failed(path, error)
            return []
        below = folder + b"/" if folder else b""
        image = parent.path + b"/" if parent.path else b""
        found = self._look(source, fd, names, _Place(path, below, image))
        self.ticker.add(len(found), sum([entry.size for entry in found]))
        return found

    def _look(
        self, source: FolderSource, fd: int, names: list[bytes], place: _Place
    ) -> list[Entry]:
        """Returns the entries of names in an open directory: the scan's inner loop.

        Fields are set one by one, and what is looked up often is local: with the constructor's
        keywords and a call for each name, Python's share would exceed that of the system.
        """
        rules, shared, unsupported = self.rules, self._shared, self._unsupported
        excluded, mode_rule, newest_ns = rules.excluded, rules.mode, rules.newest_ns
        uid, gid = rules.owner or _ROOT
        lstat, listxattr, new, make = os.lstat, os.listxattr, Entry.__new__, Entry
        below, image, hint = place.below, place.image, place.path + b"/"
        begun_ns = self._begun_ns
        doubtful_ns = begun_ns - COARSE_NS
        found: list[Entry] = []
        for name in names:
            try:
                status = lstat(name, dir_fd=fd)
                mode, inode, device, links, _, _, size, _, _, _ = status
                kind = mode & _TYPE
                if excluded is not None and excluded(below + name, kind == _DIRECTORY):
                    continue
                entry = new(make)
                entry.path = image + name
                entry.mode = mode
                entry.uid = uid
                entry.gid = gid
                entry.mtime_ns = mtime_ns = status.st_mtime_ns
                if mtime_ns > newest_ns:
                    entry.mtime_ns = newest_ns
                entry.size = 0
                entry.target = b""
                entry.rdev = 0
                entry.xattrs = ()
                entry.extents = None
                entry.link_to = None
                entry.source = source
                # As stamp_of has it, without the call.
                ctime_ns = status.st_ctime_ns
                entry.stamp = stamp = hash((device, inode, size, mtime_ns, ctime_ns))
                if ctime_ns >= doubtful_ns and is_recent(ctime_ns, begun_ns):
                    source.recent.add(stamp)
                if kind == _REGULAR:
                    entry.size = size
                    if status.st_blocks * _ST_BLOCK < size:
                        entry.extents = extents_of(fd, name, size)
                    if mode & _READ_BY_ALL != _READ_BY_ALL:
                        assert_readable(fd, name)
                elif kind == _SYMLINK:
                    entry.target = os.readlink(name, dir_fd=fd)
                    entry.size = len(entry.target)
                elif kind == _SOCKET:
                    self._socket(hint + name)
                    continue
                elif kind != _DIRECTORY:
                    entry.rdev = status.st_rdev
                if not unsupported or device not in unsupported:
                    # The plain path is only asked whether there is anything, as it is the
                    # quickest to ask; it could be led astray, so the values come another way.
                    try:
                        if listxattr(hint + name, follow_symlinks=False):
                            entry.xattrs = attributes_of(fd, name, device, unsupported)
                    except OSError:
                        entry.xattrs = attributes_of(fd, name, device, unsupported)
                if mode_rule is not None and kind != _SYMLINK:
                    entry.mode = mode_rule.apply(mode)
                    entry.xattrs = chmod_acls(entry.xattrs, entry.mode)
                if links > 1 and kind != _DIRECTORY:
                    shared.setdefault((device, inode), []).append(entry)
            except OSError as error:
                self.failed(hint + name, error)
                continue
            found.append(entry)
        return found

    def _socket(self, path: bytes) -> None:
        self.findings.add(
            "socket-left-out",
            f"{shown(path)} is a socket; it is left out",
            "it means something only to the process that made it; exclude it to silence this",
            severity="warning",
        )

    def failed(self, path: bytes, error: OSError) -> None:
        """Records that something cannot be read."""
        reason = os.strerror(error.errno or 0)
        if error.errno in {errno.EACCES, errno.EPERM}:
            self.findings.add(
                "source-unreadable",
                f"{shown(path)} cannot be read ({reason})",
                "make it readable for the user who builds, or exclude it",
            )
        elif error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            self.findings.add(
                "source-changed",
                f"{shown(path)} changed while it was scanned ({reason})",
                _CHANGED_HINT,
            )
        else:
            self.findings.add(
                "source-failed",
                f"{shown(path)} cannot be read ({reason})",
                "check the disk or the network behind it, or exclude it",
            )
