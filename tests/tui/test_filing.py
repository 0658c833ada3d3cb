"""Source and image side by side: what is seen of each, and what copying appends."""

from __future__ import annotations

from pathlib import Path

from engine.planning import plan_spec
from engine.spec.model import Content, ImageSpec, Layout, Size, VolumeEntry
from tests.tui.conftest import MakeApp, eventually, settled, shown
from tui.filing import ImageTree, Name, Spot, copied, folder, why_not
from tui.screens.filing import FilingScreen
from tui.widgets.row_table import RowTable

SPEC = ImageSpec(
    layout=Layout(table="efi"),
    size=Size(boot="40MiB", additional="8MiB"),
    volume=(VolumeEntry(id="home", free="8MiB"), VolumeEntry(id="swap", size="1MiB")),
    contents=(
        Content(source="rootfs/", target="/"),
        Content(source="rootfs/etc/hostname", target="/home/eve/notes"),
        Content(source="rootfs/boot/vmlinuz-6.1", target="/EFI/linux.efi", volume="esp"),
    ),
)


def names(found: tuple[Name, ...]) -> list[tuple[str, str]]:
    """Returns what stands in a folder, and as what."""
    return [(one.text, one.kind) for one in found]


def test_the_image_is_one_tree_of_all_volumes(home: Path) -> None:
    tree = ImageTree(plan_spec(SPEC, base=home, outdir=home / "out", force=True))
    top = names(tree.names(Spot()))
    assert dict(top)["[esp]"] == "volume"
    assert {"boot", "etc", "home"} <= set(dict(top))
    assert names(tree.names(Spot("", b"home/eve"))) == [("notes", "file")]
    esp = Spot().into(next(one for one in tree.names(Spot()) if one.kind == "volume"))
    assert names(tree.names(esp.into(tree.names(esp)[0]))) == [("linux.efi", "file")]
    assert esp.up() == Spot()
    assert tree.nearest(Spot("", b"home/eve/gone/far")) == Spot("", b"home/eve")
    assert ImageTree(None).names(Spot()) == ()


def test_what_is_copied_is_what_the_image_then_holds(home: Path) -> None:
    """A folder and a file, into the tree and onto the ESP: each goes under its own name."""
    here = {one.text: one for one in folder(home / "rootfs")}
    etc, boot = here["etc"], {one.text: one for one in folder(home / "rootfs" / "boot")}
    added = (
        copied(home, home / "rootfs", etc, Spot("", b"opt")),
        copied(home, home / "rootfs" / "boot", boot["vmlinuz-6.1"], Spot("esp")),
        copied(home / "elsewhere", home / "rootfs", etc, Spot()),
    )
    assert added[0] == Content(source="rootfs/etc/", target="/opt/etc")
    spec = ImageSpec(layout=SPEC.layout, size=SPEC.size, contents=added)
    plan = plan_spec(spec, base=home, outdir=home / "out", force=True)
    assert [problem for problem in plan.problems if problem.severity == "error"] == []
    tree = ImageTree(plan)
    assert names(tree.names(Spot("", b"opt/etc"))) == [("hostname", "file")]
    assert names(tree.names(Spot("", b"etc"))) == [("hostname", "file")]
    assert names(tree.names(Spot("esp"))) == [("vmlinuz-6.1", "file")]


def test_what_a_spec_cannot_name_is_told() -> None:
    assert why_not(Name(b"a*", "a*", "file"))
    assert why_not(Name(b"\xff", "\\xff", "file"))
    assert why_not(Name(b"pipe", "pipe", "other"))
    assert why_not(Name("über".encode(), "über", "file")) == ""


async def test_copying_is_one_entry_and_undo_takes_it_back(make_app: MakeApp, home: Path) -> None:
    (home / "rootfs" / "etc" / "[red]").write_text("x")
    app = make_app(SPEC)
    async with app.run_test(size=(80, 24)) as pilot:
        design = await settled(pilot)
        await pilot.press("alt+4", "p")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, FilingScreen)
        image = screen.query_one("#filing-image", RowTable)
        await eventually(pilot, lambda: image.row_count >= 4)
        # Into rootfs/etc at the left, into boot at the right.
        await pilot.press("enter", "down", "enter")
        assert "[red]" in shown(app)
        await pilot.press("tab", "down", "enter", "tab", "c")
        await settled(pilot)
        assert design.spec.contents[-1] == Content(source="rootfs/etc/[red]", target="/boot/[red]")
        assert len(design.spec.contents) == 4
        await eventually(pilot, lambda: image.row_count == 3)
        assert "/boot/[red]" in shown(app)
        await pilot.press("ctrl+z")
        await settled(pilot)
        assert design.spec == SPEC
        await eventually(pilot, lambda: image.row_count == 2)
        await pilot.press("tab", "backspace")
        assert screen.there[image.cursor].text == "boot"
        await pilot.press("tab", "backspace", "backspace", "backspace")
        assert screen.place == home.parent
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is design
