"""The parts of the wizard by themselves: proportions, drawing, text, history, configuration."""

from __future__ import annotations

import re
import string
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from engine.disk.presets import PRESETS
from engine.spec.model import ImageSpec, Layout
from tui.config import Config, load_config
from tui.fields import FIELDS, OUTDIR
from tui.glyphs import ASCII, UNICODE
from tui.help import KeyHelp
from tui.history import History
from tui.keys import KEYS
from tui.preview import step_of
from tui.screens.design import PANES
from tui.session import Session
from tui.text import cut, cut_left, fit, pieces, visible
from tui.typed import typed_path
from tui.widgets.drawing import draw
from tui.widgets.key_sheet import sheet
from tui.widgets.proportions import cells, even
from tui.widgets.suggest import complete

WEIGHTS = st.lists(st.integers(0, 2**62), min_size=1, max_size=12)
FORBIDDEN = {"ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+left_square_bracket", "f10", "f11"}


@given(WEIGHTS, st.integers(0, 300))
def test_a_bar_is_filled_exactly(weights: list[int], width: int) -> None:
    widths = cells(weights, width)
    assert sum(widths) == width
    assert all(part >= 0 for part in widths)
    if width >= len(weights):
        assert min(widths) >= 1


@given(WEIGHTS, st.integers(1, 300))
def test_larger_parts_are_never_drawn_smaller(weights: list[int], width: int) -> None:
    if width < len(weights):
        return
    for scale in (weights, even(weights)):
        widths = cells(scale, width)
        drawn = sorted(zip(scale, widths, strict=True))
        # Largest remainder may give one cell more to the smaller of two nearly equal parts.
        assert all(b[1] >= a[1] - 1 for a, b in pairwise(drawn))


@pytest.mark.parametrize("key", PRESETS)
@pytest.mark.parametrize("width", [18, 24, 40])
def test_a_drawing_is_as_wide_as_asked(key: str, width: int) -> None:
    assert draw(PRESETS[key], width).cell_length == width


@given(st.text())
def test_visible_text_holds_nothing_that_acts(text: str) -> None:
    assert visible(text).isprintable()


@given(st.binary())
def test_visible_bytes_too(raw: bytes) -> None:
    assert visible(raw).isprintable()


@given(st.text(), st.integers(0, 60))
def test_text_is_cut_to_its_cells(text: str, width: int) -> None:
    safe = visible(text)
    assert cell_len(cut(safe, width)) <= width
    assert cell_len(cut_left(safe, width)) <= width
    assert cell_len(fit(safe, width)) == width


def test_every_glyph_is_one_cell_and_ascii_is_ascii() -> None:
    for name in UNICODE.__slots__:
        plain, rich = getattr(ASCII, name), getattr(UNICODE, name)
        assert plain.isascii()
        assert name == "spinner" or cell_len(rich) == cell_len(plain) == 1


def test_typing_is_one_undo_step_until_the_field_is_left() -> None:
    history = History(ImageSpec())
    for name in ("d", "di", "disk"):
        history.push(ImageSpec(name=name), "name", typing="name")
    history.settle()
    history.push(ImageSpec(name="disks"), "name", typing="name")
    assert history.undo() == "name"
    assert history.spec.name == "disk"
    assert history.undo() == "name"
    assert history.spec == ImageSpec()
    assert history.undo() == ""
    history.redo()
    assert history.spec.name == "disk"
    history.push(ImageSpec(layout=Layout(table="efi")), "layout")
    assert history.redo() == ""


@given(st.text(), st.integers(1, 90))
def test_pieces_of_a_line_are_the_line_and_fit(text: str, width: int) -> None:
    found = pieces(text, max(width, 2))
    assert "".join(found) == text
    assert all(cell_len(piece.rstrip(" ")) <= max(width, 2) for piece in found)
    assert pieces("mke2fs -O a,b,c -q", 13) == ["mke2fs -O a,", "b,c -q"]


