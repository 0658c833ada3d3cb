"""The tree of an image while sources are put into it one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.manifest.entry import Entry, order
from engine.manifest.findings import Edit, Findings, shown
from engine.manifest.lookup import LeadsNowhere, resolve
from engine.manifest.memory import copy_of, directory
from engine.manifest.part import Part


@dataclass(slots=True)
class Tree:
    """Entries by path.

    Attributes:
        epoch_ns: Time of directories that no source brings.
        spec_order: Merge in the order of the spec (see `engine.manifest.merge.merge`).
        moved: Pairs of a part's entry and the one that stands for it at another path.
        dropped: An entry of a part is not in the tree.
    """

    epoch_ns: int
    spec_order: bool
    entries: dict[bytes, Entry] = field(default_factory=dict)
    moved: list[tuple[Entry, Entry]] = field(default_factory=list)
    dropped: bool = False
    _bases: list[bytes] = field(default_factory=list)
    _parts: list[tuple[int, Part]] = field(default_factory=list)
    _by_source: dict[int, int] = field(default_factory=dict)
    _mapped: int = 0

    def place(self, part: Part, findings: Findings, number: int = 0) -> list[Entry]:
        """Puts a part into the tree; returns its entries there, what is in the way is found.

        Args:
            number: The part's place in the spec, which says which of two comes later.
        """
        if not part.entries:
            return []
        self._parts.append((number, part))
        base = self._base(part, findings)
        if base is None:
            self.dropped = True
            return []
        if not self.entries and base == part.target:
            self.entries = {entry.path: entry for entry in part.entries}
            placed = part.entries
        else:
            placed = self._merge(part, base, findings)
        self._bases.append(base.rpartition(b"/")[0] if part.kind == "file" else base)
        if self.spec_order:
            self._make_parents()
        return placed

    def in_order(self) -> list[Entry]:
        """Returns all entries in manifest order, with the parents that nobody brought."""
        self._make_parents()
        if b"" not in self.entries:
            self.entries[b""] = directory(b"", mtime_ns=self.epoch_ns)
        return sorted(self.entries.values(), key=lambda entry: order(entry.path))

    def _make_parents(self) -> None:
        for base in self._bases:
            path = base
            while path:
                if path not in self.entries:
                    self.entries[path] = directory(path, mtime_ns=self.epoch_ns)
                path = path.rpartition(b"/")[0]
        self._bases.clear()

    def _base(self, part: Part, findings: Findings) -> bytes | None:
        """Returns where a part's target is once the image's symbolic links are followed."""
        get = self.entries.get
        target = part.target
        try:
            if part.kind == "file":
                above, _, name = target.rpartition(b"/")
                above = resolve(get, above, may_miss=True)
                base = above + b"/" + name if above else name
            else:
                above = base = resolve(get, target, may_miss=True)
        except LeadsNowhere as error:
            findings.add(
                "target-leads-nowhere",
                f"/{shown(target)} cannot be made in the image: {error}",
                "name a target whose parents are directories, or links that lead to one",
                key="target",
            )
            return None
        there = get(base if part.into is None else above)
        if part.into is not None and not above:
            there = None
        if (
            self.spec_order
            and not part.replaces
            and there is not None
            and base
            and part.kind != "glob"
        ):
            findings.add(
                "duplicate-target",
                f"duplicate entry /{shown(target)} -> {part.origin}: the target exists already",
                "the reference refuses a target that an earlier entry made; name a new one",
                key="target",
            )
            return None
        holder = get(above)
        if holder is not None and not holder.is_directory:
            findings.add(
                "target-not-a-directory",
                f"/{shown(above)} must be a directory to hold {part.origin},"
                f" and is a file from {_origin(holder)}",
                "choose another target",
                key="target",
            )
            return None
        return base

    def _merge(self, part: Part, base: bytes, findings: Findings) -> list[Entry]:
        """Adds entries one by one; `base` is where the part's target really is."""
        entries = self.entries
        placed: list[Entry] = []
        # Directories that stand elsewhere than their part has them: prefix there and in the
        # tree, None for one that has no place at all. Entries are in order, so they nest.
        redirects: list[tuple[bytes, bytes | None]] = []
        if base != part.target:
            redirects.append((_prefix(part.target), _prefix(base)))
        for entry in part.entries:
            path = entry.path
            if path == part.target:
                path = base
            else:
                while redirects and not path.startswith(redirects[-1][0]):
                    redirects.pop()
                if redirects:
                    prefix, instead = redirects[-1]
                    if instead is None:
                        self.dropped = True
                        continue
                    path = instead + path[len(prefix) :]
            existing = entries.get(path)
            if existing is not None and not self._takes_over(path, entry, existing, part, findings):
                self.dropped = True
                if entry.is_directory:
                    where = self._directory_at(path)
                    if where != entry.path:
                        instead = None if where is None else _prefix(where)
                        redirects.append((_prefix(entry.path), instead))
                continue
            if path != entry.path:
                ours = copy_of(path, entry)
                self.moved.append((entry, ours))
                entry = ours  # noqa: PLW2901 - from here on it is the tree's
            entries[path] = entry
            placed.append(entry)
        return placed

    def _directory_at(self, path: bytes) -> bytes | None:
        """Returns the path of the directory that a path leads to, or None."""
        try:
            where = resolve(self.entries.get, path)
        except LeadsNowhere:
            return None
        there = self.entries.get(where)
        return where if there is None or there.is_directory else None

    def _takes_over(
        self, path: bytes, entry: Entry, existing: Entry, part: Part, findings: Findings
    ) -> bool:
        """Whether an entry replaces the one at its path; if not, the first one stays."""
        if entry.is_directory and existing.is_directory:
            if entry.source is None:
                return False
            if part.replaces and existing.source is not None:
                return self._is_later(part, existing)
            return existing.source is None or part.stated or (self.spec_order and bool(path))
        if entry.is_directory and self._directory_at(path) is not None:
            return False  # a link of the image to a directory: what is in it goes there
        both = f"/{shown(path)} is {_origin(existing)} and {_origin(entry)}"
        if entry.is_directory or existing.is_directory:
            findings.add(
                "file-and-directory",
                f"{both}: one is a directory, the other is not",
                "leave one of the two out (exclude), or give it another target"
                + (
                    "; a target that ends in / puts the file into it" if part.kind == "file" else ""
                ),
                key="target",
            )
            return False
        other = self._part_of(existing)
        if part.replaces and self._is_later(part, existing):
            self.dropped = True
            return True
        if other is not None and other.replaces and not self._is_later(part, existing):
            return False  # the later of the two is here already
        if self.spec_order:
            findings.add(
                "replaced",
                f"{both}: the later one replaces the earlier, as the reference has it",
                "leave one of the two out to silence this",
                key="target",
                severity="warning",
            )
            self.dropped = True
            return True
        findings.add(
            "duplicate-target",
            f"{both}: only one of them can be there",
            "set replace = true on the later one, leave one of the two out (exclude), or give it"
            " another target",
            key="target",
            fix=Edit("Let it replace what is there", "replace", True)
            if part.where and self._is_later(part, existing)
            else None,
        )
        return False

    def _is_later(self, part: Part, existing: Entry) -> bool:
        """Whether a part stands later in the spec than the one that an entry is of."""
        number = next(at for at, each in self._parts if each is part)
        other = self._number_of(existing)
        return other is None or other < number

    def _part_of(self, entry: Entry) -> Part | None:
        number = self._number_of(entry)
        return next((part for at, part in self._parts if at == number), None)

    def _number_of(self, entry: Entry) -> int | None:
        """Returns the place in the spec of the part that an entry in the tree is of."""
        while isinstance(entry.stamp, Entry):  # one that stands for another, see copy_of
            entry = entry.stamp
        for number, part in self._parts[self._mapped :]:
            for each in part.entries:
                self._by_source.setdefault(id(each.source), number)
        self._mapped = len(self._parts)
        return self._by_source.get(id(entry.source))


def _prefix(path: bytes) -> bytes:
    return path + b"/" if path else b""


def _origin(entry: Entry) -> str:
    return (
        entry.source.describe(entry) if entry.source is not None else "a directory made for others"
    )
