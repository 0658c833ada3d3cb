"""Writing a spec: TOML that keeps its author's comments, order and spelling."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence
from difflib import SequenceMatcher

import msgspec
import tomlkit
from tomlkit.items import AoT

from engine.spec.model import SCHEMA, ImageSpec
from engine.spec.schema import DIRECTIVE

_Plain = dict[str, object]


def dumps(spec: ImageSpec, original: str | None = None, *, remarks: Iterable[str] = ()) -> str:
    """Returns the spec as TOML.

    Args:
        original: The text it was read from: only what differs is changed in it, so comments and
            order stay. Without it, a new text holds just the keys that are given, below the line
            that tells editors the schema.
        remarks: Comments at the top of a new text, each without a line end.
    """
    wanted = to_plain(spec)
    if original is not None:
        document = tomlkit.parse(original)
        if "schema" not in document and spec.schema == SCHEMA:
            del wanted["schema"]
        _update(document, wanted)
        text = tomlkit.dumps(document)
        # An original in an unusual style (dotted keys, inline tables) may not take an edit where
        # it stands; the values matter more than the comments.
        if _reads_back(text, wanted):
            return text
    document = tomlkit.document()
    _update(document, to_plain(spec))
    comments = "".join(f"# {remark}\n" for remark in remarks)
    return f"{DIRECTIVE}\n{comments}{tomlkit.dumps(document)}"


def to_plain(spec: ImageSpec) -> _Plain:
    """Returns the spec as dictionaries and lists, without the keys that have their default."""
    plain = msgspec.to_builtins(spec)
    assert isinstance(plain, dict)
    kept = _given(plain)
    return {"schema": spec.schema, **kept}


def _given(value: _Plain) -> _Plain:
    kept: _Plain = {}
    for key, item in value.items():
        inner: object = item
        if isinstance(item, dict):
            inner = _given(item)
        elif isinstance(item, list | tuple):
            inner = [_given(entry) if isinstance(entry, dict) else entry for entry in item]
        if inner is not None and inner not in ({}, []):
            kept[key] = inner
    return kept


def _reads_back(text: str, wanted: _Plain) -> bool:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return _given(found) == wanted


def _same(current: object, wanted: object) -> bool:
    """Whether two values are equal and of one type: 1 is not true, 1024 is not 1024.0."""
    unwrap = getattr(current, "unwrap", None)
    plain = unwrap() if unwrap is not None else current
    return type(plain) is type(wanted) and plain == wanted


def _update(table: MutableMapping[str, object], wanted: Mapping[str, object]) -> None:
    """Makes a TOML table say what is wanted, touching only what differs."""
    for key in [key for key in table if key not in wanted]:
        section = table[key]
        if isinstance(section, MutableMapping):
            _update(section, {})
        else:
            del table[key]
    for key, value in wanted.items():
        current = table.get(key)
        if current is not None and _same(current, value):
            continue
        if isinstance(value, dict) and isinstance(current, MutableMapping):
            _update(current, value)
        elif isinstance(value, dict):
            table[key] = _table(value)
        elif key in {"contents", "volume"} and isinstance(value, list):
            if isinstance(current, AoT):
                _update_entries(current, value)
            else:
                table[key] = _entries(value)
        else:
            table[key] = value


def _table(value: _Plain) -> MutableMapping[str, object]:
    table = tomlkit.table()
    table.update(value)
    return table


def _entries(wanted: list[_Plain]) -> AoT:
    entries = tomlkit.aot()
    for value in wanted:
        entries.append(_table(value))
    return entries


def _update_entries(
    entries: MutableSequence[MutableMapping[str, object]], wanted: list[_Plain]
) -> None:
    """Makes an array of tables say what is wanted; entries that stay keep their comments."""
    before = [_fingerprint(_unwrapped(entry)) for entry in entries]
    after = [_fingerprint(entry) for entry in wanted]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, start, stop, to_start, to_stop in reversed(matcher.get_opcodes()):
        if tag == "equal":
            continue
        common = min(stop - start, to_stop - to_start)
        for offset in range(common):
            _update(entries[start + offset], wanted[to_start + offset])
        for index in reversed(range(start + common, stop)):
            del entries[index]
        for offset, value in enumerate(wanted[to_start + common : to_stop]):
            added = tomlkit.table()
            added.update(value)
            added.add(tomlkit.nl())
            entries.insert(start + common + offset, added)


def _unwrapped(entry: MutableMapping[str, object]) -> _Plain:
    unwrap = getattr(entry, "unwrap", None)
    plain = unwrap() if unwrap is not None else dict(entry)
    assert isinstance(plain, dict)
    return plain


def _fingerprint(entry: _Plain) -> str:
    return repr(sorted(_given(entry).items()))
