"""Disks of any volumes: what is planned is what independent readers find in the image."""

from __future__ import annotations

import filecmp
import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from engine.filesystems.ext4.format import FORMATS as EXT
from engine.pipeline.build import build
from engine.plan.model import Plan, VolumePlan
from engine.planning import Planner
from engine.problem import errors
from engine.spec.load import loads
from tests.support.tools import run_tool

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZES = st.sampled_from(
    ['size = "24MiB"', 'size = "37MiB"', 'free = "3MiB"', "grow = 1", 'grow = 3\nmin = "20MiB"']
)
FORMATS = st.sampled_from(
    ["ext4", "ext3", "ext2", "vfat", "erofs", "squashfs", "xfs", "btrfs", "swap", "raw", "empty"]
)


LEAST = {"xfs": "300MiB", "btrfs": "109MiB"}
"""Sizes of formats that are made empty."""


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Specs of up to ten volumes on one table."""
    table = draw(st.sampled_from(["gpt", "mbr", "efi", "legacy"]))
    sector = draw(st.sampled_from([512, 4096])) if table in {"gpt", "efi"} else 512
    lines = [
        "schema = 1", 'name = "any"', "identity.source_date_epoch = 1735689600",
        f'layout.table = "{table}"', f"layout.sector_size = {sector}", 'size.boot = "300MiB"',
        'size.disk = "1200MiB"', 'size.additional = "4MiB"',
    ]  # fmt: skip
    if table in {"gpt", "mbr"}:
        lines += ["[[volume]]", 'id = "root"', draw(SIZES)]
    for number in range(draw(st.integers(1, 8))):
        format_ = draw(FORMATS)
        lines += ["[[volume]]", f'id = "v{number}"', 'role = "data"']
        if format_ == "raw":
            lines += ['format = "none"', 'source = "blob"', 'size = "2MiB"']
        elif format_ == "empty":
            lines += ['format = "none"', 'size = "1MiB"']
        elif format_ == "vfat":
            size = "40MiB" if sector == 512 else "300MiB"
            lines += ['format = "vfat"', f'size = "{size}"', f'mount = "/m/v{number}"']
        elif format_ in LEAST:
            lines += [f'format = "{format_}"', f'size = "{LEAST[format_]}"']
            lines += [f'mount = "/empty/v{number}"']
        elif format_ == "swap":
            lines += ['format = "swap"', draw(SIZES)]
        else:
            lines += [f'format = "{format_}"', draw(SIZES), f'mount = "/m/v{number}"']
    if table in {"gpt", "efi"} and draw(st.booleans()):
        format_ = draw(st.sampled_from(["erofs", "squashfs", 'ext4"\nsize = "24MiB']))
        lines += ["[[volume]]", 'id = "usr"', f'format = "{format_}"']
        lines += ["[[volume]]", 'id = "usr-verity"', 'verity = "usr"']
    return "\n".join([*lines, "[[contents]]", 'source = "tree"', 'target = "/"', ""])


def folder(tmp_path: Path) -> Path:
    for number in range(8):
        below = tmp_path / "tree" / "m" / f"v{number}"
        below.mkdir(parents=True)
        (below / "name").write_text(f"volume {number}\n")
        (below / "large").write_bytes(bytes([number]) * 300_000)
    (tmp_path / "tree" / "etc").mkdir()
    (tmp_path / "tree" / "etc" / "hostname").write_text("any\n")
    (tmp_path / "blob").write_bytes(bytes(range(256)) * 5000)
    return tmp_path


def planned(base: Path, text: str) -> Plan:
    planner = Planner(base, {})
    resolved = planner.resolve(loads(text))
    return planner.plan(resolved, planner.read(resolved.settings), force=True)


async def built(plan: Plan, outdir: Path) -> Path:
    result = await build(plan, lambda event: None, outdir=outdir)
    assert result.status == "ok", result.message
    return outdir / plan.outputs[0]


def table_of(image: Path) -> list[dict[str, Any]]:
    told: subprocess.CompletedProcess[str] = run_tool(
        ("sfdisk", "--json", image), capture_output=True, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(told.stdout)["partitiontable"].get("partitions", [])
    return [one for one in found if one["type"] not in {"5", "f"}]


def part(image: Path, plan: Plan, volume: VolumePlan, to: Path) -> Path:
    """Copies a volume out of an image."""
    at, size = volume.start * plan.disk.sector_size, volume.bytes
    command = ["dd", f"if={image}", f"of={to}", "bs=1M", f"skip={at}", f"count={size}",
               "iflag=skip_bytes,count_bytes,fullblock", "conv=sparse", "status=none"]  # fmt: skip
    run_tool(command, check=True)
    with to.open("r+b") as file:  # a hole at the end is not written
        file.truncate(size)
    return to


def check(image: Path, plan: Plan, scratch: Path) -> None:
    """Has every volume checked and read by its own programs."""
    assert sum(share.bytes for share in plan.breakdown) == plan.disk.bytes == image.stat().st_size
    if plan.disk.sector_size == 512:
        seen = [(one["start"], one["size"]) for one in table_of(image)]
        assert seen == [(one.start, one.sectors) for one in plan.partitions]
    for volume in plan.volumes:
        if volume.filesystem is None:
            continue
        alone = part(image, plan, volume, scratch)
        if volume.filesystem.type in EXT:
            run_tool(("e2fsck", "-fn", alone), capture_output=True, check=True)
        elif volume.filesystem.type == "vfat":
            run_tool(("fsck.fat", "-n", alone), capture_output=True, check=True)
        elif volume.filesystem.type == "erofs":
            run_tool(("fsck.erofs", alone), capture_output=True, check=True)
        elif volume.filesystem.type == "xfs":
            run_tool(("xfs_repair", "-n", "-f", alone), capture_output=True, check=True)
        elif volume.filesystem.type == "btrfs":
            run_tool(("btrfs", "check", "--readonly", alone), capture_output=True, check=True)
        elif volume.filesystem.type == "squashfs":
            run_tool(("unsquashfs", "-lln", alone), capture_output=True, check=True)
        elif volume.filesystem.type == "swap":
            probe = ("blkid", "-p", "-o", "value", "-s", "UUID", alone)
            told = run_tool(probe, capture_output=True, check=True, text=True).stdout
            assert told.strip() == volume.filesystem.uuid
        if volume.mount and volume.mount.startswith("/m/"):
            number = volume.mount[-1]
            assert held(alone, volume.filesystem.type, "name") == f"volume {number}\n".encode()
            assert held(alone, volume.filesystem.type, "large") == bytes([int(number)]) * 300_000


def held(image: Path, type_: str, name: str) -> bytes:
    """Returns a file at the top of a file system, by a program that is not ours."""
    if type_ == "erofs":
        with TemporaryDirectory(dir=image.parent) as out:
            extract = ("fsck.erofs", f"--extract={out}", "--overwrite", image)
            run_tool(extract, capture_output=True, check=True)
            return Path(out, name).read_bytes()
    ext = ("debugfs", "-R", f"cat /{name}", image)
    fat = ("mtype", "-i", image, f"::/{name}")
    squashfs = ("rdsquashfs", "-c", name, image)
    command = ext if type_ in EXT else squashfs if type_ == "squashfs" else fat
    done: subprocess.CompletedProcess[bytes] = run_tool(command, capture_output=True, check=True)
    return done.stdout


def check_tree(outdir: Path, image: Path, plan: Plan) -> None:
    """Has veritysetup hold what is hashed against its tree."""
    recorded = json.loads((outdir / "manifest.json").read_text())["plan"]["partitions"]
    for tree in plan.hash_trees:
        told = next(one["verity"] for one in recorded if one["id"] == tree.id)
        alone = [
            part(image, plan, volume, outdir.with_name(f"alone-{volume.id}"))
            for volume in (plan.volume(tree.verity), tree)
        ]
        command = ("veritysetup", "verify", *alone, told["root_hash"])
        run_tool(command, capture_output=True, check=True)


async def _holds(spec: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = folder(tmp_path_factory.mktemp("any"))
    plan = planned(base, spec)
    assume(not errors(plan.problems))
    image = await built(plan, base / "out")
    check(image, plan, base / "part")
    check_tree(base / "out", image, plan)
    again = await built(plan, base / "again")
    assert filecmp.cmp(image, again, shallow=False)
    for each in (image, again):
        each.unlink()


_QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]


@given(spec=specs())
@examples(max_examples=3, suppress_health_check=_QUIET)
async def test_any_volumes(spec: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    await _holds(spec, tmp_path_factory)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@given(spec=specs())
@examples(max_examples=30, suppress_health_check=_QUIET)
async def test_many_more_volumes(spec: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    await _holds(spec, tmp_path_factory)


async def test_the_board_has_its_loader_at_8_kib(tmp_path: Path) -> None:
    plan = planned(EXAMPLES, (EXAMPLES / "board.toml").read_text())
    image = await built(plan, tmp_path / "out")
    blob = (EXAMPLES / "board" / "u-boot.img").read_bytes()
    assert image.read_bytes()[8192 : 8192 + len(blob)] == blob
    check(image, plan, tmp_path / "part")
    assert [one["type"] for one in table_of(image)] == ["c", "83"]


async def test_the_pair_has_one_root_filled_and_one_empty(tmp_path: Path) -> None:
    plan = planned(EXAMPLES, (EXAMPLES / "ab.toml").read_text())
    image = await built(plan, tmp_path / "out")
    check(image, plan, tmp_path / "part")
    first, second = plan.volume("root-a").filesystem, plan.volume("root-b").filesystem
    assert first is not None
    assert second is not None
    assert first.manifest.get(b"etc/fstab") is not None
    assert len(second.manifest) == 1


def test_more_than_a_table_holds_is_refused(tmp_path: Path) -> None:
    many = "".join(f'[[volume]]\nid = "v{n}"\nsize = "1MiB"\nformat = "none"\n' for n in range(129))
    plan = planned(tmp_path, f'schema = 1\nlayout.table = "gpt"\n{many}')
    assert [one.code for one in errors(plan.problems)] == ["too-many-partitions"]


def test_a_blob_that_meets_a_volume_is_refused_with_figures(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(bytes(2 << 20))
    spec = (
        'schema = 1\nlayout.table = "legacy"\nsize.disk = "64MiB"\n[[volume]]\nid = "u-boot"\n'
        'role = "raw"\nsource = "blob"\noffset = "32MiB"\n'
    )
    (problem,) = errors(planned(tmp_path, spec).problems)
    assert (problem.code, problem.path) == ("raw-overlap", "volume[0].offset")
    assert "u-boot takes bytes 33554432 to 35651583" in problem.message


BOARD = """
schema = 1
layout.table = "{table}"
[[volume]]
id = "idb"
role = "raw"
source = "idb"
offset = "32KiB"
[[volume]]
id = "u-boot"
role = "raw"
source = "u-boot"
offset = "8MiB"
[[volume]]
id = "env"
role = "raw"
offset = "10MiB"
size = "64KiB"
[[volume]]
id = "boot"
format = "vfat"
role = "data"
size = "40MiB"
[[volume]]
id = "root"
"""


@pytest.mark.parametrize("table", ["gpt", "mbr"])
async def test_partitions_begin_behind_what_a_board_reads(tmp_path: Path, table: str) -> None:
    """Rockchip's boards have a second loader at 8 MiB, and often room for its settings."""
    blobs = {"idb": b"first" * 40_000, "u-boot": b"next" * 200_000}
    for name, data in blobs.items():
        (tmp_path / name).write_bytes(data)
    plan = planned(tmp_path, BOARD.format(table=table))
    image = await built(plan, tmp_path / "out")
    check(image, plan, tmp_path / "part")
    data = image.read_bytes()
    assert data[32 << 10 :].startswith(blobs["idb"])
    assert data[8 << 20 :].startswith(blobs["u-boot"])
    assert not any(data[10 << 20 : 11 << 20])
    told = run_tool(("sfdisk", "--json", image), capture_output=True, check=True, text=True).stdout
    first, second = json.loads(told)["partitiontable"]["partitions"]
    assert first["start"] == 11 << 11
    assert second["start"] == 51 << 11
    assert sum(size for _, size in breakdown(plan)) == len(data)


def breakdown(plan: Plan) -> list[tuple[str, int]]:
    return [(part.key, part.bytes) for part in plan.breakdown]
