"""`compat = "make-disk-image"` agrees with every case that was measured of the reference."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engine.manifest.scan import Scanned, scan
from engine.plan import parted
from engine.plan.model import Plan
from engine.plan.plan import make_plan
from engine.problem import errors
from engine.spec.model import Content, Identity, ImageSpec, Layout, Output, Size
from engine.spec.resolve import resolve
from tests.engine.plan.support import directory, file, host, manifest, symlink
from tests.reference import CASES, YOUNGER_CASES
from tests.reference.mktree import make_tree

MakeTree = Callable[[str, str], Scanned]
FITS_HERE = {
    # Sparse files and hard links take less from this writer than from the reference's copy.
    "hybrid/auto/boot=100M/add=0/big",
    "legacy+gpt/auto/boot=-/add=0/links",
    "none/auto/boot=-/add=0/links",
    # The reference appends its own unit to the text; here it is 10 GiB.
    "disk='10G'",
    # numfmt refuses the blank, which the spec's own grammar allows.
    "add=64 M/legacy",
}


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> MakeTree:
    base = tmp_path_factory.mktemp("trees")

    @cache
    def make(kind: str, seed: str) -> Scanned:
        folder = base / f"{kind}-{seed}"
        make_tree(kind, seed, folder)
        spec = ImageSpec(contents=(Content(source=str(folder), target="/"),))
        return scan(resolve(spec, base, {})[0])

    return make


def planned(case: dict[str, Any], scanned: Scanned) -> Plan:
    given = case["args"]
    spec = ImageSpec(
        compat="make-disk-image",
        layout=Layout(table=given["partitionTableType"], filesystem=given.get("fsType")),
        size=Size(
            disk=given.get("diskSize"),
            additional=given.get("additionalSpace"),
            boot=given.get("bootSize"),
        ),
        output=Output(format=given.get("format")),
        identity=Identity(root_partition_guid=given.get("rootGPUID")),
    )
    known = {"partitionTableType", "fsType", "diskSize", "additionalSpace", "bootSize", "format",
             "rootGPUID"}  # fmt: skip
    assert given.keys() <= known
    settings, problems = resolve(spec, Path("/"), {})
    return make_plan(settings, scanned.volumes, host(), problems)


@pytest.mark.parametrize("case", [c for c in CASES if c["ok"]], ids=lambda case: case["id"])
def test_agrees_where_the_reference_succeeds(case: dict[str, Any], trees: MakeTree) -> None:
    plan = planned(case, trees(case["tree"], case["tree_seed"]))

    assert errors(plan.problems) == ()
    assert case["disk"] == {
        "bytes": plan.disk.bytes,
        "guid": plan.disk.guid,
        "table": plan.disk.table,
    }
    assert case["partitions"] == [
        {
            "number": partition.number,
            "start": partition.start,
            "sectors": partition.sectors,
            "type": partition.type,
            "name": partition.name,
            "flags": list(partition.flags),
            "guid": partition.guid,
        }
        for partition in plan.partitions
    ]
    if "size" in case:
        figures = plan.reference
        assert figures is not None
        assert case["size"] == {name: getattr(figures, name) for name in case["size"]}
    if "root_filesystem" in case:
        measured = case["root_filesystem"]
        assert plan.root.blocks == measured["blocks_count"]
        assert plan.root.label == measured["label"]
        assert plan.root.uuid == measured["uuid"]


@pytest.mark.parametrize("case", [c for c in CASES if not c["ok"]], ids=lambda case: case["id"])
def test_refuses_where_the_reference_fails(case: dict[str, Any], trees: MakeTree) -> None:
    plan = planned(case, trees(case["tree"], case["tree_seed"]))
    assert bool(errors(plan.problems)) == (case["id"] not in FITS_HERE)


def test_usage_counts_as_find_and_du_do(tmp_path: Path) -> None:
    """The formula against the reference's own shell lines, on a tree of its corner cases."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "new\nline").mkdir()
    (root / "larger").write_bytes(b"x" * 4097)
    (root / "sparse").touch()
    with (root / "sparse").open("wb") as sparse:
        sparse.truncate(10_000_000)
    (root / "link").symlink_to("x" * 200)
    (root / "empty").touch()
    (root / "again").hardlink_to(root / "sparse")
    script = """
        usage=$(find . ! -type d -print0 | du --files0-from=- --apparent-size --block-size 4096 |
                cut -f1 | { sum=0; while read -r n; do sum=$((sum+n)); done; echo $sum; })
        inodes=$(find . | wc -l)
        echo $(( (usage + 2 * inodes) * 4096 ))
    """
    said = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    first = file(b"again", 10_000_000)
    ours = manifest(
        [
            directory(b"new\nline"),
            file(b"larger", 4097),
            first,
            file(b"sparse", 10_000_000, link_to=first),
            symlink(b"link", b"x" * 200),
            file(b"empty"),
        ]
    )
    assert parted.disk_usage(ours) == int(said.stdout)


@pytest.mark.parametrize("case", YOUNGER_CASES, ids=lambda case: case["id"])
def test_the_younger_reference_too(case: dict[str, Any]) -> None:
    spec = ImageSpec(
        compat="make-disk-image-25.11",
        layout=Layout(table=case["layout"]),
        size=Size(disk=case["diskSize"], boot=case["bootSize"]),
    )
    settings, problems = resolve(spec, Path("/"), {})
    made = make_plan(settings, {}, host(), problems)
    if not case["ok"]:
        assert "parted-refuses" in {problem.code for problem in errors(made.problems)}
        return
    assert made.disk.guid in {None, case["id_"]}
    assert [
        (one.number, one.start, one.sectors, one.type.removeprefix("0x"), one.guid, one.name)
        for one in made.partitions
    ] == [
        (seen["number"], seen["start"], seen["sectors"], seen["type"].zfill(2), seen["uuid"],
         seen["name"])
        for seen in case["partitions"]
    ]  # fmt: skip
    assert [("boot" in one.flags and one.guid is None) for one in made.partitions] == [
        seen["bootable"] for seen in case["partitions"]
    ]
