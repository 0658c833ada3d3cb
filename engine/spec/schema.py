"""The JSON Schema of a spec, made from its types and the table of keys."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping

import msgspec

from engine.disk.presets import PRESETS
from engine.disk.roles import ROLES
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.formats import FORMATS
from engine.spec.keys import KEYS, SECTIONS, Key
from engine.spec.loaders import LOADERS
from engine.spec.model import SCHEMA, ImageSpec, Section
from engine.spec.shape import element_of, fields_of, is_section, members

ADDRESS = "https://www.schemastore.org/diskwright.json"
"""The schema's `$id`: where editors find it (schema/schemastore.json is the catalog's entry)."""

DIRECTIVE = f"#:schema {ADDRESS}"
"""First line of a spec that Diskwright writes; taplo, tombi and their editors act on it."""

_LITERAL = re.compile(r'"[^"]*"|\d+|true|false')

_TYPES: dict[object, str] = {str: "string", int: "integer", bool: "boolean"}


def json_schema() -> dict[str, object]:
    """Returns the schema, for editors and other tools.

    JSON Schema draft-07, since that is what SchemaStore takes and taplo knows best. `x-taplo` has
    what taplo shows for the values of an enumeration.
    """
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": ADDRESS,
        "$comment": f"Version {SCHEMA} of the format, as the key `schema` of a spec says.",
        "title": "Diskwright image specification",
        "description": "A Linux disk image: partitions, file systems, contents, loader, output.",
        **_section(ImageSpec, ""),
    }


def catalog_entry() -> dict[str, object]:
    """Returns what SchemaStore's catalog needs to know of the schema."""
    return {
        "name": "Diskwright",
        "description": "Specification of a disk image built by Diskwright",
        "fileMatch": ["diskwright.toml", "*.diskwright.toml"],
        "url": ADDRESS,
    }


def dumps() -> str:
    """Returns the schema as the text that is committed."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _section(section: type[Section], path: str) -> dict[str, object]:
    title = SECTIONS.get(path)
    required = [f.name for f in msgspec.structs.fields(section) if f.required]
    return {
        **({"description": title} if title and path else {}),
        "type": "object",
        "properties": {
            name: _value(declared, f"{path}.{name}" if path else name)
            for name, declared in fields_of(section).items()
        },
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _value(declared: object, path: str) -> dict[str, object]:
    element = element_of(declared)
    if is_section(declared):
        return _section(declared, path)
    if is_section(element):
        return {"type": "array", "items": _section(element, f"{path}[]")}
    key = KEYS[path]
    described: dict[str, object] = {"description": f"{key.summary} Default: {key.default}."}
    if _LITERAL.fullmatch(key.default):
        described["default"] = tomllib.loads(f"value = {key.default}")["value"]
    if element is not None:
        return {**described, "type": "array", "items": {"type": _TYPES[element]}}
    if key.choices:
        return {**described, "enum": list(key.choices), **_choices_told(key)}
    items: dict[str, object] = {}
    for inner in filter(None, map(element_of, members(declared))):
        items["items"] = {"type": _TYPES[inner]}
    kinds = [_TYPES.get(kind, "array") for kind in members(declared)]
    return {**described, "type": kinds[0] if len(kinds) == 1 else kinds, **items}


def _choices_told(key: Key) -> dict[str, object]:
    """Returns what each of a key's choices is, in taplo's form; nothing where no table says."""
    tables: dict[str, Mapping[str, str]] = {
        "layout.table": {one.key: f"{one.title}: {one.summary}" for one in PRESETS.values()},
        "boot.loader": {one.key: f"{one.title}. {one.summary}" for one in LOADERS.values()},
        "output.format": {one.key: f"{one.title}: {one.summary}" for one in FORMATS.values()},
        "volume[].role": {one.key: f"{one.title}. {one.purpose}" for one in ROLES.values()},
        "volume[].format": {one.key: one.summary for one in FILESYSTEMS.values()},
    }
    summaries = tables.get(key.path)
    if summaries is None:
        return {}
    values = [summaries.get(str(choice)) for choice in key.choices]
    return {"x-taplo": {"docs": {"enumValues": values}}}
