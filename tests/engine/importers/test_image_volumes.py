"""Disks of many volumes imported: what is planned then is what the image has."""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from engine.cli.main import main
from engine.pipeline.build import build
from engine.plan.model import Plan
from engine.planning import plan_spec
from engine.problem import errors
from engine.spec.load import load, loads
from tests.support.specs import plan_of

MIB = 1 << 20
FORMATS = ("ext4", "ext2", "erofs", "swap", "none", "raw")
ROLES = ("data", "home", "srv", "var", "swap", "usr", "root")
FLAGS = ("read-only", "no-auto", "grow-file-system", "legacy-boot")


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Specs of up to seven volumes with names, identifiers, flags and types of their own."""
    table = draw(st.sampled_from(["gpt", "mbr"]))
    sector = draw(st.sampled_from([512, 4096])) if table == "gpt" else 512
    lines = [
        "schema = 1", 'name = "any"', f'layout.table = "{table}"',
        f"layout.sector_size = {sector}", 'layout.fstab = "keep"',
    ]  # fmt: skip
    if table == "mbr" and draw(st.booleans()):
        lines.append(f'identity.disk_signature = "0x{draw(st.integers(1, 2**32 - 1)):08x}"')
    if draw(st.booleans()):
        lines += [
            "[[volume]]", 'id = "blob"', 'role = "raw"', 'source = "blob"',
            f'offset = "{draw(st.sampled_from([32, 64, 512]))}KiB"',
        ]  # fmt: skip
    for number in range(draw(st.integers(1, 7))):
        format_ = draw(st.sampled_from(FORMATS))
        lines += ["[[volume]]", f'id = "v{number}"', f'role = "{draw(st.sampled_from(ROLES))}"']
        lines += [
            'mount = ""',
            f'size = "{draw(st.integers(1, 3)) if format_ != "swap" else 1}MiB"',
        ]
        raw = format_ in {"none", "raw"}
        lines.append(f'format = "{"none" if raw else format_}"')
        if format_ == "raw":
            lines.append('source = "blob"')
        if format_ in {"ext4", "ext2", "swap"} and draw(st.booleans()):
            lines.append(f'label = "label {number}"')
        if draw(st.booleans()):
            lines.append(f"flags = {draw(st.lists(st.sampled_from(FLAGS), unique=True))!r}")
        if table == "gpt" and draw(st.booleans()):
            lines.append(f'guid = "{uuid.UUID(int=draw(st.integers(1, 2**128 - 1)))}"')
            lines.append(f'name = "{draw(st.sampled_from(["A name", "ünï", "x" * 36]))}"')
        if draw(st.booleans()):
            gpt = ["3DF8F8B0-4464-4FE6-8DF4-2A5E2F6C4949", "E6D6D379-F507-44C2-A23C-238F2A3DF928"]
            types = gpt if table == "gpt" else ["0x07", "0x83", "0x8e", "0xda"]
            lines.append(f'type = "{draw(st.sampled_from(types))}"')
    return "\n".join([*lines, ""]).replace("'", '"')


def seen(plan: Plan) -> dict[str, Any]:
    """What a table says, and what file systems say of themselves."""
    return {
        "disk": plan.disk,
        "partitions": [
            (
                one.number, one.start, one.sectors, one.type, one.guid, one.name,
                sorted(one.attributes), one.flags if plan.disk.table == "mbr" else (),
                one.filesystem
                and (one.filesystem.type, one.filesystem.label, one.filesystem.uuid),
            )
            for one in plan.partitions
        ],
        "outside": [
            (one.start, one.bytes) for one in plan.volumes if not one.number
        ],
    }  # fmt: skip


@given(text=specs())
@examples(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_plan_of_an_imported_image_has_its_table_and_identifiers(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "blob").write_bytes(b"some bytes" * 700)
    theirs = plan_spec(loads(text), base=folder)
    assert not errors(theirs.problems), theirs.problems
    result = asyncio.run(build(theirs, lambda _event: None, outdir=folder / "out"))
    assert result.status == "ok", result.message
    like = folder / "like.toml"

    image = folder / "out" / "any.img"
    files = "raw" in text or "blob" in text
    assert main(["import", str(image), "-o", str(like), *(["--files"] if files else [])]) == 0

    ours = plan_of(like)
    assert not errors(ours.problems), ours.problems
    assert seen(ours) == seen(theirs)
    image.unlink()


def test_raw_bytes_come_along_and_are_the_same_in_the_image(tmp_path: Path) -> None:
    (tmp_path / "u-boot").write_bytes(b"\1" * 700 + bytes(40_000) + b"\2" * 600)
    (tmp_path / "vendor").write_bytes(b"no format that anybody knows" * 9000)
    (tmp_path / "any.toml").write_text(
        """schema = 1
