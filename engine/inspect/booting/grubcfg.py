"""The menu in the text of a grub.cfg, as far as it can be told without running it.

Commands are read from top to bottom; of an `if`, every branch counts and the last one wins.
Loops are not run. Source: GRUB's manual, sections "Configuration" and "Commands".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from engine.inspect.booting.entry import MAX_ENTRIES, MAX_INITRDS
from engine.inspect.booting.grubscript import Command, Word, commands, expanded

_LINUX = frozenset({"linux", "linux16", "linuxefi", "chainloader"})
_INITRD = frozenset({"initrd", "initrd16", "initrdefi"})
_LEADING: frozenset[Word] = frozenset({("then",), ("else",), ("do",)})
_SKIPPED = frozenset({"if", "elif", "fi", "done"})
_LOOPS = frozenset({"for", "while", "until"})
_OTHERS = frozenset({"source", ".", "configfile"})
_SEARCHES = {"search.fs_uuid": "uuid", "search.fs_label": "label", "search.file": "file"}
_BY = {
    "--fs-uuid": "uuid", "-u": "uuid", "--label": "label", "-l": "label", "--file": "file",
    "-f": "file",
}  # fmt: skip
_SNIPPETS = "/loader/entries"
_ID_OPTION = "menuentry_id_option"
_MAX_OPTIONS = 4096
"""Characters of a command line; no kernel takes more."""
_MAX_VARIABLES = 512
_MAX_SCOPES = 32


@dataclass(frozen=True, slots=True)
class GrubPath:
    """A file as GRUB names it.

    Attributes:
        device: GRUB's name ("hd0,gpt2"), "uuid:...", "label:..." or "file:..." of a search, or ""
            for the device that grub.cfg was read from.
        path: From the root of its file system.
    """

    device: str
    path: str


def grub_path(text: str, root: str) -> GrubPath:
    """Returns the file that a text names: "(hd0,gpt2)/boot", or "/boot" on the device `root`."""
    if not text.startswith("("):
        return GrubPath(root, text)
    device, _, path = text[1:].partition(")")
    return GrubPath(device, path)


@dataclass(slots=True)
class GrubEntry:
    """One item of a menu. Submenus have no `linux` and hold items of their own.

    Attributes:
        place: The numbers that lead to it from the top menu.
        unknown: Variables it uses that only a script's run would set.
    """

    title: str
    identifier: str
    place: tuple[int, ...]
    submenu: bool = False
    linux: GrubPath | None = None
    initrd: tuple[GrubPath, ...] = ()
    options: str = ""
    unknown: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class GrubConfig:
    """What the text of a grub.cfg says.

    Attributes:
        items: Entries and submenus in the order of the text.
        default: The default entry; None where there is nothing, or a submenu.
        others: Files that it reads as scripts of the same kind.
        chosen: What names the default, as it is written.
        snippets: The folder of type 1 entries that are added to the menu (`blscfg`).
        computed: Commands and variables that make this less than the whole truth.
    """

    items: tuple[GrubEntry, ...]
    default: GrubEntry | None
    others: tuple[GrubPath, ...] = ()
    chosen: str = ""
    snippets: GrubPath | None = None
    computed: tuple[str, ...] = ()


def parse(text: str, variables: Mapping[str, str]) -> GrubConfig:
    """Returns the menu of a grub.cfg.

    Args:
        text: Its text.
        variables: The environment it starts with: `root`, `prefix`, those of grubenv.
    """
    reader = _Reader({**variables, _ID_OPTION: "--id"})
    for command in commands(text):
        reader.take(command)
    return reader.result()


class _Reader:
    def __init__(self, variables: dict[str, str]) -> None:
        self._scopes = [variables]
        self._blocks: list[GrubEntry | None] = []
        self._items: list[GrubEntry] = []
        self._counts: dict[tuple[int, ...], int] = {}
        self._others: dict[GrubPath, None] = {}
        self._computed: dict[str, None] = {}
        self._direct: GrubEntry | None = None
        self._boots_directly = False
        self._default = ""
        self._snippets: GrubPath | None = None

    def take(self, command: Command) -> None:
        """Reads one command."""
        if command.closes:
            if self._blocks:
                self._scopes.pop()
                self._blocks.pop()
            return
        words = command.words
        while words and words[0] in _LEADING:
            words = words[1:]
        name = self._text(words[0]) if words else ""
        entry = None
        if name in {"menuentry", "submenu"} and len(words) > 1:
            entry = self._item(name, words)
        elif words and not self._in_function():
            self._run(name, words[1:])
        if command.opens:
            self._blocks.append(entry)
            # What a block sets ends with it; deeper blocks than anyone writes share theirs.
            inner = self._scopes[-1]
            self._scopes.append(dict(inner) if len(self._scopes) < _MAX_SCOPES else inner)

    def _in_function(self) -> bool:
        return any(block is None for block in self._blocks)

    def _run(self, name: str, words: tuple[Word, ...]) -> None:
        if name in _SKIPPED:
            return
        if name in _LOOPS:
            self._computed[name] = None
        elif name == "blscfg":
            scope = self._scopes[-1]
            device = scope.get("boot") or scope.get("root", "")
            self._snippets = GrubPath(device, scope.get("blsdir", _SNIPPETS))
        elif name == "set" and words:
            self._assign(self._text(words[0]))
        elif "=" in name and not words:
            self._assign(name)
        elif name == "search" or name in _SEARCHES:
            self._search(name, [self._text(word) for word in words])
        elif name in _LINUX and words:
            self._linux(name, words)
        elif name in _INITRD:
            self._initrd(words)
        elif name in _OTHERS and words and not self._blocks:
            path = self._path(self._text(words[0]))
            if len(self._others) < MAX_ENTRIES:
                self._others[path] = None
        elif name == "boot" and not self._blocks:
            self._boots_directly = True

    def _text(self, word: Word) -> str:
        return expanded(word, self._scopes[-1], set())

    def _assign(self, assignment: str) -> None:
        name, equals, value = assignment.partition("=")
        if not equals or name == _ID_OPTION:
            return
        # Branches that empty a variable undo what another has just used.
        if value or name not in self._scopes[-1]:
            self._set(name, value)
        if name == "default" and not self._blocks and value:
            self._default = value

    def _set(self, name: str, value: str) -> None:
        scope = self._scopes[-1]
        if name in scope or len(scope) < _MAX_VARIABLES:
            scope[name] = value

    def _search(self, name: str, words: list[str]) -> None:
        by = _SEARCHES.get(name, "")
        target = "root"
        names = []
        for word in words:
            option, equals, value = word.partition("=")
            if option in _BY:
                by = _BY[option]
            elif option in {"--set", "-s"} and equals:
                target = value
            elif not word.startswith("-"):
                names.append(word)
        if not by or not names:
            return
        if name in _SEARCHES and len(names) > 1:
            target = names[1]
        self._set(target, f"{by}:{names[0]}")

    def _item(self, kind: str, words: tuple[Word, ...]) -> GrubEntry | None:
        if self._in_function() or len(self._items) >= MAX_ENTRIES:
            return None
        above = next((block.place for block in reversed(self._blocks) if block), ())
        number = self._counts.get(above, 0)
        self._counts[above] = number + 1
        unknown: set[str] = set()
        title, *rest = (expanded(word, self._scopes[-1], unknown) for word in words[1:])
        named = (
            word.partition("=")[2] or after
            for word, after in pairwise([*rest, ""])
            if word.partition("=")[0] == "--id"
        )
        entry = GrubEntry(
            title, next(named, ""), (*above, number), submenu=kind == "submenu", unknown=unknown
        )
        self._items.append(entry)
        return entry

    def _entry(self) -> GrubEntry:
        """Returns the entry that a command belongs to: the innermost, or what needs no menu."""
        for block in reversed(self._blocks):
            if block is not None:
                return block
        if self._direct is None:
            self._direct = GrubEntry("started without a menu", "", ())
        return self._direct

    def _linux(self, name: str, words: tuple[Word, ...]) -> None:
        entry = self._entry()
        path, *options = (expanded(word, self._scopes[-1], entry.unknown) for word in words)
        entry.linux = self._path(path)
        entry.options = "" if name == "chainloader" else _joined(options)

    def _initrd(self, words: tuple[Word, ...]) -> None:
        entry = self._entry()
        paths = (expanded(word, self._scopes[-1], entry.unknown) for word in words[:MAX_INITRDS])
        entry.initrd = tuple(self._path(path) for path in paths if path)

    def _path(self, text: str) -> GrubPath:
        return grub_path(text, self._scopes[-1].get("root", ""))

    def result(self) -> GrubConfig:
        """Returns what was read."""
        items = list(self._items)
        default = self._chosen()
        if self._direct is not None and (self._boots_directly or not items):
            items.insert(0, self._direct)
            default = self._direct
        unknown = {name: None for item in items for name in sorted(item.unknown)}
        computed = (*self._computed, *(f"${name}" for name in unknown))
        return GrubConfig(
            tuple(items), default, tuple(self._others), self._default, self._snippets, computed
        )

    def _chosen(self) -> GrubEntry | None:
        """Follows `default` ("2", "1>0", a title or identifier); what it misses is the first."""
        place: tuple[int, ...] = ()
        found = None
        for name in self._default.split(">") or [""]:
            level = [item for item in self._items if item.place[:-1] == place]
            if not level:
                break
            number = int(name) if name.isascii() and name.isdigit() and len(name) < 6 else None
            match = (i for i in level if i.place[-1] == number or name in {i.identifier, i.title})
            found = next(match, level[0])
            place = found.place
        return found if found is not None and not found.submenu else None


def _joined(options: list[str]) -> str:
    return " ".join(filter(None, options))[:_MAX_OPTIONS]
