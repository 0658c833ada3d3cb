"""The plan of a fleet: what rows share, and which row is wrong."""

from __future__ import annotations

import json
import time

import pytest

from engine.cli.main import main
from engine.fleet.plan import plan_fleet
from engine.fleet.planners import Planners
from engine.fleet.prepare import prepare
from engine.fleet.read import read_fleet
from engine.fleet.render import to_json, to_text
from engine.manifest.folder import GRAIN_NS
from engine.manifest.manifest import Manifest
from engine.manifest.progress import ScanCancelled
from engine.plan.model import Plan
from engine.planning import plan_spec
from tests.engine.fleet.conftest import Yard

SEED = "0d5b7a3e-9a56-4c57-8f0e-2f6f3a0c6b11"


def test_each_row_is_planned_as_a_build_of_its_own_would_be(yard: Yard) -> None:
    yard.rows("1", "2")
    fleet = read_fleet(yard.fleet)

    for row, planned in zip(fleet.rows, plan_fleet(fleet).rows, strict=True):
        alone = plan_spec(row.spec, base=row.base)
        assert (planned.bytes, planned.outputs) == (alone.disk.bytes, alone.outputs)


def test_volumes_are_shared_where_files_and_identifiers_are_the_same(yard: Yard) -> None:
    yard.rows("1", "2", "3")
    own = plan_fleet(read_fleet(yard.fleet))
    same = plan_fleet(read_fleet(yard.fleet, [f"identity.seed={SEED}"]))

    assert own.shares == ()
    assert "identity.seed" in own.notes[0]
    (share,) = same.shares
    assert share.images == ("node-1", "node-2", "node-3")
    assert same.shared == 2 * share.written
    assert same.notes == ()
    assert same.shared_with("node-3") == (("root", "node-1"),)


def manifest(plan: Plan, volume: str) -> Manifest:
    filesystem = plan.volume(volume).filesystem
    assert filesystem is not None
    return filesystem.manifest


def test_a_row_with_other_files_shares_nothing(yard: Yard) -> None:
    yard.write("own/2/x", "x")
    yard.write("own/1/x", "y")
    contents = '[[row.contents]]\nsource = "own/{serial}/"\ntarget = "/"\n'
    yard.rows("1", "2", more=contents)

    assert plan_fleet(read_fleet(yard.fleet, [f"identity.seed={SEED}"])).shares == ()


def test_a_folder_that_rows_bring_for_a_volume_of_their_own_parts_nobody(yard: Yard) -> None:
    """Its identity differs from row to row, and nothing in the image does."""
    yard.write("own/1/x", "x")
    yard.write("own/2/x", "y")
    contents = '[[row.contents]]\nsource = "own/{serial}/"\ntarget = "/own"\n'
    volume = '[[row.volume]]\nid = "own"\nmount = "/own"\nsize = "8MiB"\n'
    yard.rows("1", "2", more=contents + volume)
    overrides = [f"identity.seed={SEED}", "layout.table=gpt", "size.disk=auto"]
    root = '[[volume]]\nid = "root"\n'
    yard.write("base.toml", (yard.folder / "base.toml").read_text() + root)

    fleet, planners = read_fleet(yard.fleet, overrides), Planners()
    (share,) = plan_fleet(fleet).shares
    assert share.volume == "root"
    # All that is known of what the rows share is then known once.
    one, two = (planners.plan(row, None, force=False) for row in fleet.rows)
    assert manifest(one, "root") is manifest(two, "root")
    assert manifest(one, "own") is not manifest(two, "own")
    (yard.folder / "own/2").chmod(0o700)
    assert plan_fleet(fleet).shares == ()


