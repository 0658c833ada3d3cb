"""Journeys to disks of one's own: /home, an A/B pair, a board; and back by undo."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Input

from engine.disk.view import regions
from engine.plan.as_json import to_json
from engine.plan.regions import view
from engine.planning import plan_spec
from engine.problem import errors
from engine.spec.load import load
from engine.spec.model import Content, ImageSpec, Layout, Size, VolumeEntry
from engine.spec.resolve import resolve
from engine.spec.volume_edits import add as add_volume
from engine.units import GIB, KIB, MIB
from tests.tui.conftest import MakeApp, settled, shown, type_text
from tui.screens.kind import KindScreen
from tui.screens.volume import VolumeScreen
from tui.volume_form import VolumeForm
from tui.volumes import kinds, rows, sentence
from tui.widgets.breakdown_bar import BreakdownBar
from tui.widgets.choices import Choices
from tui.widgets.map_parts import grounds, groups
from tui.widgets.partition_map import PartitionMap
from tui.widgets.volume_table import VolumeTable

CONTENTS = (Content(source="rootfs/", target="/"),)
EFI = ImageSpec(layout=Layout(table="efi"), contents=CONTENTS)
SMALL = Size(boot="40MiB", additional="8MiB")


async def add(pilot: Pilot[int], key: str) -> None:
    """Opens the form for one kind of volume."""
    await pilot.press("a")
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, KindScreen)
    at = [kind.key for kind in screen.kinds].index(key)
    await pilot.press(*["down"] * at, "enter")
    await pilot.pause()
    assert isinstance(pilot.app.screen, VolumeScreen)


async def write(pilot: Pilot[int], field: str, text: str) -> None:
    """Replaces the text of a field of the form."""
    control = pilot.app.screen.query_one(f"#volume-{field}", Input)
    control.focus()
    await pilot.press("ctrl+u")
    await type_text(pilot, text)
    await pilot.pause()


async def test_a_home_that_shares_a_fixed_disk_and_its_undo(make_app: MakeApp) -> None:
    spec = ImageSpec(layout=Layout(table="efi"), size=Size(disk="4GiB"), contents=CONTENTS)
    app = make_app(spec)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        before = screen.preview.plan
        assert before is not None
        await add(pilot, "home")
        assert "gives" in shown(app)
        await pilot.press("enter")
        screen = await settled(pilot)
        assert screen.spec.volume == (VolumeEntry(id="home", grow=1),)
        plan = screen.preview.plan
        assert plan is not None
        assert screen.preview.errors == ()
        assert plan.disk.bytes == 4 * GIB
        assert [volume.id for volume in plan.volumes] == ["esp", "root", "home"]
        assert plan.volume("home").bytes > 2 * GIB
        shown_map = screen.query_one(PartitionMap)
        assert [region.id for region in shown_map.regions] == ["esp", "root", "home"]
        assert "home" in shown_map.render().plain
        assert "UEFI + home" in " ".join(shown(app).replace("│", " ").split())
        await pilot.press("shift+up")
        screen = await settled(pilot)
        moved = screen.preview.plan
        assert moved is not None
        assert [volume.id for volume in moved.volumes] == ["esp", "home", "root"]
        assert screen.query_one(VolumeTable).chosen == "home"
        await pilot.press("x")
        screen = await settled(pilot)
        assert screen.spec == spec
        await pilot.press("ctrl+z", "ctrl+z", "ctrl+z")
        screen = await settled(pilot)
        assert screen.spec == spec
        assert screen.preview.plan is not None
        assert to_json(screen.preview.plan) == to_json(before)


async def test_a_pair_of_roots(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi"), size=SMALL, contents=CONTENTS))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await add(pilot, "second-root")
        await pilot.press("enter")
        screen = await settled(pilot)
        plan = screen.preview.plan
        assert plan is not None
        assert screen.preview.errors == ()
        first, second = plan.volume("root"), plan.volume("root-b")
        assert (second.role, second.mount, second.bytes) == ("root", None, first.bytes)
        assert second.filesystem is not None
        assert not second.filesystem.filled
        found = regions(view(plan))
        told = grounds([region.role for region in found])
        assert len(set(told)) == len(found)
        text = screen.query_one(PartitionMap).render().plain
        assert "root-b" in text
        assert text.replace("root-b", "").count("root") == 1


async def test_a_board(make_app: MakeApp, home: Path) -> None:
    """An MBR with a boot loader at 8 KiB: from the UEFI layout, as somebody would."""
    (home / "u-boot.img").write_bytes(b"u" * 3000)
    app = make_app(ImageSpec(layout=Layout(table="legacy"), size=SMALL, contents=CONTENTS))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        table = screen.query_one("#table", Choices)
        await pilot.press("end", *["down"] * 9, "up", "space")  # an MBR of one's own
        assert table.options[table.cursor].value == "mbr"
        screen = await settled(pilot)
        assert screen.spec.layout.table == "mbr"
        assert screen.spec.volume == (VolumeEntry(id="root", free="8MiB"),)
        await add(pilot, "raw")
        await type_text(pilot, "u-boot.img")
        await pilot.press("enter")
        screen = await settled(pilot)
        await add(pilot, "data")
        await write(pilot, "id", "firmware")
        await write(pilot, "mount", "/boot/firmware")
        form = app.screen
        form.query_one("#volume-format").focus()
        await pilot.press("right", "right", "right", "space")  # ext4, ext3, ext2, FAT
        assert isinstance(form, VolumeScreen)
        assert form.form.format == "vfat"
        await write(pilot, "amount", "36MiB")
        await pilot.press("enter")
        screen = await settled(pilot)
        screen.query_one(VolumeTable).focus()
        await pilot.press("shift+up", "shift+up")
        screen = await settled(pilot)
        assert screen.preview.errors == ()
        plan = screen.preview.plan
        assert plan is not None
        assert plan.disk.table == "mbr"
        assert plan.offset("blob") == 8 * KIB
        assert plan.volume("firmware").number == 1
        assert plan.volume("firmware").filesystem.type == "vfat"  # type: ignore[union-attr]
        drawn = screen.query_one(PartitionMap).regions
        assert [region.id for region in drawn] == ["blob", "firmware", "root"]
        assert drawn[0].start == 8 * KIB


async def test_an_appliance_behind_an_xbootldr(make_app: MakeApp) -> None:
    """The disks of two examples in one: another layout, then a home and swap."""
    app = make_app(ImageSpec(layout=Layout(table="efi"), size=SMALL, contents=CONTENTS))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("down", "down", "down", "down", "space")
        screen = await settled(pilot)
        assert screen.spec.layout.table == "efixbootldr"
        for key in ("home", "swap"):
            await add(pilot, key)
            await pilot.press("ctrl+s")
            screen = await settled(pilot)
        assert screen.preview.errors == ()
        plan = screen.preview.plan
        assert plan is not None
        assert [(one.id, one.mount) for one in plan.volumes] == [
            ("esp", "/efi"), ("xbootldr", "/boot"), ("root", "/"), ("home", "/home"),
            ("swap", None),
        ]  # fmt: skip
        drawn = screen.query_one(PartitionMap)
        assert [region.id for region in drawn.regions] == [one.id for one in plan.volumes]
        assert len(set(grounds([region.role for region in drawn.regions]))) == 5


async def test_removing_a_volume_of_the_preset_lists_the_others(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi"), size=SMALL, contents=CONTENTS))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        screen.query_one(VolumeTable).focus()
        await pilot.press("x")
        screen = await settled(pilot)
        assert screen.spec.layout.table == "gpt"
        assert [one.id for one in screen.spec.volume] == ["root"]
        assert screen.preview.errors == ()
        await pilot.press("x")
        screen = await settled(pilot)
        assert screen.preview.errors[0].code == "no-volumes"
        assert "Nothing yet" in shown(app)
        await pilot.press("ctrl+z", "ctrl+z")
        screen = await settled(pilot)
        assert screen.spec.layout.table == "efi"


async def test_a_wrong_value_is_told_in_the_form(make_app: MakeApp) -> None:
    app = make_app(EFI)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await add(pilot, "data")
        await write(pilot, "amount", "a lot")
        assert "Error: free" in shown(app)
        await pilot.press("enter")
        assert isinstance(app.screen, VolumeScreen)
        await write(pilot, "amount", "1MiB")
        await write(pilot, "id", "root")
        assert "another volume" in shown(app)
        await pilot.press("escape")
        screen = await settled(pilot)
        assert screen.spec == EFI


async def test_an_edit_of_a_preset_volume_is_an_entry(make_app: MakeApp) -> None:
    app = make_app(EFI)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        screen.query_one(VolumeTable).focus()
        await pilot.press("enter")
        await pilot.pause()
        form = app.screen
        assert isinstance(form, VolumeScreen)
        assert form.query_one("#volume-id", Input).disabled
        assert form.form.made() == VolumeEntry(id="esp")
        form.query_one("#volume-rule").focus()
        await pilot.press("right", "space")
        await write(pilot, "amount", "300MiB")
        assert "gives 300.0 MiB" in shown(app)
        await pilot.press("enter")
        screen = await settled(pilot)
        assert screen.spec.volume == (VolumeEntry(id="esp", size="300MiB"),)
        assert screen.preview.plan is not None
        assert screen.preview.plan.volume("esp").bytes == 300 * MIB


def test_everything_that_can_be_added_is_valid(home: Path) -> None:
    """Every kind but the raw one, whose file only the user knows, plans as it is offered."""
    spec = ImageSpec(layout=Layout(table="gpt"), size=SMALL, contents=CONTENTS,
                     volume=(VolumeEntry(id="root", free="8MiB"),))  # fmt: skip
    plan = plan_spec(spec, base=home, outdir=home / "out", force=True)
    offered = kinds(plan.settings, plan)
    assert {"home", "swap", "data", "second-root", "raw", "empty"} <= {one.key for one in offered}
    for kind in offered:
        form = VolumeForm(kind.entry, None, others=("root",))
        assert form.made() == kind.entry
        if kind.key == "raw":
            continue
        assert form.problem() is None
        planned = plan_spec(
            add_volume(spec, kind.entry), base=home, outdir=home / "out", force=True
        )
        assert errors(planned.problems) == (), kind.key


async def test_a_hash_tree_and_its_signature(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="gpt"), size=SMALL, contents=CONTENTS,
                             volume=(VolumeEntry(id="root", format="erofs"),)))  # fmt: skip
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        await add(pilot, "root-verity")
        form = app.screen
        assert isinstance(form, VolumeScreen)
        assert form.query_one("#volume-verity", Input).value == "root"
        assert not form.query_one("#row-format").display
        assert not form.query_one("#row-key").display
        assert "gives 1.0 MiB" in shown(app)
        await pilot.press("ctrl+s")
        screen = await settled(pilot)
        tree = VolumeEntry(id="root-verity", verity="root")
        assert screen.spec.volume[-1] == tree
        assert screen.preview.plan is not None
        assert screen.preview.plan.volume("root-verity").verity == "root"
        assert rows(screen.preview)[-1].rule == "for root"
        await add(pilot, "data")
        form = app.screen
        assert isinstance(form, VolumeScreen)
        form.query_one("#volume-id", Input).value = "sig"
        form.post_message(
            Choices.Chosen(form.query_one("#volume-role", Choices), "root-verity-sig")
        )
        await pilot.pause()
        assert form.query_one("#row-certificate").display
        for key, text in (("verity", "root"), ("key", "k.pem"), ("certificate", "c.pem")):
            form.query_one(f"#volume-{key}", Input).value = text
        await pilot.pause()
        made = form.form.made()
        assert (made.role, made.format, made.source) == ("root-verity-sig", None, None)
        assert (made.verity, made.key, made.certificate) == ("root", "k.pem", "c.pem")


async def test_the_breakdown_opens_by_volume(make_app: MakeApp) -> None:
    spec = ImageSpec(
        layout=Layout(table="efi"), size=SMALL, contents=CONTENTS,
        volume=(VolumeEntry(id="home", size="32MiB"),),
    )  # fmt: skip
    app = make_app(spec)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await settled(pilot)
        bar = screen.query_one("#breakdown", BreakdownBar)
        closed = bar.lines()
        assert [line.volume for line in closed] == ["", "esp", "root", "home"]
        assert screen.preview.plan is not None
        assert sum(line.bytes for line in closed) == screen.preview.plan.disk.bytes
        bar.focus()
        await pilot.press("down", "down", "down", "enter")
        await pilot.pause()
        within = [line for line in bar.lines() if not line.opens]
        assert sum(line.bytes for line in within) == closed[3].bytes
        assert "Inode tables" in [line.label for line in within]
        await pilot.press("left")
        assert bar.lines() == closed


async def test_more_volumes_than_fit_are_grouped(make_app: MakeApp) -> None:
    volumes = tuple(VolumeEntry(id=f"data{n}", format="none", size="1MiB") for n in range(30))
    app = make_app(ImageSpec(layout=Layout(table="efi"), size=SMALL, volume=volumes))
    async with app.run_test(size=(60, 20)) as pilot:
        screen = await settled(pilot)
        shown_map = screen.query_one(PartitionMap)
        drawn = shown_map.drawn()
        assert len(drawn) < 32
        assert all(part.width >= 3 for part in drawn)
        assert [region for part in drawn for region in part.regions] == list(shown_map.regions)
        assert "+" in shown_map.render().plain
        shown_map.focus()
        for index in range(len(shown_map.regions)):
            shown_map.selected = index
            own = next(part for part in shown_map.drawn() if shown_map._is_selected(part))
            assert own.regions == (shown_map.regions[index],)


def test_neighbours_are_joined_smallest_first() -> None:
    assert groups([9, 1, 1, 8], 3, 0) == [range(1), range(1, 3), range(3, 4)]
    assert groups([9, 1, 1, 8], 9, 0) == [range(n, n + 1) for n in range(4)]
    assert groups([1, 1], 0, 0) == [range(2)]


async def test_a_read_only_root_is_one_step_to_the_immutable_example(make_app: MakeApp) -> None:
    example = load(Path(__file__).parents[2] / "examples/immutable.toml").spec
    spec = replace(EFI, layout=Layout(table="efi"), size=example.size, boot=example.boot)
    app = make_app(spec)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("a")
        await pilot.pause()
        kinds_ = app.screen
        assert isinstance(kinds_, KindScreen)
        at = [kind.key for kind in kinds_.kinds].index("read-only-root")
        await pilot.press(*["down"] * at, "enter")
        await pilot.pause()
        assert "systemd-veritysetup" in shown(app)
        await pilot.press("tab", "enter")
        screen = await settled(pilot)
        assert screen.preview.settings is not None
        wanted = resolve(example, Path(), {})[0].volumes
        got = screen.preview.settings.volumes
        assert [(one.id, one.format, one.verity) for one in got] == [
            (one.id, one.format, one.verity) for one in wanted
        ]
        await pilot.press("ctrl+z")
        assert (await settled(pilot)).spec == spec


async def test_a_second_root_is_not_called_the_root(make_app: MakeApp) -> None:
    second = VolumeEntry(id="root-b", role="root", size="64MiB")
    app = make_app(ImageSpec(layout=Layout(table="efi"), size=SMALL, volume=(second,)))
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await settled(pilot)
        assert sentence(screen.preview, "root").startswith("The root file system; ")
        other = sentence(screen.preview, "root-b")
        assert other.startswith("Another root file system, mounted nowhere; 64.0 MiB")
