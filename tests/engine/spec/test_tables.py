"""The tables that the wizard, the planner and the manual read, held against each other."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.disk.presets import PRESETS
from engine.problem import errors
from engine.spec import manual, schema
from engine.spec.filesystems import ESP_LABEL, FILESYSTEMS, ROOT_FILESYSTEMS
from engine.spec.formats import FORMATS
from engine.spec.keys import KEYS, SECTIONS
from engine.spec.load import load
from engine.spec.loaders import LOADERS, loaders_for, presets_for
from engine.spec.resolve import resolve
from engine.spec.rules import RULES
from engine.spec.save import dumps
from engine.spec.shape import key_paths
from engine.spec.starters import STARTERS

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))


def test_every_key_is_documented() -> None:
    assert set(KEYS) == set(key_paths())
    assert {path.rpartition(".")[0] for path in KEYS} == set(SECTIONS)


def test_the_manual_is_up_to_date() -> None:
    committed = (ROOT / "docs" / "spec.md").read_text()
    assert committed == manual.markdown(), "run: python -m engine.spec.generate"
    for path in KEYS:
        assert f"### `{path.rpartition('.')[2]}`" in committed


def test_the_schema_is_up_to_date() -> None:
    committed = (ROOT / "schema" / "diskwright.schema.json").read_text()
    assert committed == schema.dumps(), "run: python -m engine.spec.generate"


def test_the_schema_has_an_address_and_says_what_values_mean() -> None:
    made: dict[str, Any] = schema.json_schema()
    entry = json.loads((ROOT / "schema" / "schemastore.json").read_text())

    assert made["$id"] == entry["url"] == schema.DIRECTIVE.split()[1]
    assert entry == schema.catalog_entry()
    told = [rule for rule in _rules(made) if "x-taplo" in rule]
    assert len(told) >= 5
    for rule in told:
        words = rule["x-taplo"]["docs"]["enumValues"]
        assert len(words) == len(rule["enum"])
        assert any(words)
    assert all("description" in rule for rule in _rules(made) if "enum" in rule)


def _rules(rule: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield rule
    for inner in (*rule.get("properties", {}).values(), rule.get("items")):
        if inner:
            yield from _rules(inner)


def _fits(value: object, rule: dict[str, object]) -> bool:
    """A validator for the few words of JSON Schema that ours uses."""
    if "enum" in rule:
        allowed = rule["enum"]
        assert isinstance(allowed, list)
        return value in allowed
    kinds = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    names = {str: "string", int: "integer", bool: "boolean", list: "array", dict: "object"}
    if names.get(type(value)) not in kinds:
        return False
    if isinstance(value, list):
        items = rule["items"]
        assert isinstance(items, dict)
        return all(_fits(item, items) for item in value)
    if isinstance(value, dict):
        properties, required = rule["properties"], rule.get("required", [])
        assert isinstance(properties, dict)
        assert isinstance(required, list)
        return set(required) <= set(value) <= set(properties) and all(
            _fits(item, properties[key]) for key, item in value.items()
        )
    return True


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_say_what_they_show_and_are_right(path: Path) -> None:
    text = path.read_text()
    directive, shows, *_ = text.splitlines()
    assert directive == "#:schema ../schema/diskwright.schema.json"
    assert shows.startswith("# Shows ")
    loaded = load(path)
    assert resolve(loaded.spec, loaded.base, {})[1] == ()
    assert _fits(tomllib.loads(text), json.loads(schema.dumps()))
    assert dumps(loaded.spec, loaded.text) == loaded.text


def test_the_schema_refuses_what_is_no_spec() -> None:
    rule = json.loads(schema.dumps())
    for wrong in ({"nmae": 1}, {"layout": {"table": "EFI"}}, {"contents": [{"source": "x"}]}):
        assert not _fits(wrong, rule)


def test_examples_cover_every_layout_and_mode() -> None:
    settings = []
    for path in EXAMPLES:
        loaded = load(path)
        settings.append(resolve(loaded.spec, loaded.base, {})[0])
    assert {one.layout.table for one in settings} == set(PRESETS)
    assert {one.compat for one in settings} == set(RULES)
    entries = [entry for one in settings for entry in one.contents]
    assert any(entry.extract for entry in entries)
    assert any(entry.user and entry.mode for entry in entries)
    assert any("*" in entry.source.name for entry in entries)


def test_layouts_name_their_parts() -> None:
    assert set(PRESETS) == {
        "none",
        "legacy",
        "legacy+gpt",
        "legacy+boot",
        "efi",
        "efixbootldr",
        "hybrid",
        "gpt",
        "mbr",
    }
    assert {key for key, layout in PRESETS.items() if layout.has("esp")} == {
        "efi",
        "efixbootldr",
        "hybrid",
    }
    for layout in PRESETS.values():
        assert layout.has("root") != layout.own
        assert ("uefi" in layout.boots) == layout.has("esp")


def test_every_loader_fits_where_its_firmware_can_start_it() -> None:
    for loader in LOADERS.values():
        for preset in presets_for(loader):
            assert not loader.firmware or set(loader.firmware) & set(preset.boots)
    assert [loader.key for loader in loaders_for(PRESETS["none"].boots)] == ["none"]
    assert "grub" in {loader.key for loader in loaders_for(PRESETS["legacy"].boots)}
    assert "systemd-boot" not in {loader.key for loader in loaders_for(PRESETS["legacy+gpt"].boots)}


def test_formats_and_file_systems() -> None:
    assert {key: format_.extension for key, format_ in FORMATS.items()} == {
        "raw": "img", "qcow2": "qcow2", "qcow2-compressed": "qcow2", "qcow2-zlib": "qcow2",
        "vdi": "vdi", "vmdk": "vmdk", "vmdk-stream": "vmdk", "ova": "ova", "vhdx": "vhdx",
        "vpc": "vhd", "vpc-fixed": "vhd", "gce": "tar.gz",
    }  # fmt: skip
    assert max(len(format_.summary) for format_ in FORMATS.values()) <= 36
    assert ROOT_FILESYSTEMS[0] == "ext4"
    assert len(ESP_LABEL) <= FILESYSTEMS["vfat"].label_bytes == 11


@pytest.mark.parametrize("key", STARTERS)
def test_presets_build_as_they_stand(key: str) -> None:
    problems = resolve(STARTERS[key].spec, ROOT, {})[1]
    assert not errors(problems)