def test_a_plan_is_made_again_only_where_something_of_the_row_changed(
    yard: Yard, planned: list[str]
) -> None:
    for serial in "1234":
        yard.write(f"own/{serial}/x", serial)
    contents = '[[row.contents]]\nsource = "own/{serial}/"\ntarget = "/"\n'
    yard.rows(*"1234", more=contents)
    time.sleep(2 * GRAIN_NS / 1e9)  # what has just changed is not believed to stay
    fleet, planners = read_fleet(yard.fleet), Planners()
    plan_fleet(fleet, outdir=yard.out, outlines=planners.outlines)
    assert planned == ["node-1", "node-2", "node-3", "node-4"]

    (yard.folder / "own/2/x").write_text("longer")
    (yard.folder / "own/3/y").write_text("new")
    planned.clear()
    plans = [planners.plan(row, yard.out / row.name, force=False) for row in fleet.rows]
    assert planned == ["node-2", "node-3"]
    assert [plan.settings.name for plan in plans] == [row.name for row in fleet.rows]
    assert any(entry.path == b"y" for entry in manifest(plans[2], "root"))
    # A kept plan serves once, and only who asks for the same.
    planned.clear()
    planners.plan(fleet.rows[0], yard.out / "node-1", force=False)
    plan_fleet(fleet, outdir=yard.out, outlines=planners.outlines)
    planners.plan(fleet.rows[0], yard.out / "node-1", force=True)
    planners.forget()
    planners.plan(fleet.rows[1], yard.out / "node-2", force=False)
    assert planned == ["node-1", *(row.name for row in fleet.rows), "node-1", "node-2"]


def test_planning_ends_between_rows_whose_sources_are_known(yard: Yard) -> None:
    yard.rows("1", "2", "3")
    planned: list[int] = []

    with pytest.raises(ScanCancelled):
        plan_fleet(
            read_fleet(yard.fleet),
            progress=lambda done, total: planned.append(done),
            cancelled=lambda: len(planned) > 1,
        )

    assert planned == [0, 1]
    with pytest.raises(ScanCancelled):
        prepare(read_fleet(yard.fleet), yard.out, cancelled=lambda: True)


def test_what_is_wrong_names_its_rows_and_its_place(yard: Yard) -> None:
    yard.write("tree/big", "x" * (3 << 20))
    yard.write("a.csv", "serial,size.disk\n1,\n2,1\n3,1\n")
    yard.write("fleet.toml", 'base = "base.toml"\nname = "n{serial}"\nrows = "a.csv"\n')
    plan = plan_fleet(read_fleet(yard.fleet))

    files = {one.problem.file: one.rows for one in plan.errors}
    assert files == {f"{yard.folder}/a.csv:3": ("n2",), f"{yard.folder}/a.csv:4": ("n3",)}
    table = [line.split() for line in to_text(plan).splitlines()]
    counts = {line[1]: line[-1] for line in table if len(line) > 2 and line[1][:1] == "n"}
    assert counts["n1"] == "-"
    assert int(counts["n2"]) == int(counts["n3"]) > 0
    told = [one for one in to_json(plan)["problems"] if one["severity"] == "error"]
    assert [one["images"] for one in told] == [["n2"], ["n3"]]


def test_the_verb_prints_the_table_and_json_and_writes_nothing(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    yard.rows("1", "2")
    before = sorted(yard.folder.rglob("*"))
    assert main(["plan", str(yard.fleet)]) == 0
    assert "node-2" in capsys.readouterr().out
    assert main(["plan", str(yard.fleet), "--json", "--set", f"identity.seed={SEED}"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert [row["image"] for row in answer["rows"]] == ["node-1", "node-2"]
    assert answer["rows"][1]["volumes"][0]["shared_with"] == "node-1"
    assert sorted(yard.folder.rglob("*")) == before


def test_nonsense_ends_with_2_and_json_all_the_same(
    yard: Yard, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(yard.folder)
    yard.write("broken.toml", "base = \n[[row]]\n")
    yard.write("other.toml", 'base = "no.toml"\n[[row]]\n')

    for name, code in (("broken.toml", "toml-syntax"), ("other.toml", "spec-not-found")):
        assert main(["plan", name, "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["problems"][0]["code"] == code
    for words in (["plan", "other.toml"], ["fleet", "other.toml", "-o", "out"]):
        assert main(words) == 2
        assert "no.toml: there is no such file" in capsys.readouterr().err
    assert main(["build", "other.toml", "-o", "out"]) == 2
    assert "diskwright fleet other.toml" in capsys.readouterr().err
    assert not yard.out.exists()
