"""The key of a volume: the same for the same bytes, another for whatever makes other bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.plan.model import Plan
from engine.provenance.inputs import read_sums
from engine.reuse import maker
from engine.reuse.key import volume_key
from tests.support.specs import plan_of, write_spec

VERSIONS = {"mke2fs": "1.47.0"}


def keys(plan: Plan, versions: dict[str, str] | None = None) -> dict[str, str | None]:
    assert not [one for one in plan.problems if one.severity == "error"]
    return {
        volume.id: volume_key(
            plan, volume, read_sums(volume.filesystem.manifest).of(volume.filesystem.manifest),
            VERSIONS if versions is None else versions,
        )
        for volume in plan.volumes
        if volume.filesystem is not None
    }  # fmt: skip


def test_the_same_plan_has_the_same_keys(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, esp=True)
    first = keys(plan_of(spec))
    assert set(first) == {"esp", "root"}
    assert all(first.values())
    assert keys(plan_of(spec)) == first


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("size.boot=34MiB", {"esp"}),
        ("size.additional=9MiB", {"root"}),
        ("layout.label=other", {"root"}),
        ("layout.filesystem=ext3", {"root"}),
        ("identity.seed=5d2fb9bc-45cb-4d1a-a0c8-a10ae9ac1b07", {"esp", "root"}),
        ("identity.source_date_epoch=7", {"esp", "root"}),
        ("output.format=qcow2", set()),
        ("output.name=another", set()),
    ],
)
def test_a_key_follows_what_the_bytes_follow(
    tmp_path: Path, override: str, changed: set[str]
) -> None:
    spec = write_spec(tmp_path, esp=True)
    before, after = keys(plan_of(spec)), keys(plan_of(spec, [override]))
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_place_counts_for_fat_alone(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, esp=True)
    before = keys(plan_of(spec))
    moved = tmp_path / "moved.toml"
    first = '[[volume]]\nid = "first"\nsize = "1MiB"\nformat = "none"\nrole = "raw"\n'
    moved.write_text(spec.read_text() + first + '[[volume]]\nid = "esp"\nafter = "first"\n')
    after = keys(plan_of(moved))
    assert after["root"] == before["root"]
    assert after["esp"] != before["esp"]


def test_metadata_and_data_of_every_entry_count(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    seen = {keys(plan_of(spec))["root"]}
    motd = tmp_path / "tree" / "etc" / "motd"
    for change in (
        lambda: motd.write_text("HELLO\n"),
        lambda: os.utime(motd, ns=(0, 5)),
        lambda: motd.chmod(0o600),
        (tmp_path / "tree" / "new").mkdir,
    ):
        change()
        seen.add(keys(plan_of(spec))["root"])
    assert len(seen) == 5


def test_tools_and_program_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(write_spec(tmp_path, esp=True))
    before = keys(plan)
    newer = keys(plan, {"mke2fs": "1.47.1"})
    assert newer["root"] != before["root"]
    assert newer["esp"] == before["esp"]
    assert keys(plan, {})["root"] is None
    monkeypatch.setattr(maker, "program", lambda: "another")
    assert keys(plan)["esp"] != before["esp"]


def test_a_program_is_known_by_its_code() -> None:
    assert len(maker.program()) == 64
    assert maker.program() == maker.program()
