"""An image that grows with its disk: flag, definitions, fstab and inodes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.filesystems.ext4.format import EXT4
from engine.filesystems.ext4.geometry import default_inodes, geometry
from engine.filesystems.ext4.solve import dense
from engine.manifest.lookup import read
from engine.plan.model import Plan
from engine.planning import Planner
from engine.spec.edit import apply_fix
from engine.spec.load import loads
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve
from tests.support import ext
from tests.support.booting import build_spec
from tests.support.tools import run_tool

MIB, GIB = 1 << 20, 1 << 30
ROOT_TYPE = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
HEAD = """\
schema = 1
name = "grows"
[size]
additional = "4MiB"
boot = "40MiB"
grow_to = "60GiB"
[[contents]]
source = "tree"
target = "/"
"""
SLOTS = """\
schema = 1
name = "slots"
layout.table = "gpt"
[[volume]]
id = "a"
role = "root"
mount = "/"
[[volume]]
id = "b"
role = "root"
size = "8MiB"
[[volume]]
id = "data"
mount = "/srv"
flags = ["grow-file-system"]
[[contents]]
source = "tree"
target = "/"
"""


def planned(folder: Path, spec: ImageSpec, *files: str) -> Plan:
    for path in ("etc/hostname", *files):
        (folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / path).write_text("x")
    planner = Planner(folder, {})
    resolved = planner.resolve(spec)
    return planner.plan(resolved, planner.read(resolved.settings), force=True)


def definitions(plan: Plan) -> dict[str, str]:
    found = plan.root.manifest.under(b"etc/repart.d")
    return {entry.name.decode(): read(entry, entry.size).decode() for entry in found}


def test_the_root_grows_where_the_disk_shall(tmp_path: Path) -> None:
    plan = planned(tmp_path, loads(HEAD))
    assert plan.volume("root").attributes == ("grow-file-system",)
    assert plan.volume("esp").attributes == ()
    (name, text), *others = definitions(plan).items()
    assert others == []
    assert name == "002-root.conf"
    assert text.splitlines()[1:] == ["[Partition]", f"Type={ROOT_TYPE}", "GrowFileSystem=yes"]
    fstab = plan.root.manifest.get(b"etc/fstab")
    assert fstab is not None
    assert b" / ext4 defaults,x-systemd.growfs 0 1\n" in read(fstab, fstab.size)
    assert planned(tmp_path, loads(HEAD.replace("grow_to", "#"))).volume("root").attributes == ()


def test_a_volume_with_the_flag_grows_and_what_shares_its_type_does_not(tmp_path: Path) -> None:
    assert list(definitions(planned(tmp_path, loads(SLOTS)))) == ["003-data.conf"]
    last = SLOTS.replace('flags = ["grow-file-system"]', "").replace(
        'size = "8MiB"', 'size = "8MiB"\nafter = "data"\nflags = ["grow-file-system"]'
    )
    found = definitions(planned(tmp_path, loads(last)))
    assert ["Weight=0" in text for text in found.values()] == [True, False]
    assert list(found) == ["001-a.conf", "003-b.conf"]


@pytest.mark.parametrize("folder", ["etc/repart.d", "usr/lib/repart.d"])
def test_definitions_of_the_contents_stay_alone(tmp_path: Path, folder: str) -> None:
    found = definitions(planned(tmp_path, loads(HEAD), f"{folder}/10-mine.conf"))
    assert [name for name in found if name != "10-mine.conf"] == []


def test_an_mbr_has_no_definitions_but_inodes(tmp_path: Path) -> None:
    plan = planned(tmp_path, loads(HEAD + "[layout]\ntable = 'legacy'\n"))
    assert definitions(plan) == {}
    assert plan.root.inodes >= 8192


@pytest.mark.parametrize(
    ("spec", "code", "fixed"),
    [
        (HEAD + "[[volume]]\nid = 'home'\n", "grow-not-last", False),
        (HEAD + "[[volume]]\nid = 'home'\n[[volume]]\nid = 'root'\n", "grow-not-last", True),
        (HEAD.replace('boot = "40MiB"', 'disk = "61GiB"'), "grow-to-small", True),
        (HEAD + "[layout]\ntable = 'gpt'\n[[volume]]\nid = 'data'\n", "nothing-grows", True),
        (HEAD + "[[volume]]\nid = 'root'\nformat = 'erofs'\n", "grow-format", True),
        (HEAD + "[layout]\ntable = 'gpt'\n", "no-volumes", True),
        (HEAD.replace("schema = 1", "schema = 1\ncompat = 'make-disk-image'"), "compat-grow-to", 1),
        (HEAD.replace("60GiB", "much"), "bad-size", False),
    ],
)
def test_what_keeps_it_from_growing_is_said(spec: str, code: str, fixed: bool) -> None:
    authored = loads(spec)
    _, problems = resolve(authored, Path("/"), {})
    problem = next(one for one in problems if one.code == code)
    assert problem.severity == "error"
    if fixed:
        assert problem.fix is not None
        _, problems = resolve(apply_fix(authored, problem.fix), Path("/"), {})
        assert code not in [one.code for one in problems]


@given(st.integers(8 * MIB, 4 * GIB), st.integers(GIB, 1 << 44))
def test_inodes_are_enough_for_the_larger_file_system(size: int, grown: int) -> None:
    made = geometry(size, ext=EXT4, inodes=dense(size, grown))
    groups = -(-grown // (made.blocks_per_group * 4096))
    # mke2fs may drop what is left over for a last group.
    assert made.inodes_per_group * groups >= default_inodes(grown)
    assert dense(size, 0) == 0


def test_a_grown_file_system_has_the_inodes_of_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "tree/etc").mkdir(parents=True)
    (tmp_path / "spec.toml").write_text(HEAD + "[layout]\ntable = 'none'\n")
    built = build_spec(tmp_path / "spec.toml", tmp_path / "out")
    os.truncate(built.image, 60 * GIB)
    run_tool(["e2fsck", "-f", "-p", str(built.image)], check=True, capture_output=True)
    run_tool(["resize2fs", str(built.image)], check=True, capture_output=True)
    grown = ext.superblock(built.image)
    assert int(grown["Inode count"]) >= default_inodes(60 * GIB) == 60 * GIB // 16384
