"""Puts the layers of a container image on top of each other.

Source: OCI image-spec, layer.md. A directory over a directory gives it other attributes and keeps
what is in it; anything else takes the place of what is there. Whiteouts delete from the layers
below only, wherever in their own layer they stand. Paths lead through the symbolic links that the
layers below have, as for a process whose root directory is the image.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace

from engine.manifest.archive import Reader
from engine.manifest.compressed import Stream, unpacked
from engine.manifest.entry import Entry
from engine.manifest.lookup import Get, LeadsNowhere, resolve
from engine.manifest.member import HARD_LINK, VOLUME_LABEL, EntryMaker
from engine.manifest.memory import copy, directory
from engine.manifest.oci.errors import BadImage
from engine.manifest.oci.image import Layer
from engine.manifest.oci.source import stamp
from engine.manifest.oci.store import Summed
from engine.manifest.tar import Member, members
from engine.manifest.whiteouts import META_PREFIX, OPAQUE, PREFIX
from engine.units import in_bytes


@dataclass(slots=True)
class Content:
    """What one layer brings, in its own order.

    Attributes:
        changes: Member, and its entry, whose path is its name; None for a hard link.
        deleted: Paths that it deletes from the layers below.
        opaque: Directories of which it deletes all content.
        directories: Names that are directories in this layer.
    """

    changes: list[tuple[Member, Entry | None]] = field(default_factory=list)
    deleted: list[bytes] = field(default_factory=list)
    opaque: list[bytes] = field(default_factory=list)
    directories: set[bytes] = field(default_factory=set)

    def again(self) -> Content:
        """Returns the same for a further layer, with entries of its own."""
        changes = [(member, copy(entry) if entry else None) for member, entry in self.changes]
        return replace(self, changes=changes)


def read_layer(
    blob: Stream, layer: Layer, index: int, make: EntryMaker, on_piece: Callable[[], None]
) -> Content:
    """Reads a layer once, and checks its size and both of its sums.

    Args:
        index: Of the layer, from the lowest up.

    Raises:
        BadImage: A sum or the size is wrong.
        BadArchive, and what unpacking raises: It is damaged.
    """
    algorithm, _, wanted = layer.digest.partition(":")
    packed = Summed(blob, algorithm or "sha256")
    plain = Summed(unpacked(packed), layer.diff_id.partition(":")[0])
    content = Content()
    source = Reader(plain, on_piece)
    for member in members(source):
        _take(content, member, index, make)
        make.walk.ticker.add(1, member.size)
    source.rest(0)
    packed.drain()
    if layer.size is not None and packed.size != layer.size:
        raise BadImage(f"it has {in_bytes(packed.size)}, and the manifest says {layer.size:,}")
    if wanted and packed.hexdigest() != wanted:
        raise BadImage(f"its sum is {packed.hexdigest()}, and the manifest says {wanted}")
    found, wanted = plain.hexdigest(), layer.diff_id.partition(":")[2]
    if found != wanted:
        raise BadImage(
            f"the sum of its unpacked content is {found}, and the configuration says {wanted}"
        )
    return content


def _take(content: Content, member: Member, index: int, make: EntryMaker) -> None:
    name = make.inside(member.name, member, "climbs out of the layer")
    if name is None or member.kind == VOLUME_LABEL:
        return
    above, _, last = name.rpartition(b"/")
    if last == OPAQUE:
        content.opaque.append(above)
    elif META_PREFIX in name:
        return  # of the union file system itself, as Docker passes over them
    elif last.startswith(PREFIX):
        gone = last.removeprefix(PREFIX)
        if gone in {b"", b".", b".."}:
            make.odd(member, "is a whiteout without a name")
        else:
            content.deleted.append(above + b"/" + gone if above else gone)
    elif member.kind == HARD_LINK:
        link = make.inside(member.link, member, "is a hard link that leads out of the image")
        if link is not None:
            content.changes.append((_bare(member, name, link), None))
    else:
        entry = make.entry(name, member, stamp(index, member.data))
        if entry is None:
            return
        if not name and not entry.is_directory:
            make.odd(member, "would be the root directory, and is not a directory")
            return
        if entry.is_directory:
            content.directories.add(name)
        content.changes.append((_bare(member, name, b""), entry))


def _bare(member: Member, name: bytes, link: bytes) -> Member:
    """Returns a member with no more than is needed once its entry is made."""
    return Member(
        name=name, kind=member.kind, mode=0, size=0, uid=0, gid=0, mtime_ns=0,
        link=link, major=0, minor=0,
    )  # fmt: skip


class Layered:
    """The tree while layers are put on it, by paths from the image's own root.

    Attributes:
        entries: By path.
        heads: By inode, the entry that other names of it refer to; it may be gone itself.
    """

    def __init__(self, made_ns: int) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.heads: dict[Hashable, Entry] = {}
        self._made_ns = made_ns
        self._children: dict[bytes, set[bytes]] = {}

    def apply(self, content: Content, make: EntryMaker) -> None:
        """Puts a layer on top."""
        self._delete(content)
        later = []
        for member, entry in content.changes:
            if not self._place(member, entry, make):
                later.append(member)
        for member in later:  # hard links that come before what they are links to
            if not self._place(member, None, make):
                make.odd(member, "is a hard link to something that is not a file in the image")

    def _delete(self, content: Content) -> None:
        """Deletes what the layer says of those below."""

        def seen(path: bytes) -> Entry | None:
            entry = self.entries.get(path)
            # A directory of this layer takes a link's place, and what it led to is not meant.
            return None if entry is not None and path in own and not entry.is_directory else entry

        own = content.directories
        for folder in content.opaque:
            place = self._where(folder, seen)
            for path in list(self._children.get(place, ()) if place is not None else ()):
                self._remove(path)
        for path in content.deleted:
            above, _, name = path.rpartition(b"/")
            place = self._where(above, seen)
            if place is not None:
                self._remove(place + b"/" + name if place else name)

    def _where(self, path: bytes, get: Get) -> bytes | None:
        """Returns where a directory is in the tree; None where there cannot be one."""
        entry = get(path)
        if entry is not None and entry.is_directory:
            return path  # paths of the tree have no links in them
        try:
            return resolve(get, path, may_miss=True, may_dangle=True)
        except LeadsNowhere:
            return None

    def _place(self, member: Member, entry: Entry | None, make: EntryMaker) -> bool:
        """Puts one member into the tree; False for a link to what is not there (yet)."""
        above, _, name = member.name.rpartition(b"/")
        folder = self._folder(above)
        if folder is None:
            make.odd(member, "is below something that is not a directory")
            return True
        path = folder + b"/" + name if folder else name
        if entry is None:
            entry = self._link(member.link, path)
            if entry is None:
                return False
            if entry is self.entries.get(path):
                return True
        existing = self.entries.get(path)
        if existing is not None and not (existing.is_directory and entry.is_directory):
            self._remove(path)
        entry.path = path
        self._put(entry)
        return True

    def _link(self, name: bytes, path: bytes) -> Entry | None:
        """Returns another name, `path`, of a file that is there; the file itself if it is that."""
        above, _, last = name.rpartition(b"/")
        folder = self._where(above, self.entries.get)
        place = folder + b"/" + last if folder else last
        first = self.entries.get(place) if folder is not None else None
        if first is None or first.is_directory:
            return None
        if place == path:
            return first
        head = first.link_to or first
        self.heads[id(head)] = head
        entry = copy(head)
        entry.link_to = head
        return entry

    def _folder(self, path: bytes) -> bytes | None:
        """Returns where a directory is, which is made if it is missing; None if it cannot be."""
        place = self._where(path, self.entries.get)
        if place is None:
            return None
        there = self.entries.get(place)
        if there is not None:
            return place if there.is_directory else None
        missing = []
        at = place
        while at and at not in self.entries:
            missing.append(at)
            at = at.rpartition(b"/")[0]
        for at in reversed(missing):
            self._put(directory(at, mtime_ns=self._made_ns))
        return place

    def _put(self, entry: Entry) -> None:
        self.entries[entry.path] = entry
        if entry.path:
            self._children.setdefault(entry.parent, set()).add(entry.path)

    def _remove(self, path: bytes) -> None:
        """Removes a name and all that is below it; nothing where it is not there."""
        if path not in self.entries:
            return
        for each in list(self._under(path)):
            del self.entries[each]
            self._children.pop(each, None)
        self._children[path.rpartition(b"/")[0]].discard(path)

    def _under(self, path: bytes) -> Iterator[bytes]:
        pending = [path]
        while pending:
            at = pending.pop()
            yield at
            pending += self._children.get(at, ())
