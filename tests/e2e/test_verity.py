"""Disks with hash trees: veritysetup finds what was planned, and one changed bit."""

from __future__ import annotations

import asyncio
import base64
import filecmp
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.boot.roothash import placeholder
from engine.cli import exits
from engine.cli.main import main
from engine.filesystems.verity.tree import hash_tree_size
from engine.filesystems.verity.writer import write_tree
from engine.inspect.image import open_image
from engine.inspect.report import image_report
from engine.pipeline.build import build
from engine.pipeline.steps import verity
from engine.plan.model import Plan
from engine.planning import Planner
from engine.problem import errors
from engine.spec.load import loads
from engine.trust.verify import bad, verify
from tests.e2e.test_volumes import built, part, planned
from tests.support.tools import run_tool

SPEC = """
schema = 1
name = "sealed"
layout.table = "gpt"
size.boot = "40MiB"
identity.source_date_epoch = 1735689600
[[volume]]
id = "esp"
[[volume]]
id = "root"
format = "erofs"
[[volume]]
id = "root-verity"
verity = "root"
[[contents]]
source = "tree"
target = "/"
"""


def tree(base: Path, size: int = 300_000) -> Path:
    folder = base / "tree"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/hostname").write_text("sealed\n")
    (folder / "large").write_bytes(bytes(range(251)) * (size // 251))
    return base


def record(outdir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((outdir / "manifest.json").read_text())["plan"]
    return found


def root_hash(outdir: Path, name: str = "root-verity") -> str:
    (found,) = (one["verity"] for one in record(outdir)["partitions"] if one["id"] == name)
    return str(found["root_hash"])


def guids(image: Path) -> dict[str, str]:
    told = run_tool(("sfdisk", "--json", image), capture_output=True, check=True, text=True).stdout
    return {one["name"]: one["uuid"] for one in json.loads(told)["partitiontable"]["partitions"]}


def verified(image: Path, plan: Plan, found: str, scratch: Path) -> bool:
    """Whether veritysetup accepts data and tree of an image."""
    data = part(image, plan, plan.volume("root"), scratch / "data")
    hashes = part(image, plan, plan.volume("root-verity"), scratch / "hashes")
    command = ("veritysetup", "verify", data, hashes, found)
    done: subprocess.CompletedProcess[bytes] = run_tool(command, capture_output=True)
    return done.returncode == 0


@pytest.mark.parametrize("sector", [512, 4096])
async def test_a_root_and_its_tree_are_found_by_the_root_hash(tmp_path: Path, sector: int) -> None:
    spec = SPEC.replace('table = "gpt"', f'table = "gpt"\nlayout.sector_size = {sector}')
    if sector == 4096:
        spec = spec.replace('size.boot = "40MiB"', 'size.boot = "260MiB"')
    plan = planned(tree(tmp_path), spec)
    assert [one.code for one in plan.problems] == ["verity-without-loader"]
    assert [one.guid for one in plan.partitions][1:] == [None, None]
    image = await built(plan, tmp_path / "out")
    found = root_hash(tmp_path / "out")
    data, hashes = plan.volume("root"), plan.volume("root-verity")
    assert hashes.filesystem is not None
    assert hashes.filesystem.size == hash_tree_size(data.bytes)
    assert verified(image, plan, found, tmp_path)
    there = {one["id"]: one for one in record(tmp_path / "out")["partitions"]}
    assert there["root"]["guid"].replace("-", "").lower() == found[:32]
    assert there["root-verity"]["guid"].replace("-", "").lower() == found[-32:]
    if sector == 512:
        assert guids(image)["root"] == there["root"]["guid"]
        assert guids(image)["root-verity"] == there["root-verity"]["guid"]
    again = await built(planned(tmp_path, spec), tmp_path / "again")
    assert filecmp.cmp(image, again, shallow=False)


def test_a_boot_proves_nothing_of_a_changed_root_though_the_console_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With loglevel=3 a kernel says nothing of what dm-verity finds."""
    plan = planned(tree(tmp_path), SPEC)
    image = asyncio.run(built(plan, tmp_path / "out"))
    qemu = tmp_path / "bin/qemu-system-x86_64"
    qemu.parent.mkdir()
    qemu.write_text("#!/bin/sh\necho 'box login: '; exec sleep 60\n")
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", str(qemu.parent), prepend=os.pathsep)
    command = ["boot", str(image), "--firmware", "bios", "--expect", "login:"]
    assert main(command) == exits.DONE
    changed = bytearray(image.read_bytes())
    changed[plan.offset("root") + 100_000] ^= 1
    image.write_bytes(changed)
    assert main(command) == exits.NOT_SEEN
    told = capfd.readouterr().err
    assert "partition 2 is not what its hash tree was made of, though the console shows no" in told


async def test_one_bit_is_noticed(tmp_path: Path) -> None:
    plan = planned(tree(tmp_path), SPEC)
    image = await built(plan, tmp_path / "out")
    found = root_hash(tmp_path / "out")
    for name, at in (("root", 100_000), ("root-verity", 4096 + 40), ("root-verity", 8192 + 5)):
        changed = bytearray(image.read_bytes())
        changed[plan.offset(name) + at] ^= 1
        other = tmp_path / "changed.img"
        other.write_bytes(changed)
        assert not verified(other, plan, found, tmp_path)


async def test_what_is_hashed_twice_is_refused_by_the_builds_own_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that hashes something else does not get past veritysetup."""
    plan = planned(tree(tmp_path), SPEC)
    right = write_tree

    def wrong(image: Path, data_offset: int, *arguments: object) -> str:
        return right(image, data_offset - 4096, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(verity, "write_tree", wrong)
    result = await build(plan, lambda event: None, outdir=tmp_path / "out")
    assert (result.status, result.step) == ("failed", "check-root-verity")
    assert not list((tmp_path / "out").glob("*.img"))


async def test_two_trees_on_one_disk(tmp_path: Path) -> None:
    (tmp_path / "tree/usr/bin").mkdir(parents=True)
    (tmp_path / "tree/usr/bin/one").write_bytes(b"1" * 9000)
    spec = SPEC.replace(
        "[[contents]]",
        '[[volume]]\nid = "usr"\nformat = "ext4"\nsize = "24MiB"\n'
        '[[volume]]\nid = "usr-verity"\nverity = "usr"\n[[contents]]',
    )
    plan = planned(tree(tmp_path), spec)
    assert {one.code for one in plan.problems} == {"verity-without-loader", "verity-of-writable"}
    image = await built(plan, tmp_path / "out")
    hashes = {root_hash(tmp_path / "out"), root_hash(tmp_path / "out", "usr-verity")}
    assert len(hashes) == 2
    names = [one["id"] for one in record(tmp_path / "out")["steps"]]
    assert names.index("identifiers") > names.index("make-usr-verity") > names.index("make-usr")
    assert guids(image)["usr"].replace("-", "").lower() in {one[:32] for one in hashes}


def test_a_tree_that_has_no_room_says_how_much_it_takes(tmp_path: Path) -> None:
    spec = SPEC.replace('format = "erofs"', 'format = "erofs"\nsize = "400MiB"')
    spec = spec.replace('verity = "root"', 'verity = "root"\nsize = "1MiB"')
    (problem,) = errors(planned(tree(tmp_path), spec).problems)
    assert (problem.code, problem.path) == ("volume-too-small", "volume[2].size")
    assert f"({hash_tree_size(400 << 20):,} bytes)" in problem.message
    assert "the smallest hash tree of the root that works is 4MiB" in problem.hint
    assert problem.fix is not None
    assert problem.fix.edits == (("volume[2].size", "4MiB"),)


def test_a_hash_has_its_place_before_it_is_known(tmp_path: Path) -> None:
    assert len({len(placeholder(name)) for name in ("a", "root", "x" * 32)}) == 1
    assert len(placeholder("root")) == 64


def test_a_format_of_whole_sizes_leaves_what_is_hashed_alone(tmp_path: Path) -> None:
    """Rounding the disk up must not make the root larger than its tree is for."""
    plan = planned(
        tree(tmp_path), SPEC.replace("[[volume]]", '[output]\nformat = "gce"\n[[volume]]', 1)
    )
    assert not errors(plan.problems)
    assert plan.disk.bytes % (1 << 30) == 0
    data = plan.volume("root")
    inside = plan.volume("root-verity").filesystem
    assert inside is not None
    assert inside.size == hash_tree_size(data.bytes)


def test_is_planned_again_without_reading_again(tmp_path: Path) -> None:
    planner = Planner(tree(tmp_path), {})
    resolved = planner.resolve(loads(SPEC))
    sources = planner.read(resolved.settings)
    bigger = planner.resolve(
        loads(SPEC.replace('verity = "root"', 'verity = "root"\nsize = "4MiB"'))
    )
    assert planner.plan(bigger, sources, force=True).volume("root-verity").bytes == 4 << 20


def keys(folder: Path, kind: str = "rsa:2048") -> None:
    """Makes a key and a certificate of its own, good for a hundred years."""
    run_tool(
        ("openssl", "req", "-x509", "-newkey", *kind.split(), "-nodes", "-subj", "/CN=test",
         "-days", "36500", "-keyout", folder / "key.pem", "-out", folder / "crt.pem"),
        capture_output=True, check=True,
    )  # fmt: skip


SIGNED = SPEC.replace(
    "[[contents]]",
    '[[volume]]\nid = "root-verity-sig"\nverity = "root"\nkey = "key.pem"\n'
    'certificate = "crt.pem"\n[[contents]]',
)


async def test_a_root_hash_is_signed(tmp_path: Path) -> None:
    keys(tree(tmp_path))
    plan = planned(tmp_path, SIGNED)
    assert [one.code for one in plan.problems] == ["verity-without-loader"]
    image = await built(plan, tmp_path / "out")
    found = root_hash(tmp_path / "out")
    raw = part(image, plan, plan.volume("root-verity-sig"), tmp_path / "part").read_bytes()
    fields = json.loads(raw.rstrip(b"\0"))
    assert fields["rootHash"] == found
    told = run_tool(
        ("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", tmp_path / "crt.pem"),
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    digits = told.strip().partition("=")[2].replace(":", "").lower()
    assert fields["certificateFingerprint"] == digits
    (tmp_path / "signature").write_bytes(base64.b64decode(fields["signature"]))
    (tmp_path / "hash").write_text(found)
    command: list[str | Path]
    command = ["openssl", "smime", "-verify", "-binary", "-inform", "der", "-noverify", "-in",
               tmp_path / "signature", "-content", tmp_path / "hash", "-certfile",
               tmp_path / "crt.pem", "-nointern"]  # fmt: skip
    assert run_tool(command, capture_output=True).returncode == 0
    (tmp_path / "hash").write_text("0" + found[1:] if found[0] != "0" else "1" + found[1:])
    assert run_tool(command, capture_output=True).returncode != 0
    again = await built(planned(tmp_path, SIGNED), tmp_path / "again")
    assert filecmp.cmp(image, again, shallow=False)
    report = inspected(image)
    (seal,) = report["verity"]
    assert (seal["root_hash"], seal["intact"]) == (found, True)
    assert (seal["data"], seal["signed"]) == ("partition 2", "partition 4")
    assert not bad(verify(tmp_path / "out"))


async def test_a_key_that_does_not_go_with_its_certificate_fails_the_build(tmp_path: Path) -> None:
    keys(tree(tmp_path))
    (tmp_path / "crt.pem").rename(tmp_path / "other.pem")
    keys(tmp_path)
    plan = planned(tmp_path, SIGNED.replace("crt.pem", "other.pem"))
    result = await build(plan, lambda event: None, outdir=tmp_path / "out")
    assert (result.status, result.step) == ("failed", "make-root-verity-sig")
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["build.jsonl"]


def pem(kind: str, body: str) -> str:
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n"


@pytest.mark.parametrize(
    ("name", "text", "code", "severity"),
    [
        ("key.pem", "no key", "bad-signing-key", "error"),
        ("key.pem", pem("ENCRYPTED PRIVATE KEY", "AA=="), "bad-signing-key", "error"),
        ("crt.pem", pem("CERTIFICATE", "AAA"), "bad-signing-key", "error"),
        ("crt.pem", None, "source-missing", "error"),
        ("key.pem", "ec -pkeyopt ec_paramgen_curve:P-256", "signature-not-repeatable", "warning"),
    ],
)  # fmt: skip
def test_keys_are_looked_at_while_planning(
    tmp_path: Path, name: str, text: str | None, code: str, severity: str
) -> None:
    keys(tree(tmp_path), text if text and text.startswith("ec ") else "rsa:2048")
    if text is None:
        (tmp_path / name).unlink()
    elif not text.startswith("ec "):
        (tmp_path / name).write_text(text)
    found = planned(tmp_path, SIGNED).problems
    (problem,) = (one for one in found if one.code == code)
    key = "key" if name == "key.pem" else "certificate"
    assert (problem.path, problem.severity) == (f"volume[3].{key}", severity)
    assert len(errors(found)) == (severity == "error")


def inspected(image: Path) -> dict[str, Any]:
    opened = open_image(image)
    with opened.disk:
        return image_report(opened)


@pytest.mark.parametrize(
    ("name", "at", "told"),
    [
        ("root", 100_000, "block 24 of the data is damaged"),
        ("root-verity", 8192 + 5, "block 0 of level 0 of the tree is damaged"),
        ("root-verity", 4096 + 5, "the GUIDs of partition 3 and partition 2 are not those"),
    ],
)
async def test_inspect_and_verify_name_what_has_changed(
    tmp_path: Path, name: str, at: int, told: str
) -> None:
    plan = planned(tree(tmp_path, 1_200_000), SPEC)
    image = await built(plan, tmp_path / "out")
    assert inspected(image)["findings"] == []
    with image.open("r+b") as file:
        file.seek(plan.offset(name) + at)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 4]))
    report = inspected(image)
    (seal,) = report["verity"]
    assert seal["intact"] is False
    assert any(told in finding for finding in report["findings"]), report["findings"]
    (sums,) = (one for one in verify(tmp_path / "out") if one.what == "image against the plan")
    assert sums.verdict == "bad"
    assert "hash tree of root:" in sums.why
