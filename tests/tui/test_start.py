"""The start page: what is dropped onto it opens where it belongs, what was made is told."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from textual import events

from engine.problem import Refused
from engine.spec.model import Content
from tests.tui.conftest import MakeApp, eventually, settled, shown
from tui.config import Config
from tui.document import Document
from tui.opening import Fleet, Importable, Sources, opened, opened_all
from tui.proofs import badge, proofs_of
from tui.screens.design import DesignScreen
from tui.screens.start import StartScreen
from tui.starting import age
from tui.typed import dropped


@pytest.mark.parametrize(
    "text",
    [
        "{0}", "'{0}'", '"{0}"', "file://{0}", "{0} ", " {0}\n", "my\\ dir", "file://{1}",
        "file://localhost{1}", "./my dir",
    ],
)  # fmt: skip
def test_a_dropped_path_is_read_as_it_was_meant(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "my dir"
    folder.mkdir()
    given = text.format(folder, str(folder).replace(" ", "%20"))
    assert [path.resolve() for path in dropped(tmp_path, given)] == [folder]


def test_several_paths_are_dropped_at_once(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "it's 2"
    one.mkdir()
    two.mkdir()
    for text in (
        f"file://{one}\nfile://{tmp_path}/it's%202",
        f"'{one}' \"{two}\"",
        f"{one} {tmp_path}/it\\'s\\ 2",
    ):
        assert dropped(tmp_path, text) == (one, two)
    assert dropped(tmp_path, " \n") == ()
    assert dropped(tmp_path, "no such file") == (tmp_path / "no such file",)


def test_each_kind_of_path_is_known_by_its_content(home: Path) -> None:
    archive = home / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(home / "rootfs", "rootfs")
    (home / "image.oci").mkdir()
    for name in ("oci-layout", "index.json"):
        (home / "image.oci" / name).write_text("{}")
    (home / "spec.toml").write_text("schema = 1\n")
    (home / "args.json").write_text('{"diskSize": "1024"}')
    assert opened(home / "rootfs") == Sources(
        "rootfs", (Content(source=f"{home}/rootfs/", target="/"),)
    )
    assert opened(archive) == Sources(
        "root", (Content(source=str(archive), target="/", extract=True),)
    )
    assert opened(home / "image.oci") == Sources(
        "image", (Content(source=f"{home}/image.oci", target="/", extract="oci"),)
    )
    assert isinstance(opened(home / "spec.toml"), Document)
    (home / "fleet.toml").write_text('schema = 1\nbase = "spec.toml"\nrows = "rows.csv"\n')
    assert opened(home / "fleet.toml") == Fleet(home / "fleet.toml")
    found = opened(home / "args.json")
    assert isinstance(found, Importable)
    assert not found.is_image
    both = opened_all([home / "rootfs", archive])
    assert isinstance(both, Sources)
    spec = both.document(home).spec
    assert [entry.source for entry in spec.contents] == ["rootfs/", "root.tar"]
    with pytest.raises(Refused, match="several paths"):
        opened_all([home / "rootfs", home / "spec.toml"])
    (home / "disk.img.gz").write_bytes(
        bytes.fromhex("1f8b08000000000000034bcacf4f05000f6a0f0c04000000")
    )
    with pytest.raises(Refused, match="not an archive"):
        opened(home / "disk.img.gz")


async def test_a_folder_that_is_pasted_becomes_the_contents_of_an_image(
    make_app: MakeApp, home: Path
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.screen.focused.post_message(events.Paste(f"'{home}/rootfs'"))  # type: ignore[union-attr]
        await eventually(pilot, lambda: isinstance(app.screen, DesignScreen))
        screen = await settled(pilot)
        assert screen.spec.contents == (Content(source="rootfs/", target="/"),)
        assert screen.spec.name == "rootfs"
        assert not screen.preview.errors
        assert screen.is_saved


async def test_a_fleet_can_be_planned_from_the_start_page(make_app: MakeApp, home: Path) -> None:
    (home / "base.toml").write_text("schema = 1\n")
    (home / "fleet.toml").write_text(
        'schema = 1\nbase = "base.toml"\nname = "node-{serial}"\n[[row]]\nserial = "0007"\n'
    )
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert isinstance(app.screen, StartScreen)
        app.screen.open([home / "fleet.toml"])
        await eventually(pilot, lambda: "node-0007" in shown(app))


async def test_what_is_typed_goes_to_the_line_and_what_is_wrong_is_told(
    make_app: MakeApp, home: Path
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("n", "o", "p", "e", "enter")
        await pilot.pause()
        assert isinstance(app.screen, StartScreen)
        assert "there is no such file" in " ".join(shown(app).split())
        await pilot.press("down", "enter")
        assert (await settled(pilot)).spec.layout.table == "efi"


def made_image(folder: Path, expect: str = "login:", **proof: object) -> Path:
    """Writes an image, and the manifest of a build that proved it."""
    image = folder / "lab.img"
    image.write_bytes(b"x" * 5000)
    told = {"firmware": "uefi", "seen": True, "seconds": 7.31} | proof
    manifest = {
        "outputs": [{"path": image.name, "bytes": 5000}],
        "plan": {"boot": {"expect": expect}},
        "proofs": [told],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    os.utime(image, (1_000, 1_000))
    return image


def test_a_badge_comes_of_a_proof_of_this_very_image(tmp_path: Path) -> None:
    image = made_image(tmp_path)
    assert badge(proofs_of(image)) == "boots: UEFI, login: in 7.3 s"
    assert proofs_of(made_image(tmp_path, seen=False)) == ()
    assert proofs_of(made_image(tmp_path, seconds="soon")) == ()
    assert proofs_of(made_image(tmp_path, expect="(")) == ()  # not an expression to wait for
    image = made_image(tmp_path)
    os.utime(image)
    os.utime(tmp_path / "manifest.json", (2_000, 2_000))
    assert proofs_of(image) == ()  # written since
    image = made_image(tmp_path)
    image.write_bytes(b"other")
    os.utime(image, (1_000, 1_000))
    assert proofs_of(image) == ()
    (tmp_path / "manifest.json").write_text("{")
    assert proofs_of(image) == ()
    assert badge(()) == ""


async def test_recent_specs_and_images_stand_there_with_what_is_known_of_them(
    make_app: MakeApp, home: Path
) -> None:
    (home / "good.toml").write_text('schema = 1\n[layout]\ntable = "hybrid"\n')
    (home / "bad.toml").write_text("schema = 9\n")
    image = made_image(home)
    config = Config(
        home / "config.toml",
        recent=[str(home / name) for name in ("good.toml", "bad.toml", "gone.toml")],
        images=[str(image)],
        sizes={str(home / "good.toml"): 3 << 30},
    )
    app = make_app(config=config)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.workers.wait_for_complete()
        await pilot.pause()
        lines = shown(app).splitlines()
        good = next(line for line in lines if "good.toml" in line)
        assert "BIOS" in good
        assert "3.0 GiB, just now" in good
        assert any("bad.toml" in line and "cannot be read" in line for line in lines)
        assert not any("gone.toml" in line for line in lines)
        assert any("lab.img" in line and "boots: UEFI, login: in 7.3 s" in line for line in lines)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "just now"), (59, "just now"), (60, "1 min ago"), (7200, "2 h ago"),
     (3 * 86400, "3 days ago")],
)  # fmt: skip
def test_an_age_in_words(seconds: float, words: str) -> None:
    assert age(seconds) == words


def test_the_config_keeps_images_and_sizes(tmp_path: Path) -> None:
    from tui.config import load_config

    config = Config(tmp_path / "wizard.toml")
    config.remember(tmp_path / "a.toml", 5)
    config.remember_image(tmp_path / "a.img")
    again = load_config(config.file)
    assert (again.recent, again.sizes, again.images) == (
        [str(tmp_path / "a.toml")], {str(tmp_path / "a.toml"): 5}, [str(tmp_path / "a.img")],
    )  # fmt: skip
