"""The volumes of the last build, whose entries change as the sources did.

Where an entry goes that was not there depends on what else is brought to its volume: another source
may bring the same path, or a link that leads elsewhere. So this says what an edit makes of a volume
only where every source's entries are where their paths say, and no other source brings that path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from engine.manifest.entry import Entry
from engine.manifest.folder import FolderSource
from engine.manifest.leftovers import PLACES
from engine.manifest.lookup import find
from engine.manifest.mounted import mounted_at
from engine.manifest.owners import GROUPS, USERS, numeric
from engine.manifest.volumes import place
from engine.reuse.brought import paths_of, source_of
from engine.reuse.edited import Came
from engine.reuse.fields import fits
from engine.reuse.kept import Kept
from engine.reuse.listed import Listed
from engine.reuse.paths import Paths, listed_in
from engine.reuse.record import Seen
from engine.reuse.remembered import Rows
from engine.reuse.tree import Scan, Tree, alike, is_from
from engine.spec.settings import ContentSettings, Settings

_OPEN = 0o005
"""Permission to enter the root directory, without which a scan warns."""


class Trees:
    """All volumes."""

    def __init__(
        self,
        kept: Sequence[Kept],
        settings: Settings,
        seen: Seen,
    ) -> None:
        """Prepares it.

        Args:
            kept: What the last build had of them.
            settings: The spec, resolved.
            seen: What that build saw of the sources.
        """
        self._settings = settings
        self._seen = seen
        self._at = mounted_at(settings.volumes)
        self._points = [(one.mount or "").strip("/").encode() for one in settings.volumes]
        archives = [source_of(one) for one in seen.archives]
        self._trees = {one.id: Tree(one, archives) for one in kept}
        self._tables = self._accounts() if _any_named(settings) else []

    def owner(self, content: ContentSettings) -> tuple[int, int]:
        """Returns the numbers of the owners that a content entry gives.

        Raises:
            Scan: They are not known.
        """
        where = f"contents[{content.index}]"
        owned = (tree.rows.kept.owned.get(where) for tree in self._trees.values())
        found = {one for one in owned if one is not None}
        if len(found) != 1:
            raise Scan
        return found.pop()

    def names_of(self, stamp: int) -> int:
        """Returns how many names had a stamp, as the names of one inode have, in all sources."""
        return sum(
            len(Listed(one).names_of(stamp)) for one in self._seen.sources if not one.followed
        )

    def entry(self, content: ContentSettings, path: bytes) -> Entry | None:
        """Returns what was at a path of the image, where a content entry brings something to it.

        Raises:
            Scan: Nothing may be there.
        """
        tree, inside = self._place(content, path)
        index = tree.rows.at(inside)
        return None if index is None else tree.rows[index]

    def change(
        self, content: ContentSettings, path: bytes, new: Entry, origin: bytes, below: bytes,
        *, recent: bool,
    ) -> None:  # fmt: skip
        """Takes an entry as it is now, of the kind that it was.

        Args:
            content: That brings it.
            path: In the image.
            new: The entry.
            origin: The folder that it comes from.
            below: Path in that.
            recent: It had just changed when it was looked at.

        Raises:
            Scan: It takes one.
        """
        tree, inside = self._place(content, path)
        index = tree.rows.at(inside)
        if index is None or not fits(new):
            raise Scan
        if new.is_directory and path and path in self._at:
            raise Scan  # it is two directories, one of them the root of a volume
        old = tree.rows[index]
        if old.source is None or old.link_to is not None:
            raise Scan
        new.path = inside
        if not is_from(old.source, inside, origin, below):
            stated = content.mode or content.user or content.group
            if not self._straight or not old.is_directory or stated:
                raise Scan
            return  # another source brought the directory first
        if not inside and new.mode & _OPEN != _OPEN:
            raise Scan
        if alike(old, new):
            new.source = old.source
            if recent:
                assert isinstance(new.stamp, int)
                old.source.recent.add(new.stamp)
            tree.rows.change(index, new)
            return
        if not inside:
            raise Scan
        self.remove(content, path, origin, below, swapped=True)
        self.add(content, path, new, origin, below, recent=recent)

    def change_names(
        self, content: ContentSettings, names: Sequence[tuple[bytes, bytes, Entry]],
        origin: bytes, *, recent: bool,
    ) -> None:  # fmt: skip
        """Takes an inode as it is now, which has several names and had the same.

        Args:
            content: That brings it.
            names: All of them: the path in the image, that in the folder, and the entry.
            origin: The folder.
            recent: It had just changed when it was looked at.

        Raises:
            Scan: It takes one.
        """
        below = {name for _, name, _ in names}
        inside: dict[str, list[tuple[int, Entry]]] = {}
        for path, _, new in names:
            home = content.volume or place(path, self._at)[0]
            tree, new.path = self._place(content, path)
            index = tree.rows.at(new.path)
            if index is None or not fits(new):
                raise Scan
            old = tree.rows[index]
            if not isinstance(old.source, FolderSource) or old.source.folder != origin:
                raise Scan
            # In another volume than the first, a name stands for that.
            if old.source.below(new.path) not in below or not alike(old, new):
                raise Scan
            new.source = old.source
            if recent:
                assert isinstance(new.stamp, int)
                old.source.recent.add(new.stamp)
            inside.setdefault(home, []).append((index, new))
        for home, some in inside.items():
            self._trees[home].change_names(some)

    def remove(
        self, content: ContentSettings, path: bytes, origin: bytes, below: bytes,
        *, swapped: bool = False,
    ) -> None:  # fmt: skip
        """Takes an entry away.

        Args:
            content: That brought it.
            path: In the image.
            origin: The folder that it came from.
            below: Path in that.
            swapped: Another one of its kind comes.

        Raises:
            Scan: It takes one.
        """
        tree, inside = self._place(content, path)
        self._check(content, path, inside)
        index = tree.rows.at(inside)
        if index is None:
            raise Scan
        old = tree.rows[index]
        if not is_from(old.source, inside, origin, below):
            raise Scan
        tree.gone[index] = swapped

    def add(
        self, content: ContentSettings, path: bytes, new: Entry, origin: bytes, below: bytes,
        *, recent: bool,
    ) -> None:  # fmt: skip
        """Takes an entry where nothing is.

        Raises:
            Scan: It takes one.
        """
        tree, inside = self._place(content, path)
        self._check(content, path, inside)
        index = tree.rows.at(inside)
        if (index is not None and index not in tree.gone) or not fits(new):
            raise Scan
        if not tree.has_directory(inside.rpartition(b"/")[0]):
            raise Scan
        number = tree.source_of(f"contents[{content.index}]", origin)
        source = tree.rows.sources[number]
        assert isinstance(source, FolderSource)
        new.path, new.source = inside, source
        if recent:
            assert isinstance(new.stamp, int)
            source.recent.add(new.stamp)
        tree.come[inside] = Came(new, number, below)

    def edited(self) -> dict[str, Rows]:
        """Returns the volumes as they are, by id.

        Raises:
            Scan: It takes one.
        """
        found = {name: tree.edited() for name, tree in self._trees.items()}
        if self._tables and self._accounts(found) != self._tables:
            raise Scan
        return found

    def _accounts(self, volumes: Mapping[str, Rows] | None = None) -> list[int | None]:
        """Returns what tells the tables of users and groups of all volumes, by their entries."""
        if volumes is None:
            volumes = {name: tree.rows for name, tree in self._trees.items()}
        found = [find(rows.get, path) for rows in volumes.values() for path in (USERS, GROUPS)]
        return [one if one is None else id(one) for one in found]

    def _place(self, content: ContentSettings, path: bytes) -> tuple[Tree, bytes]:
        home, inside = (content.volume, path) if content.volume else place(path, self._at)
        tree = self._trees.get(home)
        if tree is None:
            raise Scan
        return tree, inside

    def _check(self, content: ContentSettings, path: bytes, inside: bytes) -> None:
        """Raises Scan unless a path is of one source alone, and nothing is said of it."""
        if not self._straight or inside in PLACES or not inside:
            raise Scan
        if not content.volume and any(
            point == path or point.startswith(path + b"/") for point in self._points
        ):
            raise Scan
        where = f"contents[{content.index}]"
        for one in self._listed:
            if one.where != where and one.has(path):
                raise Scan

    @cached_property
    def _listed(self) -> list[Paths]:
        """What the sources brought; of one source it need not be known."""
        sources, archives = self._seen.sources, self._seen.archives
        if len(sources) < 2:
            return []
        volumes = {f"contents[{one.index}]": one.volume for one in self._settings.contents}
        found = [
            Paths(one.files.where, volumes[one.files.where], paths_of(all_of_it))
            for one, all_of_it in zip(archives, self._seen.brought, strict=True)
        ]
        whole = {one.files.where for one in archives}
        return found + [
            listed_in(one, volumes[one.where]) for one in sources if one.where not in whole
        ]

    @cached_property
    def _straight(self) -> bool:
        """Whether every source's entries are where their paths say."""
        settings = self._settings
        rules = settings.rules
        if rules.merges_in_order or rules.chowns_targets or rules.loses_dotfiles:
            return False
        if any(content.replace for content in settings.contents):
            return False
        contents = {f"contents[{one.index}]": one for one in settings.contents}
        if not all(one.where in contents for one in self._seen.sources):
            return False
        for point in filter(None, self._at):
            above, _, name = point.rpartition(b"/")
            home, inside = place(above, self._at)
            tree = self._trees.get(home)
            if tree is None or not tree.has_directory(b"/".join(filter(None, (inside, name)))):
                return False
        # What of the largest is not where its path says is in the way of another, or below it.
        smaller = sorted(self._listed, key=len)[:-1]
        return all(self._is_straight(contents[one.where], one) for one in smaller)

    def _is_straight(self, content: ContentSettings, listed: Paths) -> bool:
        """Whether a source's entries are where their paths say, and in no other's way."""
        for path, name in listed:
            tree, inside = self._place(content, path)
            index = tree.find(inside)
            if index is None:
                return False
            if tree.is_directory(index):
                continue
            if name is None:
                if not tree.is_of(index, listed.where):
                    return False
            elif not tree.comes_from(index, listed.folder, name):
                return False
            for one in self._listed:
                theirs = self._path(one, tree, inside) if one is not listed else None
                if theirs is not None and (one.has(theirs) or one.has_below(theirs)):
                    return False
        return True

    def _path(self, listed: Paths, tree: Tree, inside: bytes) -> bytes | None:
        """Returns the path by which a source would bring what is in a volume, if it can."""
        volume = tree.rows.kept.id
        if listed.volume:
            return inside if listed.volume == volume else None
        point = next((at for at, home in self._at.items() if home == volume), None)
        return None if point is None else b"/".join(filter(None, (point, inside)))


def _any_named(settings: Settings) -> bool:
    """Whether an owner is given by name, so that a table of the image says who that is."""
    names = (name for one in settings.contents for name in (one.user, one.group))
    return any(name and numeric(name) is None for name in names)
