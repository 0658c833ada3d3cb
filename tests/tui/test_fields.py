"""The form and the spec: every key can be edited, long and fast typing arrives as typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Button, Input

from engine.nix.closure import Closure, StorePath
from engine.spec.keys import KEYS
from engine.spec.model import Content, ImageSpec, Layout, Nix, VolumeEntry
from tests.support.containers import Made, archived, layer, layout, member
from tests.tui.conftest import MakeApp, eventually, settled, shown, type_text
from tui.fields import FIELDS, OUTDIR
from tui.screens.closure import ClosureScreen, ClosureTree
from tui.screens.design import PANES
from tui.screens.entry import EntryScreen
from tui.screens.volume import VolumeScreen
from tui.typed import pasted
from tui.volume_form import AMOUNTS
from tui.widgets.choices import Choices
from tui.widgets.entry_table import EntryTable, sentence, shares
from tui.widgets.labels import Plain

ELSEWHERE = {
    "schema": "always the one this program writes",
    "layout.table": "the layouts of the Layout pane",
    "boot.loader": "the loaders of the Boot pane",
    "output.format": "the formats of the Output pane",
}
ENTRY = {
    "contents[].source": "#entry-source",
    "contents[].target": "#entry-target",
    "contents[].mode": "#entry-mode",
    "contents[].user": "#entry-user",
    "contents[].group": "#entry-group",
    "contents[].extract": "#entry-extract",
    "contents[].exclude": "#entry-exclude",
    "contents[].partition": "#entry-partition",
    "contents[].volume": "#entry-partition",
    "contents[].replace": "#entry-replace",
    "contents[].image": "#entry-image",
    "contents[].platform": "#entry-platform",
    "contents[].service": "#entry-service",
}
VOLUME = {
    f"volume[].{key}": "#volume-amount" if key in AMOUNTS else f"#volume-{key}"
    for key in VolumeEntry.__struct_fields__
}


def test_every_key_of_a_spec_has_a_field() -> None:
    assert set(KEYS) == set(FIELDS) - {OUTDIR} | set(ELSEWHERE) | set(ENTRY) | set(VOLUME)


async def test_every_field_stands_in_its_pane(make_app: MakeApp) -> None:
    app = make_app(ImageSpec())
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        for number in range(1, len(PANES) + 1):
            await pilot.press(f"alt+{number}")
        for field in FIELDS.values():
            assert len(screen.query(f"#{field.step} #{field.widget_id}")) == 1
        await pilot.press("alt+4", "a")
        assert isinstance(app.screen, EntryScreen)
        for selector in ENTRY.values():
            assert len(app.screen.query(selector)) == 1
        await pilot.press("escape", "alt+1")
        await settled(pilot)
        await pilot.press("a", "enter")
        assert isinstance(app.screen, VolumeScreen)
        for selector in VOLUME.values():
            assert len(app.screen.query(selector)) == 1


async def test_an_entry_for_the_esp(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="efi")))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+4", "a")
        await type_text(pilot, "rootfs/boot/")
        app.screen.query_one("#entry-partition", Choices).focus()
        await pilot.press("right", "space")
        await pilot.click("#entry-ok")
        await settled(pilot)
        assert screen.spec.contents == (
            Content(source="rootfs/boot/", target="/", partition="esp"),
        )
        assert screen.preview.errors == ()


async def test_a_container_image_is_known_and_its_keys_are_kept(
    make_app: MakeApp, tmp_path: Path
) -> None:
    layout(tmp_path / "my image", ("web:1", Made([layer(member("bin/x"))], {"Cmd": ["/bin/x"]})))
    app = make_app(ImageSpec(layout=Layout(table="efi")))
    async with app.run_test(size=(100, 40)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+4", "a")
        source = app.screen.query_one("#entry-source", Input)
        source.value = f"{tmp_path}/my image"
        await pilot.pause()
        assert app.screen.query_one("#entry-extract", Choices).chosen == "oci"
        saved = archived(tmp_path / "my image")
        app.screen.query_one("#entry-extract", Choices).chosen = "no"
        source.value = str(saved)
        await pilot.pause()
        assert app.screen.query_one("#entry-extract", Choices).chosen == "oci"
        source.value = f"'{tmp_path}/my image'"  # as a file manager pastes it
        app.screen.query_one("#entry-service", Input).value = "web"
        app.screen.query_one("#entry-replace", Choices).focus()
        await pilot.press("right", "space")
        await pilot.click("#entry-ok")
        await settled(pilot)
        wanted = Content(
            source=f"{tmp_path}/my image", target="/", extract="oci", replace=True, service="web"
        )
        assert screen.spec.contents == (wanted,)
        assert "runs /bin/x" in sentence(screen.preview, 0)
        await pilot.press("enter")
        assert isinstance(app.screen, EntryScreen)
        await pilot.click("#entry-ok")
        await settled(pilot)
        assert screen.spec.contents == (wanted,)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("'/a b'", "/a b"),
        ('"/a b/" ', "/a b/"),
        ("'/it'\\''s'", "/it's"),
        ("file:///a%20b", "/a b"),
        ("/it's", "/it's"),
        ("'/open", "'/open"),
        ("'a' 'b'", "'a' 'b'"),
        ("''", "''"),
    ],
)
def test_a_pasted_path_loses_its_quotes(text: str, path: str) -> None:
    assert pasted(text) == path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("/nix/store/a /nix/store/b", ("/nix/store/a", "/nix/store/b")),
        ("gpg -u 'My Key'", ("gpg", "-u", "My Key")),
        ("open 'quote", "open 'quote"),
        ("  ", None),
    ],
)
def test_lists_are_words(text: str, value: object) -> None:
    field = FIELDS["output.sign"]
    assert field.to_value(text) == value
    if isinstance(value, tuple):
        assert field.to_value(field.to_text(value)) == value


def test_a_list_may_be_one_text_in_the_spec() -> None:
    field = FIELDS["boot.initrd"]
    assert field.to_text("my initrd") == "'my initrd'"
    assert field.to_text(("a", "b c")) == "a 'b c'"
    assert field.to_value("a 'b c'") == ("a", "b c")


async def test_fast_and_long_typing_arrives_as_typed(make_app: MakeApp) -> None:
    """Keys run ahead of the plan; none of them may be lost or change places."""
    app = make_app(ImageSpec())
    wanted = "abcdefghij" * 9
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+5", "ctrl+u")
        for letter in wanted:
            app.simulate_key(letter)
        await pilot.pause()
        await settled(pilot)
        control = screen.query_one("#field-name Input", Input)
        assert control.value == wanted
        assert screen.spec.name == wanted
        assert wanted[-40:] in shown(app)
        await pilot.press("tab")
        await pilot.pause()
        assert wanted[:40] in shown(app)


LONG = ImageSpec(
    contents=(
        Content(source="rootfs/" + "deep/" * 30, target="/" + "far/" * 30),
        Content(source="rootfs/", target="/", mode="D755,F644", user="www-data", group="www-data"),
    )
)


@pytest.mark.parametrize("size", [(120, 40), (110, 30), (80, 24), (60, 20), (40, 12)])
async def test_the_table_of_contents_fits(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(LONG)
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+4")
        await pilot.pause()
        table = screen.query_one(EntryTable)
        assert table.virtual_size.width <= table.size.width
        assert not table.show_horizontal_scrollbar
        titles = [str(column.label) for column in table.ordered_columns]
        assert titles[:2] == ["Source", "Target"]
        assert size[0] < 60 or titles[-2:] == ["Mode", "Owner"]
        for button in screen.query("#entry-actions Button").results(Button):
            assert screen.region.contains_region(button.region)
            assert button.region.right <= screen.query_one("#form").region.right


@pytest.mark.parametrize(("size", "least"), [((120, 40), 17), ((80, 50), 22), ((80, 24), 11)])
async def test_many_entries_take_half_of_a_tall_terminal_and_say_where_one_is(
    make_app: MakeApp, size: tuple[int, int], least: int
) -> None:
    entries = tuple(Content(source="rootfs/", target=f"/{number}") for number in range(60))
    app = make_app(ImageSpec(contents=entries))
    async with app.run_test(size=size) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+4")
        await pilot.pause()
        table = screen.query_one(EntryTable)
        assert table.size.height > least
        table.focus()
        table.move_cursor(row=59)
        await settled(pilot)
        line = screen.query_one("#entry-line", Plain)
        assert str(line.render()).startswith("60 of 60. Fine: ")


async def test_entries_are_filtered_and_edited_where_they_stand(make_app: MakeApp) -> None:
    entries = tuple(Content(source="rootfs/", target=f"/{number}") for number in range(12))
    app = make_app(ImageSpec(contents=entries))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("4", "slash", "1", "enter")
        table = screen.query_one(EntryTable)
        assert table.shown_entries == [1, 10, 11]
        assert app.focused is table
        line = screen.query_one("#entry-line", Plain)
        assert str(line.render()).startswith("3 of 12 shown. ")
        await pilot.press("down", "x")
        await settled(pilot)
        assert [entry.target for entry in screen.spec.contents] == [
            f"/{number}" for number in range(12) if number != 10
        ]
        assert table.shown_entries == [1, 10]
        await pilot.press("escape")
        await pilot.pause()
        assert len(table.shown_entries) == 11
        assert app.focused is table


@pytest.mark.parametrize(
    ("wanted", "room", "got"),
    [
        ((5, 5), 20, (5, 5)),
        ((5, 50), 20, (5, 15)),
        ((50, 5), 20, (15, 5)),
        ((50, 50), 21, (11, 10)),
    ],
)
def test_paths_share_the_room(wanted: tuple[int, int], room: int, got: tuple[int, int]) -> None:
    assert shares(wanted, room) == got


async def test_the_scale_and_the_table_can_be_clicked(make_app: MakeApp) -> None:
    app = make_app(ImageSpec())
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.click("#scale-switch")
        assert "[even]" in shown(app)
        await pilot.click("#table-switch")
        assert screen.has_class("-full")
        assert "[form]" in shown(app)
        await pilot.press("f6")
        await pilot.pause()
        assert not screen.has_class("-full")
        assert "[table]" in shown(app)


def _path(name: str, size: int, *references: str) -> StorePath:
    return StorePath(
        path=f"/nix/store/{name}",
        nar_hash="0" * 64,
        nar_size=size,
        references=tuple(f"/nix/store/{other}" for other in references),
    )


CLOSURE = Closure(
    (
        _path("a-system-1", 100, "b-zlib-1.2", "c-app-3"),
        _path("b-zlib-1.2", 2_000_000),
        _path("c-app-3", 5_000, "d-zlib-1.3", "e-[bold]"),
        _path("d-zlib-1.3", 3_000_000),
        _path("e-[bold]", 7),
    ),
    ("/nix/store/a-system-1",),
)


@pytest.mark.parametrize("size", [(120, 40), (60, 20), (40, 12)])
async def test_the_closure_says_why(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(ImageSpec())
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await app.push_screen(ClosureScreen(CLOSURE))
        tree = app.screen.query_one(ClosureTree)

        def branches() -> object:
            return tree.cursor_node is not None and tree.cursor_node.children

        await eventually(pilot, branches)
        await pilot.press("down")  # what the system refers to, the largest closure first
        await eventually(pilot, lambda: "/nix/store/c-app-3" in shown(app))
        await pilot.press("enter")
        await eventually(pilot, branches)
        await pilot.press("down")
        if size[0] >= 60:
            await eventually(pilot, lambda: "5,005,107 bytes" in shown(app))
            text = shown(app)
            assert "system-1 → app-3 → zlib-1.3" in text
            assert "More than once" in text


async def test_the_rest_of_nix_stands_there_once_it_is_used(make_app: MakeApp, home: Path) -> None:
    app = make_app(ImageSpec(nix=Nix(store=str(home / "none"))))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await settled(pilot)
        await pilot.press("alt+4")
        await pilot.pause()
        assert screen.query_one("#field-nix-additional-paths").display
        await pilot.press("c")
        assert not isinstance(app.screen, ClosureScreen)
