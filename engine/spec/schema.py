"""The JSON Schema of a spec, made from its types and the table of keys."""

from __future__ import annotations

import json

import msgspec

from engine.spec.keys import KEYS, SECTIONS
from engine.spec.model import ImageSpec, Section
from engine.spec.shape import element_of, fields_of, is_section, members

_TYPES: dict[object, str] = {str: "string", int: "integer", bool: "boolean"}


def json_schema() -> dict[str, object]:
    """Returns the schema (JSON Schema 2020-12), for editors and other tools."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Diskwright image specification",
        **_section(ImageSpec, ""),
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
    if element is not None:
        return {**described, "type": "array", "items": {"type": _TYPES[element]}}
    if key.choices:
        return {**described, "enum": list(key.choices)}
    items: dict[str, object] = {}
    for inner in filter(None, map(element_of, members(declared))):
        items["items"] = {"type": _TYPES[inner]}
    kinds = [_TYPES.get(kind, "array") for kind in members(declared)]
    return {**described, "type": kinds[0] if len(kinds) == 1 else kinds, **items}
