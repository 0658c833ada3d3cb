"""The one composition of planning: once for the command line, again and again for the wizard."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.boot.tree import read_text
from engine.manifest.scan import ScanCancelled
from engine.plan.as_json import to_json
from engine.plan.model import Plan
from engine.planning import Planner, plan_spec
from engine.spec.edit import apply
from engine.spec.load import load
from engine.spec.model import Content, ImageSpec, Layout
from tests.support.containers import Made, layer, layout, member
from tests.support.specs import write_spec


@pytest.fixture
def spec(tmp_path: Path) -> ImageSpec:
    return load(write_spec(tmp_path, esp=True)).spec


EDITS: tuple[tuple[str, object], ...] = (
    ("size.disk", "4GiB"),
    ("size.additional", "64MiB"),
    ("size.boot", "100MiB"),
    ("output.format", "qcow2"),
    ("layout.label", "other"),
    ("layout.table", "hybrid"),
    ("identity.seed", "5f0c6b5e-7bd0-4d53-8a0a-6d7a3a3f9d01"),
    ("compat", "make-disk-image"),
    ("contents[1].target", "/below"),
)


@pytest.mark.parametrize(("path", "value"), EDITS)
def test_planning_again_after_an_edit_says_what_planning_from_nothing_says(
    spec: ImageSpec, tmp_path: Path, path: str, value: object
) -> None:
    planner = Planner(tmp_path)
    first = planner.resolve(spec)
    sources = planner.read(first.settings)
    planner.plan(first, sources, force=False)

    edited = apply(spec, path, value)
    resolved = planner.resolve(edited)
    if not sources.answer(resolved.settings):
        sources = planner.read(resolved.settings)
    again = planner.plan(resolved, sources, tmp_path / "out", force=False)

    fresh = plan_spec(edited, base=tmp_path, outdir=tmp_path / "out")
    assert to_json(again) == to_json(fresh)
    assert again.problems == fresh.problems


@pytest.mark.parametrize(("path", "value"), [edit for edit in EDITS if "size" in edit[0]])
def test_an_edit_that_leaves_the_contents_alone_reads_nothing_again(
    spec: ImageSpec, tmp_path: Path, path: str, value: object
) -> None:
    planner = Planner(tmp_path)
    sources = planner.read(planner.resolve(spec).settings)

    assert sources.answer(planner.resolve(apply(spec, path, value)).settings)


def test_sources_that_an_edit_did_not_touch_are_not_walked_again(
    spec: ImageSpec, tmp_path: Path
) -> None:
    planner = Planner(tmp_path)
    before = planner.read(planner.resolve(spec).settings)
    (tmp_path / "tree" / "new").write_text("not seen\n")

    settings = planner.resolve(apply(spec, "layout.table", "hybrid")).settings
    assert not before.answer(settings)
    after = planner.read(settings)

    assert after.contents.volumes["root"] is before.contents.volumes["root"]
    assert after.contents.volumes["esp"] is before.contents.volumes["esp"]


def test_until_other_sources_are_read_the_known_contents_are_planned(
    spec: ImageSpec, tmp_path: Path
) -> None:
    planner = Planner(tmp_path)
    sources = planner.read(planner.resolve(spec).settings)
    without = msgspec.structs.replace(spec, contents=())
    bare = planner.resolve(without)

    plan = planner.plan(bare, sources, force=False)

    assert plan.counts.files > 0
    assert plan_spec(without, base=tmp_path).counts.files == 0


def test_reading_can_be_stopped(spec: ImageSpec, tmp_path: Path) -> None:
    with pytest.raises(ScanCancelled):
        plan_spec(spec, base=tmp_path, cancelled=lambda: True)


@pytest.mark.parametrize("path", ["size.disk", "size.additional"])
def test_fstab_is_that_of_the_edited_sizes(spec: ImageSpec, tmp_path: Path, path: str) -> None:
    planner = Planner(tmp_path)
    spec = apply(spec, "layout.fstab", "write")
    sources = planner.read(planner.resolve(spec).settings)
    edited = apply(spec, path, "4GiB")
    resolved = planner.resolve(edited)
    if not sources.answer(resolved.settings):
        sources = planner.read(resolved.settings)

    again = planner.plan(resolved, sources, force=False)
    assert fstab(again) == fstab(plan_spec(edited, base=tmp_path))
    assert ("x-systemd.growfs" in fstab(again)) == (path == "size.disk")


def fstab(plan: Plan) -> str:
    """The file that a plan puts into the root."""
    text = read_text(plan.root.manifest, b"etc/fstab")
    assert text is not None
    return text


def test_the_plan_shows_what_a_container_image_says_of_itself(tmp_path: Path) -> None:
    said = {"Entrypoint": ["/bin/x"], "Cmd": ["-v"], "Env": ["A=1"], "User": "7"}
    made = Made([layer(member("bin/x"))], said)
    image = layout(tmp_path / "image", ("web:1", made))
    content = Content(source=str(image), target="/", extract="oci")
    spec = ImageSpec(layout=Layout(table="none"), contents=(content,))
    (shown,) = to_json(plan_spec(spec, base=tmp_path))["containers"]
    assert (shown["path"], shown["names"]) == ("contents[0]", ["web:1"])
    assert {key: shown["config"][key] for key in said} == said
    assert len(shown["layers"]) == 1
