"""The volumes of a spec edited: order, references, presets that become lists of one's own."""

from __future__ import annotations

from dataclasses import replace as changed
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.disk.presets import PRESETS
from engine.spec.model import Boot, Content, ImageSpec, Layout, Size, VolumeEntry
from engine.spec.resolve import resolve
from engine.spec.settings import Settings
from engine.spec.volume_edits import add, move, owned, put, remove, seal, take_table

WITH_TABLE = [key for key, one in PRESETS.items() if not one.own and one.scheme != "none"]
HOME = VolumeEntry(id="home", size="64MiB")
DATA = VolumeEntry(id="data", size="64MiB")


def settled(spec: ImageSpec) -> Settings:
    found, problems = resolve(spec, Path("/"), {})
    assert [one for one in problems if one.severity == "error"] == []
    return found


def order(spec: ImageSpec) -> list[str]:
    return [volume.id for volume in settled(spec).volumes]


@given(
    table=st.sampled_from([*WITH_TABLE, "gpt", "mbr"]),
    moves=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([-1, 1, 2])), max_size=8),
)
def test_a_move_changes_the_order_and_nothing_else(
    table: str, moves: list[tuple[int, int]]
) -> None:
    entries: tuple[VolumeEntry, ...] = (
        HOME,
        DATA,
        VolumeEntry(id="swapped", role="data", size="1MiB"),
    )
    if PRESETS[table].own:
        entries = (VolumeEntry(id="root"), *entries)
    spec = ImageSpec(layout=Layout(table=table), volume=entries)
    first = {volume.id: changed(volume, path="") for volume in settled(spec).volumes}
    for at, by in moves:
        wanted = order(spec)
        name = wanted[at % len(wanted)]
        goal = wanted.index(name) + by
        if 0 <= goal < len(wanted):
            wanted.remove(name)
            wanted.insert(goal, name)
        spec = move(spec, settled(spec), name, by)
        assert order(spec) == wanted
    found = {volume.id: changed(volume, path="") for volume in settled(spec).volumes}
    assert found == first


def test_a_move_back_leaves_nothing_behind() -> None:
    spec = ImageSpec(layout=Layout(table="efi"), volume=(HOME,))
    there = move(spec, settled(spec), "home", -1)
    assert there.volume == (replace(HOME, after="esp"),)
    assert move(there, settled(there), "home", 1) == spec


@pytest.mark.parametrize("table", WITH_TABLE)
@pytest.mark.parametrize("disk", [None, "4GiB"])
def test_a_list_of_ones_own_begins_as_the_preset_was(table: str, disk: str | None) -> None:
    spec = ImageSpec(layout=Layout(table=table), size=Size(disk=disk), volume=(HOME,))
    before = settled(spec)
    own = owned(spec, before)
    after = settled(own)

    def wanted(settings: Settings) -> list[object]:
        # An MBR's mark on the partition to boot is the preset's; a list of one's own has none,
        # and its volumes take the contents below where they are mounted.
        plain = {"path": "", "rest": False, "flags": (), "takes_below": True}
        return [changed(volume, **plain) for volume in settings.volumes]  # type: ignore[arg-type]

    assert wanted(after) == wanted(before)
    assert PRESETS[after.layout.table].own
    assert take_table(own, after, table) == spec


def test_the_presets_own_can_be_removed() -> None:
    spec = ImageSpec(layout=Layout(table="efi"), volume=(HOME,))
    less = remove(spec, settled(spec), "esp")
    assert less.layout.table == "gpt"
    assert order(less) == ["root", "home"]
    assert remove(spec, settled(spec), "home") == ImageSpec(layout=Layout(table="efi"))
    assert remove(spec, settled(spec), "gone") == spec


def test_what_follows_a_removed_volume_keeps_its_place() -> None:
    spec = ImageSpec(
        layout=Layout(table="efi"),
        volume=(replace(HOME, after="esp"), replace(DATA, after="home")),
    )
    assert order(spec) == ["esp", "home", "data", "root"]
    assert order(remove(spec, settled(spec), "home")) == ["esp", "data", "root"]


def test_a_new_id_is_followed() -> None:
    spec = ImageSpec(
        layout=Layout(table="efi"),
        volume=(HOME, replace(DATA, after="home")),
        contents=(Content(source="/etc", target="/", volume="home"),),
    )
    renamed = put(spec, settled(spec), "home", VolumeEntry(id="people", role="home", size="1MiB"))
    assert renamed.volume[1].after == "people"
    assert renamed.contents[0].volume == "people"


def test_the_roots_format_and_label_stand_in_the_layout() -> None:
    spec = ImageSpec(layout=Layout(table="efi"))
    entry = VolumeEntry(id="root", format="ext2", label="sys")
    made = put(spec, settled(spec), "root", entry)
    assert made == ImageSpec(layout=Layout(table="efi", filesystem="ext2", label="sys"))
    told = replace(spec, volume=(VolumeEntry(id="root", format="ext3"),))
    assert put(told, settled(told), "root", entry).volume[0].format == "ext2"


def test_an_entry_that_says_nothing_is_left_out() -> None:
    spec = ImageSpec(layout=Layout(table="efi"), volume=(VolumeEntry(id="esp", size="1GiB"),))
    assert put(spec, settled(spec), "esp", VolumeEntry(id="esp")).volume == ()
    own = replace(spec, layout=Layout(table="gpt"))
    assert put(own, settled(own), "esp", VolumeEntry(id="esp")).volume == (VolumeEntry(id="esp"),)
    assert add(own, HOME).volume == (*own.volume, HOME)


@pytest.mark.parametrize("filesystem", ["erofs", "squashfs"])
@pytest.mark.parametrize("table", ["efi", "gpt"])
@pytest.mark.parametrize("disk", ["auto", "4GiB"])
def test_a_sealed_root_has_its_hash_tree_behind_it(table: str, filesystem: str, disk: str) -> None:
    own = (VolumeEntry(id="esp"), VolumeEntry(id="root", grow=None)) if table == "gpt" else ()
    spec = ImageSpec(layout=Layout(table=table), size=Size(disk=disk), volume=(*own, HOME))
    sealed = seal(spec, settled(spec), "root", filesystem)
    found = settled(sealed)
    assert [(one.id, one.format) for one in found.volumes][:3] == [
        ("esp", "vfat"), ("root", filesystem), ("root-verity", "verity"),
    ]  # fmt: skip
    assert found.of_role("root-verity").verity == "root"  # type: ignore[union-attr]
    assert seal(sealed, found, "root", filesystem) == sealed
    assert seal(spec, settled(spec), "home-less", filesystem) == spec


def test_grub_cannot_know_a_root_hash_and_gives_way() -> None:
    spec = ImageSpec(layout=Layout(table="efi"), boot=Boot(loader="grub"))
    assert seal(spec, settled(spec), "root", "erofs").boot.loader == "uki"
