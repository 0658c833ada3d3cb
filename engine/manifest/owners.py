"""User and group names, looked up in the image's own /etc/passwd and /etc/group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.findings import Findings
from engine.manifest.lookup import Get, find, read
from engine.manifest.memory import copy

_LIMIT = 16 << 20
"""Bytes read of a table of accounts; far beyond any real one."""

USERS, GROUPS = b"etc/passwd", b"etc/group"
"""The tables, by their paths in an image."""
_ROOT = "root"

MAX_ID = 2**32 - 2
"""Largest user or group number; the one above means "no change" (chown(2))."""

Owner = tuple[int, int]


class Accounts:
    """The image's tables of users and groups, read when first asked for."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._tables: dict[bytes, dict[str, int] | str] = {}
        self._groups: dict[str, int] = {}

    def uid(self, user: str, findings: Findings) -> int | None:
        """Returns a user's number, or None (found and reported)."""
        return self._number(user, USERS, "user", findings)

    def gid(self, group: str, findings: Findings) -> int | None:
        """Returns a group's number, or None (found and reported)."""
        return self._number(group, GROUPS, "group", findings)

    def primary_group(self, user: str) -> int:
        """Returns the number of a user's own group; 0 for one that the table does not have."""
        self._tables.setdefault(USERS, self._table(USERS))
        return self._groups.get(user, 0)

    def _number(self, name: str, path: bytes, key: str, findings: Findings) -> int | None:
        number = numeric(name)
        if number is not None:
            return number
        if name == _ROOT:
            return 0  # everywhere, whether or not there is a table
        table = self._tables.get(path)
        if table is None:
            table = self._tables[path] = self._table(path)
        file = f"/{path.decode()}"
        code = "unknown-user" if key == "user" else "unknown-group"
        if isinstance(table, str):
            findings.add(
                code,
                f"{key} {name!r} cannot be looked up: the image's {file} {table}",
                f"give a number, or contents that bring {file}",
                key=key,
            )
            return None
        if name not in table:
            findings.add(
                code,
                f"there is no {key} {name!r} in the image's {file} ({len(table)} {key}s)",
                f"give a number, or add the {key} to that file",
                key=key,
            )
            return None
        return table[name]

    def _table(self, path: bytes) -> dict[str, int] | str:
        """Returns numbers by name, or why there are none."""
        entry = find(self._get, path)
        if entry is None or not entry.is_regular:
            return "is not there"
        try:
            text = read(entry, _LIMIT).decode("utf-8", "surrogateescape")
        except (OSError, SourceChanged) as error:
            return f"cannot be read ({error})"
        table: dict[str, int] = {}
        for line in text.splitlines():
            fields = line.split(":")
            number = numeric(fields[2]) if len(fields) > 2 else None
            if number is None:
                continue
            table.setdefault(fields[0], number)
            group = numeric(fields[3]) if path == USERS and len(fields) > 3 else None
            if group is not None:
                for known in (fields[0], fields[2]):  # a user may be named by number
                    self._groups.setdefault(known, group)
        return table


def numeric(name: str) -> int | None:
    """Returns the number that a name is, or None for a name proper (or one out of range)."""
    if not (name.isascii() and name.isdigit()):
        return None
    number = int(name)
    return number if number <= MAX_ID else None


def give(entries: Sequence[Entry], owners: Mapping[int, Owner]) -> list[Entry]:
    """Returns entries with new owners; all names of an inode follow its first.

    Args:
        entries: In manifest order; those that change are copied.
        owners: By id() of the entry, or of the first name of its inode.
    """
    replaced: dict[int, Entry] = {}
    result = []
    for entry in entries:
        owner = owners.get(id(entry.link_to or entry))
        if owner is not None and (owner != (entry.uid, entry.gid) or id(entry.link_to) in replaced):
            new = copy(entry)
            new.uid, new.gid = owner
            if entry.link_to is not None:
                new.link_to = replaced.get(id(entry.link_to), entry.link_to)
            replaced[id(entry)] = new
            result.append(new)
        else:
            result.append(entry)
    return result
