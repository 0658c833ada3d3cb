"""The shape of a spec: every unknown key and wrong type of a parsed file, all at once.

msgspec stops at the first error; this walks the same struct definitions key by key.
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TypeGuard

import msgspec

from engine.problem import Problem, quote
from engine.spec.model import ImageSpec, Section

_HARMLESS: Mapping[str, Mapping[str, object]] = {
    "contents": {"source": ".", "target": "/"},
    "volume": {"id": ""},
}
"""By list: an entry that stands for one with problems; a volume without an id is passed over."""
_NAMES: dict[object, str] = {
    str: "text",
    int: "an integer",
    bool: "true or false",
    float: "a decimal number",
}


@cache
def fields_of(section: type[Section]) -> dict[str, object]:
    """Returns the keys of a section with their declared types."""
    hints = typing.get_type_hints(section)
    return {name: hints[name] for name in section.__struct_fields__}


@cache
def _required(section: type[Section]) -> tuple[str, ...]:
    """Returns the keys of a section that have no default."""
    return tuple(field.name for field in msgspec.structs.fields(section) if field.required)


def members(declared: object) -> tuple[object, ...]:
    """Returns the alternatives of a declared type, without None."""
    if isinstance(declared, types.UnionType):
        return tuple(member for member in declared.__args__ if member is not types.NoneType)
    return (declared,)


def is_section(declared: object) -> TypeGuard[type[Section]]:
    """Whether a declared type is a table of its own."""
    return isinstance(declared, type) and issubclass(declared, Section)


def element_of(declared: object) -> object:
    """Returns what a list type holds, or None if the type is not a list."""
    return typing.get_args(declared)[0] if typing.get_origin(declared) is tuple else None


@cache
def key_paths() -> tuple[str, ...]:
    """Returns every key of a spec as a path, `contents[]` standing for any entry."""
    return tuple(_key_paths(ImageSpec, ""))


def _key_paths(section: type[Section], prefix: str) -> Iterator[str]:
    for name, declared in fields_of(section).items():
        element = element_of(declared)
        if is_section(declared):
            yield from _key_paths(declared, f"{prefix}{name}.")
        elif is_section(element):
            yield from _key_paths(element, f"{prefix}{name}[].")
        else:
            yield f"{prefix}{name}"


def show(value: object) -> str:
    """Returns a value as a message quotes it: TOML's spelling, shortened."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = quote(value)
    elif isinstance(value, Mapping):
        text = "a table"
    elif isinstance(value, Sequence):
        text = f"a list of {len(value)}"
    else:
        text = str(value)
    return text if len(text) <= 90 else f"{text[:87]}..."