def test_every_key_is_named_explained_and_typable() -> None:
    ids = [key.id for key in KEYS]
    assert len(ids) == len(set(ids))
    for key in KEYS:
        assert key.label
        assert key.tooltip
        assert key.tooltip[0] in string.ascii_uppercase
        assert not FORBIDDEN & set(key.keys.split(",")), key.id
    for place in {key.place for key in KEYS}:
        used = [k for key in KEYS if key.place in {place, "app"} for k in key.keys.split(",")]
        if place in {"start", "design", "build"}:
            assert len(used) == len(set(used)), f"two bindings share a key in {place}"


def test_what_has_a_function_key_has_a_letter_that_no_pane_takes() -> None:
    letters = [key.letter for key in KEYS if key.place in {"app", "design"} and key.letter]
    assert len(letters) == len(set(letters))
    for key in KEYS:
        if key.place == "design" and re.fullmatch(r"(shift\+)?f\d+", key.keys.split(",")[0]):
            assert key.letter, key.id
        if key.place in {"contents", "volumes", "map", "breakdown", "choices", "table", "spec"}:
            assert not set(letters) & set(key.keys.split(",")), key.id


def test_all_keys_are_seen_at_once() -> None:
    places = {"contents": "Here", "design": "This page", "app": "Everywhere"}
    keys = [
        KeyHelp(places[key.place], key.keys.split(",")[0], "", key.label, key.tooltip, ("", None))
        for place in places
        for key in KEYS
        if key.place == place
    ]
    for width, height in ((102, 44), (70, 17), (56, 16)):
        columns = sheet(keys, width, height)
        assert sum(map(len, columns)) == len(keys) + len(places)
        assert width < 70 or max(map(len, columns)) <= height
        assert {words for column in columns for _, words in column} <= {
            *(key.what if width > 100 else key.label for key in keys),
            "",
        }


@pytest.mark.parametrize("place", ["start", "design", "build"])
def test_the_footer_has_at_most_seven_keys(place: str) -> None:
    assert sum(key.show for key in KEYS if key.place in {place, "app"}) <= 7


def test_every_field_belongs_to_a_pane_and_helps() -> None:
    steps = {pane.STEP for pane in PANES}
    for path, field in FIELDS.items():
        assert field.step in steps
        assert path == OUTDIR or step_of(path) == field.step
        assert len(field.label) <= 17
        assert 0 < cell_len(field.help) <= 60
        assert field.guide


def test_path_completion(tmp_path: Path) -> None:
    (tmp_path / "root fs").mkdir()
    (tmp_path / "root fs" / ".hidden").touch()
    (tmp_path / "root fs" / "etc").mkdir()
    assert complete("ro", tmp_path) == "root fs/"
    assert complete("root fs/", tmp_path) == "root fs/etc/"
    assert complete(f"{tmp_path}/r", Path("/")) == f"{tmp_path}/root fs/"
    assert complete("none", tmp_path) is None
    assert complete("\0", tmp_path) is None
    assert complete("a" * 5000, tmp_path) is None


def test_typed_paths_are_never_refused(tmp_path: Path) -> None:
    assert typed_path(tmp_path, "a/b") == tmp_path / "a" / "b"
    assert typed_path(tmp_path, "/etc") == Path("/etc")
    assert typed_path(tmp_path, "~") == Path.home()
    assert typed_path(tmp_path, "~nobody-here/x") == tmp_path / "~nobody-here" / "x"


def test_a_user_file_that_is_wrong_is_told_and_not_used(tmp_path: Path) -> None:
    file = tmp_path / "wizard.toml"
    file.write_text("theme = ")
    config = load_config(file)
    assert config.theme == ""
    assert str(file) in config.warnings[0]


def test_the_users_choices_are_kept(tmp_path: Path) -> None:
    config = Config(tmp_path / "new" / "wizard.toml", theme="nord", keys={"design.build": "f5"})
    for number in range(12):
        config.remember(tmp_path / f"{number}.toml")
    config.remember(tmp_path / "11.toml")
    again = load_config(config.file)
    assert (again.theme, again.keys) == ("nord", {"design.build": "f5"})
    assert again.recent[0].endswith("11.toml")
    assert len(again.recent) == len(set(again.recent)) == 8


def test_a_session_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "session-4194999.json"
    file.write_text('{"schema": 99, "spec": {}}')
    assert Session(tmp_path).unfinished() == []
    assert file.exists()
