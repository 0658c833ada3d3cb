"""The commands of a plan, run with the real tools, make what the plan says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from engine.pipeline.tables import identify
from engine.plan.model import Plan
from engine.plan.steps import steps
from engine.tools.environment import tool_environment
from tests.engine.plan.support import TABLES, Contents, file, manifest, plan, settings
from tests.support.ext import superblock

ENVIRONMENT = tool_environment()
RUN = ("identifiers", "make-root", "check-root")


def carry_out(made: Plan, image: Path) -> None:
    """Allocates, partitions with sfdisk (the pipeline uses libparted) and runs the commands."""
    with image.open("wb") as opened:
        opened.truncate(made.disk.bytes)
    if made.disk.table != "none":
        label = {"gpt": "gpt", "mbr": "dos"}[made.disk.table]
        script = f"label: {label}\n" + ("first-lba: 34\n" if label == "gpt" else "")
        for partition in made.partitions:
            kind = partition.type if label == "gpt" else "83"
            script += f"{partition.number} : start={partition.start}, size={partition.sectors}, "
            script += f"type={kind}"
            script += f', name="{partition.name}"\n' if partition.name else "\n"
        subprocess.run(
            ("sfdisk", "--quiet", image), input=script, text=True, check=True, env=ENVIRONMENT
        )
        identify(image, made)
    for step in made.steps:
        for command in step.argv if step.id in RUN else ():
            words = [word.replace("$IMAGE", str(image)) for word in command]
            subprocess.run(words, check=True, env=ENVIRONMENT, capture_output=True)


@pytest.mark.parametrize("compat", ["none", "make-disk-image"])
@pytest.mark.parametrize("table", TABLES)
def test_tools_make_what_is_planned(table: str, compat: str, tmp_path: Path) -> None:
    made = plan(settings(table, compat=compat, disk=600))
    image = tmp_path / "image"
    carry_out(made, image)

    found = superblock(image, made.offset("root"))
    root = made.root
    assert int(found["Block count"]) == root.blocks
    assert int(found["Inode count"]) == root.inodes
    assert int(found["Free blocks"]) == root.layout.geometry.free_blocks
    assert int(found["Reserved block count"]) == root.layout.geometry.reserved_blocks
    assert found["Filesystem UUID"] == root.uuid
    assert found["Filesystem volume name"] == root.label
    if table == "none":
        return

    told = subprocess.run(("sfdisk", "--json", image), check=True, capture_output=True)
    seen = json.loads(told.stdout)["partitiontable"]
    assert seen["id"] == (made.disk.guid or made.disk.signature)
    for partition, its in zip(made.partitions, seen["partitions"], strict=True):
        assert (its["start"], its["size"]) == (partition.start, partition.sectors)
        assert its["type"] == partition.type.removeprefix("0x")
        assert its.get("uuid") == partition.guid


def test_steps_follow_the_plan() -> None:
    bare = [step.id for step in plan(settings("none")).steps]
    assert bare == [
        "allocate", "make-root", "populate-root", "check-root", "checksum", "record", "publish",
    ]  # fmt: skip
    esp = Contents(esp=manifest([file(b"A", 5)]))
    full = [step.id for step in plan(settings("hybrid", output="qcow2"), esp).steps]
    assert full == [
        "allocate", "table", "identifiers", "make-root", "populate-root", "make-esp",
        "populate-esp", "check-root", "check-esp", "convert", "checksum", "record",
        "publish",
    ]  # fmt: skip


def test_sfdisk_is_not_asked_about_a_table_it_cannot_read() -> None:
    made = plan(settings("efi", sector_size=4096, boot="260MiB"))
    by_id = {step.id: step for step in made.steps}
    assert by_id["identifiers"].argv == ()


def test_steps_are_the_plans() -> None:
    made = plan(settings("efi"))
    assert steps(made) == made.steps
