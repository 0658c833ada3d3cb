"""Permission rules of `contents[].mode`: octal, or the grammar of rsync's `--chmod`.

Source: rsync(1), `--chmod`. Items stand between commas and apply in order; `D` or `F` before an
item limits it to directories or to everything else. An item is octal (`755`) or symbolic
(`u+w`, `go-rwx`, `a=rX`); where it names nobody, the umask 022 is taken off, so that the result
does not depend on who builds.

`a` covers the user and the group, so `a+s` sets both bits, as chmod(1) and rsync from 3.5 on have
it. Before 3.5 rsync did not count `a` there: `a+s` set the user's bit alone, and `a=s` and `a=t`
cleared neither. make-disk-image of January 2025 has an older one, so compat follows that.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.problem import quote

_PERMISSION_BITS = 0o7777
_UMASK = 0o022
_ITEM = re.compile(
    r"(?P<kind>D+|F+)?(?:(?P<octal>[0-7]+)|(?P<who>[ugoa]*)(?P<operator>[+=-])(?P<what>[rwxXst]*))"
)
_WHO = {"u": 0o100, "g": 0o010, "o": 0o001, "a": 0o111}
_SET_ID_BEFORE_3_5 = {"u": stat.S_ISUID, "g": stat.S_ISGID}
_SET_ID = _SET_ID_BEFORE_3_5 | {"a": stat.S_ISUID | stat.S_ISGID}
_WHAT = {"r": 4, "w": 2, "x": 1, "X": 1}

EXAMPLES = ("755", "D755,F644", "u+w", "go-rwx")


@dataclass(frozen=True, slots=True)
class _Item:
    """One step of a rule: `mode & keep | add`.

    Attributes:
        kind: "D" directories only, "F" everything else, "" both.
        keep_x: Execute is added only to directories and to what had it already (`X`).
        traversable: An octal figure without D or F: directories get execute wherever they get
            read.
    """

    kind: Literal["D", "F", ""]
    keep: int
    add: int
    keep_x: bool = False
    traversable: bool = False

    def apply(self, mode: int, *, is_directory: bool, was_executable: bool) -> int:
        if self.kind and (self.kind == "D") != is_directory:
            return mode
        add = self.add
        if self.keep_x and not (is_directory or was_executable):
            add &= ~0o111
        if self.traversable and is_directory:
            add |= (add & 0o444) >> 2
        return mode & self.keep | add


@dataclass(frozen=True, slots=True)
class ModeRule:
    """A parsed mode: what it makes of the permissions of one file or directory."""

    items: tuple[_Item, ...]

    def apply(self, st_mode: int) -> int:
        """Returns `st_mode` with its permissions changed; the type bits stay as they are."""
        is_directory = stat.S_ISDIR(st_mode)
        mode = st_mode & _PERMISSION_BITS
        was_executable = bool(mode & 0o111)
        for item in self.items:
            mode = item.apply(mode, is_directory=is_directory, was_executable=was_executable)
        return st_mode & ~_PERMISSION_BITS | mode


def _symbolic(
    kind: Literal["D", "F", ""], who: str, operator: str, what: str, set_ids: Mapping[str, int]
) -> _Item:
    where = 0
    set_id = 0
    for letter in who:
        where |= _WHO[letter]
        set_id |= set_ids.get(letter, 0)
    permissions = 0
    special = 0
    for letter in what:
        permissions |= _WHAT.get(letter, 0)
        if letter == "s":
            special |= set_id or stat.S_ISUID
        elif letter == "t":
            special |= stat.S_ISVTX
    bits = where * permissions if who else 0o111 * permissions & ~_UMASK
    where = where or 0o111
    add, drop = {
        "+": (bits | special, 0),
        "-": (0, bits | special),
        "=": (bits | special, where * 7 | (set_id if special else 0)),
    }[operator]
    return _Item(kind, _PERMISSION_BITS & ~drop, add, keep_x="X" in what)


def parse_mode(text: str, *, literal: bool = False) -> ModeRule:
    """Parses a mode.

    Args:
        text: Octal ("755"), or rsync's form ("D755,F644", "u+w,go-rwx").
        literal: As the reference's rsync has it (compat): a bare octal figure means the same for
            directories as for files, where otherwise directories stay traversable ("644" gives
            them 755); and `a` does not cover the set-id bits.

    Raises:
        ValueError: The text is not a mode; the message says which part and why.
    """
    items: list[_Item] = []
    for part in text.split(","):
        match = _ITEM.fullmatch(part)
        if match is None:
            shown = f"{quote(part)} in {quote(text)}" if part != text else quote(text)
            raise ValueError(
                f"{shown} is not a mode; write octal or rsync's form, as in 755, D755,F644"
            )
        kind: Literal["D", "F", ""] = (
            "D" if (match["kind"] or "").startswith("D") else "F" if match["kind"] else ""
        )
        if match["octal"] is None:
            set_ids = _SET_ID_BEFORE_3_5 if literal else _SET_ID
            items.append(_symbolic(kind, match["who"], match["operator"], match["what"], set_ids))
            continue
        value = int(match["octal"], 8)
        if value > _PERMISSION_BITS:
            raise ValueError(f"{quote(part)} has bits beyond 7777")
        items.append(_Item(kind, 0, value, traversable=not kind and not literal))
    return ModeRule(tuple(items))