def nearest(word: str, valid: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Returns the valid word most like `word`, or None if none is near.

    Args:
        cutoff: Which part of the letters they have in common at least.
    """
    import difflib  # of a mistake alone

    choices = list(valid)
    folded = {choice.lower(): choice for choice in reversed(choices)}
    found = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else None


_SAME = {
    **dict.fromkeys(("dest", "destination", "dst", "to", "into"), "target"),
    **dict.fromkeys(("src", "from", "file", "path", "input"), "source"),
    **dict.fromkeys(("owner", "uid"), "user"), "gid": "group", "mode_bits": "mode",
    **dict.fromkeys(("mountpoint", "mount_point", "where"), "mount"),
    **dict.fromkeys(("fs", "fstype", "filesystem", "fs_type"), "format"),
    **dict.fromkeys(("partuuid", "part_uuid"), "guid"), "partlabel": "name",
    **dict.fromkeys(("append", "options", "kernel_params", "args"), "cmdline"),
    **dict.fromkeys(("bootloader", "boot_loader"), "loader"),
}  # fmt: skip
"""What other tools call a key, where its section has that."""
_ELSEWHERE = 0.75
"""How like a key of another section must be: one beside is meant sooner."""


def _nearest_key(path: str, name: str, siblings: Iterable[str]) -> str | None:
    same = _SAME.get(name.lower().replace("-", "_"))
    if same and same in set(siblings):
        return same
    beside = nearest(name, siblings)
    if beside is not None:
        return beside
    elsewhere = {known.rpartition(".")[2]: known for known in reversed(key_paths())}
    leaf = nearest(name, elsewhere, cutoff=_ELSEWHERE)
    if leaf is not None and elsewhere[leaf] != path:
        return elsewhere[leaf]
    return None


_VOLUMES = "each partition of one's own is a [[volume]] with an id and a role"
_SWAP = '[[volume]] with id = "swap" and a size makes swap space'
_HOME = '[[volume]] with id = "home" makes a /home of its own'
_OTHER_WORDS = {
    **dict.fromkeys(("partitions", "partition", "volumes", "layout.partitions"), _VOLUMES),
    **dict.fromkeys(("swap", "layout.swap", "size.swap"), _SWAP),
    **dict.fromkeys(("home", "layout.home", "size.home"), _HOME),
}
"""Keys that people try, and what they want."""


def unknown_key(path: str, value: object, siblings: Iterable[str]) -> Problem:
    """Returns the problem of a key that the spec does not have."""
    known = sorted(siblings)
    name = path.rpartition(".")[2]
    near = _nearest_key(path, name, known)
    hint = f'did you mean "{near}"?' if near else "valid here: " + ", ".join(known)
    hint = _OTHER_WORDS.get(path, hint)
    return Problem("unknown-key", "error", path, f"unknown key, set to {show(value)}", hint)


def _wrong_type(path: str, value: object, expected: str) -> Problem:
    hint = ""
    if isinstance(value, str) and expected == "true or false" and value.lower() in _BOOLEANS:
        hint = f"write {value.lower()} without quotes"
    elif expected == "a list of text" and isinstance(value, str):
        hint = f"write [{show(value)}]"
    elif isinstance(value, float) and expected == _SIZE:
        hint = f'write it with its unit: "{value}GiB"'
    elif "text" in expected and isinstance(value, int | float) and type(value) is not bool:
        hint = f'write "{show(value)}"'
    elif expected == _NAMES[int]:
        hint = _as_integer(value)
    return Problem("wrong-type", "error", path, f"is {show(value)}, but must be {expected}", hint)


_BOOLEANS = ("true", "false")
_SIZE = f"{_NAMES[int]} or {_NAMES[str]}"


def _as_integer(value: object) -> str:
    """Returns how to write as an integer what is one, or a moment, in another spelling."""
    try:
        if isinstance(value, str):
            if value.strip().isdecimal():
                return f"write {int(value)} without quotes"
            value = dt.datetime.fromisoformat(value)
        elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            value = dt.datetime.combine(value, dt.time())
        if not isinstance(value, dt.datetime):
            return ""
        moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return f"in seconds since 1970, that is {int(moment.timestamp())}"
    except (ValueError, OverflowError):
        return ""


def check_value(value: object, declared: object, path: str) -> Iterator[Problem]:
    """Yields the problems of one value (of any depth) against its declared type."""
    element = element_of(declared)
    if is_section(declared):
        if isinstance(value, Mapping):
            yield from check_section(value, declared, path)
        else:
            yield _wrong_type(path, value, f"a table, [{path}]")
    elif element is not None:
        if isinstance(value, list | tuple):
            for index, item in enumerate(value):
                yield from check_value(item, element, f"{path}[{index}]")
        else:
            tables = is_section(element)
            yield _wrong_type(path, value, f"tables, [[{path}]]" if tables else "a list of text")
    elif isinstance(value, list | tuple) and (lists := _lists(declared)):
        yield from check_value(value, lists[0], path)
    elif type(value) not in members(declared):
        yield _wrong_type(path, value, " or ".join(map(_named, members(declared))))


def _lists(declared: object) -> list[object]:
    """Returns those alternatives of a declared type that are lists."""
    return [kind for kind in members(declared) if element_of(kind) is not None]


def _named(kind: object) -> str:
    return "a list of text" if element_of(kind) is not None else _NAMES[kind]


def check_section(
    table: Mapping[str, object], section: type[Section], path: str = ""
) -> Iterator[Problem]:
    """Yields the problems of one table: unknown keys, wrong types, missing keys."""
    fields = fields_of(section)
    for key, value in table.items():
        where = f"{path}.{key}" if path else key
        if key in fields:
            yield from check_value(value, fields[key], where)
        else:
            yield unknown_key(where, value, fields)
    for name in _required(section):
        if name not in table:
            where = f"{path}.{name}"
            yield Problem("missing-key", "error", where, "is missing", f"add {name} = ...")


def sound_part(table: Mapping[str, object], section: type[Section]) -> dict[str, object]:
    """Returns the table without the keys that have problems, so that the rest can be checked.

    An entry of a list with a problem becomes a harmless one, so that its neighbours keep
    their positions.
    """
    sound: dict[str, object] = {}
    for key, declared in fields_of(section).items():
        if key not in table:
            continue
        value = table[key]
        element = element_of(declared)
        if is_section(declared) and isinstance(value, Mapping):
            sound[key] = sound_part(value, declared)
        elif is_section(element) and isinstance(value, list | tuple):
            sound[key] = [
                _HARMLESS[key] if any(check_value(item, element, key)) else item for item in value
            ]
        elif not any(check_value(value, declared, key)):
            sound[key] = value
    return sound
