"""Borders of the map: what they change, how far they go, and that a move is one edit."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.disk.view import Region
from engine.planning import plan_spec
from engine.spec.model import ImageSpec, Layout, Size, VolumeEntry
from engine.spec.resolve import resolve
from engine.units import GIB, MIB
from tests.tui.conftest import MakeApp, settled, shown
from tui.borders import DISK, Border, borders, resize
from tui.config import Config, load_config, moves
from tui.preview import Preview
from tui.widgets.map_parts import WHOLE, arranged
from tui.widgets.partition_map import PartitionMap

HOME = VolumeEntry(id="home", free="16MiB")
AUTO = ImageSpec(layout=Layout(table="efi"), size=Size(boot="40MiB", additional="8MiB"))
SPECS = {
    "auto": AUTO,
    "auto with a home": ImageSpec(layout=AUTO.layout, size=AUTO.size, volume=(HOME,)),
    "fixed": ImageSpec(layout=AUTO.layout, size=Size(boot="40MiB", disk="256MiB")),
    "root has the rest": ImageSpec(
        layout=AUTO.layout,
        size=Size(boot="40MiB", disk="256MiB"),
        volume=(VolumeEntry(id="home", size="64MiB"),),
    ),
    "two shares": ImageSpec(
        layout=Layout(table="gpt"),
        size=Size(disk="256MiB"),
        volume=(VolumeEntry(id="root", grow=1), VolumeEntry(id="home", grow=1)),
    ),
    "none": ImageSpec(layout=Layout(table="none"), size=Size(additional="8MiB")),
    "mbr": ImageSpec(layout=Layout(table="legacy"), size=Size(additional="8MiB"), volume=(HOME,)),
}


def known(spec: ImageSpec, folder: Path) -> Preview:
    """Returns what the wizard would show of a spec."""
    settings, _ = resolve(spec, folder, {})
    plan = plan_spec(spec, base=folder, outdir=folder / "out", force=True)
    return Preview(spec=spec, settings=settings, plan=plan, problems=plan.problems)


@pytest.mark.parametrize(
    ("name", "before", "changed", "behind"),
    [
        ("auto", "esp", "esp", False),
        ("auto", "root", DISK, False),
        ("auto with a home", "root", "root", False),
        ("auto with a home", "home", "home", False),
        ("fixed", "root", DISK, False),
        ("root has the rest", "root", "home", True),
        ("root has the rest", "home", "home", False),
        ("two shares", "root", "root", False),
        ("none", "root", DISK, False),
        ("mbr", "home", "home", False),
    ],
)
def test_a_border_changes_one_size_to_the_byte(
    name: str, before: str, changed: str, behind: bool, tmp_path: Path
) -> None:
    """At both limits, and one step from where it is, the plan has no error and that very size."""
    spec = SPECS[name]
    preview = known(spec, tmp_path)
    assert preview.errors == ()
    border = borders(preview)[before]
    assert (border.volume, border.behind) == (changed, behind)
    assert preview.settings is not None
    most = min(border.most, border.bytes + 64 * MIB)
    for size in {border.least, most, border.stepped(border.bytes, 1)}:
        after = known(resize(spec, preview.settings, border, size), tmp_path)
        assert after.errors == ()
        assert after.plan is not None
        found = after.plan.disk.bytes if changed == DISK else after.plan.volume(changed).bytes
        assert found == size
        if spec.size.disk and changed != DISK:
            assert preview.plan is not None
            assert after.plan.disk.bytes == preview.plan.disk.bytes


def test_where_the_layout_is_not_ours_only_its_own_sizes_move(tmp_path: Path) -> None:
    found = borders(
        known(ImageSpec(compat="make-disk-image", layout=Layout(table="efi")), tmp_path)
    )
    assert {border.volume for border in found.values()} <= {"esp", DISK}


@given(
    st.integers(1, 4 * GIB), st.integers(0, 40), st.integers(0, 4000),
    st.booleans(), st.sampled_from([1, -1]),
)  # fmt: skip
def test_steps_stay_within_the_limits(
    size: int, least: int, more: int, behind: bool, by: int
) -> None:
    border = Border("home", size, least * MIB, (least + more) * MIB, behind)
    stepped = border.stepped(border.snapped(size), by)
    assert border.least <= stepped <= border.most
    assert stepped % MIB == 0
    now = border.snapped(size)
    grows = (by < 0) == behind
    assert stepped >= now if grows else stepped <= now
    if border.least < now < border.most:
        assert stepped != now


@given(
    st.lists(st.integers(0, 2**40), min_size=1, max_size=9), st.integers(1, 150),
    st.dictionaries(st.sampled_from("abcdefghi"), st.integers(0, 90)), st.integers(0, WHOLE),
)  # fmt: skip
def test_on_the_way_to_another_plan_the_map_is_whole(
    sizes: list[int], width: int, before: Mapping[str, int], way: int
) -> None:
    found = [
        Region(id=name, number=1, role="data", start=0, bytes=size)
        for name, size in zip("abcdefghi", sizes, strict=False)
    ]
    drawn = arranged(found, width, before=before, way=way)
    assert [region for part in drawn for region in part.regions] == found
    assert drawn[0].column == 0
    assert drawn[-1].end == width
    assert all(a.end <= b.column <= a.end + 1 for a, b in pairwise(drawn))
    assert arranged(found, width, before=before, way=WHOLE) == arranged(found, width)


def test_motion_is_for_those_who_want_it(tmp_path: Path) -> None:
    config = Config(tmp_path / "wizard.toml")
    assert moves({}, config)
    assert not moves({"NO_COLOR": "1"}, config)
    assert not moves({"TEXTUAL_ANIMATIONS": "none"}, config)
    config.motion = False
    config.save()
    assert not moves({}, load_config(config.file))


async def test_a_border_is_moved_by_keys_and_by_the_mouse(make_app: MakeApp) -> None:
    app = make_app(SPECS["root has the rest"])
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        shown_map = screen.query_one(PartitionMap)
        await pilot.press("f4")
        shown_map.choose("root")
        # Towards the right, home shrinks, and nothing counts before Enter.
        await pilot.press("greater_than_sign", "greater_than_sign")
        assert shown_map.ghost is not None
        assert shown_map.ghost.size == 60 * MIB
        assert "home: 60.0 MiB instead of 64.0 MiB" in shown(app)
        assert " 60.0 MiB " in shown_map.render().plain
        await pilot.press("escape")
        assert (await settled(pilot)).spec == SPECS["root has the rest"]
        assert shown_map.has_focus
        await pilot.press("less_than_sign", "less_than_sign", "enter")
        screen = await settled(pilot)
        assert screen.spec.volume == (VolumeEntry(id="home", size="72MiB"),)
        await pilot.press("ctrl+z")
        assert (await settled(pilot)).spec == SPECS["root has the rest"]
        # The same border, dragged to the left and back beyond its beginning.
        part = next(part for part in shown_map.drawn() if part.region.id == "root")
        await pilot.mouse_down(shown_map, offset=(part.end, 1))
        await pilot.hover(shown_map, offset=(part.end - 4, 1))
        assert shown_map.ghost is not None
        assert shown_map.ghost.size > 64 * MIB
        await pilot.hover(shown_map, offset=(part.end + 3, 1))
        smaller = shown_map.ghost.size
        assert smaller < 64 * MIB
        await pilot.mouse_up(shown_map, offset=(part.end + 3, 1))
        screen = await settled(pilot)
        assert screen.preview.plan is not None
        assert screen.preview.plan.volume("home").bytes == smaller
        assert screen.design.history.undoable == "size of home"
        await pilot.press("ctrl+z")
        assert (await settled(pilot)).spec == SPECS["root has the rest"]


async def test_what_moves_comes_to_rest(make_app: MakeApp) -> None:
    app = make_app(AUTO)
    app.animation_level = "basic"
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("a", "enter", "ctrl+s")
        await settled(pilot)
        await pilot.wait_for_animation()
        shown_map = screen.query_one(PartitionMap)
        assert shown_map.way == WHOLE
        assert shown_map.drawn() == arranged(shown_map.regions, 78, selected=shown_map.selected)