name = "any"
layout.table = "gpt"
[[volume]]
id = "boot-loader"
role = "raw"
source = "u-boot"
offset = "32KiB"
[[volume]]
id = "vendor"
format = "none"
source = "vendor"
size = "1MiB"
[[volume]]
id = "root"
size = "4MiB"
"""
    )
    assert main(["build", str(tmp_path / "any.toml"), "-o", str(tmp_path / "out"), "--quiet"]) == 0
    image, like = tmp_path / "out" / "any.img", tmp_path / "like.toml"

    assert main(["import", str(image), "-o", str(like), "--files"]) == 0

    # Two pieces: so many zeros between them say nothing.
    assert {path.name for path in tmp_path.glob("any-*")} == {
        "any-raw-32768.img", "any-raw-73216.img", "any-root.tar", "any-vendor.img",
    }  # fmt: skip
    spec = load(like).spec
    assert [(one.id, one.source, one.offset) for one in spec.volume if one.source] == [
        ("raw-32768", "any-raw-32768.img", "32KiB"),
        ("raw-73216", "any-raw-73216.img", "73216B"),
        ("vendor", "any-vendor.img", None),
    ]
    assert main(["build", str(like), "-o", str(tmp_path / "again"), "--quiet"]) == 0
    before, after = image.read_bytes(), (tmp_path / "again" / "any.img").read_bytes()
    assert before[:1024] == after[:1024]
    assert before[17 * 1024 : 2 * MIB] == after[17 * 1024 : 2 * MIB]


def disk(path: Path, script: str, size: int = 64 * MIB) -> Path:
    """Makes a disk as another tool would."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run(["sfdisk", "--quiet", path], input=script, text=True, check=True)
    return path


def test_what_lies_elsewhere_or_is_numbered_otherwise_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = disk(
        tmp_path / "other.img",
        "label: gpt\n2: start=2048, size=2048, name=first\n1: start=9000, size=4095, name=second\n",
        8 * MIB,
    )

    assert main(["import", str(image)]) == 0

    said = capsys.readouterr()
    assert "the number of partition 2 is not carried over" in said.err
    assert "where partition 1 begins (sector 9000) is not carried over" in said.err
    assert "here it is 4096" in said.err
    spec = loads(said.out)
    assert [(one.id, one.size) for one in spec.volume] == [
        ("first", "1MiB"), ("second", "2096640B"),
    ]  # fmt: skip
    assert spec.size.disk == "8MiB"


def test_a_disk_that_is_too_small_at_whole_mib_becomes_larger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = disk(tmp_path / "full.img", "label: dos\nstart=63, size=16000, type=83\n", 8 * MIB)

    assert main(["import", str(image)]) == 0

    said = capsys.readouterr()
    assert "the size of the disk (8MiB) is not carried over" in said.err
    assert loads(said.out).size.disk is None


def test_an_attribute_without_a_name_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = disk(
        tmp_path / "x.img", 'label: gpt\nstart=2048, size=2048, attrs="RequiredPartition GUID:60"\n'
    )

    assert main(["import", str(image)]) == 0

    said = capsys.readouterr()
    assert "bit 0 of the attributes of partition 1 is not carried over" in said.err
    assert loads(said.out).volume[0].flags == ("read-only",)


@pytest.mark.parametrize(
    ("table", "more"),
    [
        ("hybrid", ""), ("legacy", ""), ("legacy+boot", ""),
        ("efi", '[[volume]]\nid = "esp"\nlabel = "OTHER"\n'),
        ("none", ""),
    ],
)  # fmt: skip
def test_an_image_of_a_preset_is_of_that_preset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, more: str
) -> None:
    text = f'schema = 1\nname = "x"\nlayout.table = "{table}"\n[size]\nadditional = "4MiB"\n'
    theirs = plan_spec(loads(f'{text}boot = "36MiB"\n{more}'), base=tmp_path)
    result = asyncio.run(build(theirs, lambda _event: None, outdir=tmp_path / "out"))
    assert result.status == "ok", result.message

    assert main(["import", str(tmp_path / "out" / "x.img")]) == 0

    spec = loads(capsys.readouterr().out)
    assert spec.layout.table == table
    assert seen(plan_spec(spec, base=tmp_path)) == seen(theirs)
