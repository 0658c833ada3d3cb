"""Every layout and format, built for real and read back with tools that are not ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from engine.events import (
    AnyEvent,
    Artifact,
    BuildFinished,
    BuildStarted,
    Log,
    StepFinished,
    StepStarted,
    decode,
    encode,
)
from engine.image.container import BadImage, open_disk
from engine.pipeline.build import build
from engine.spec.formats import FORMATS
from tests.support import ext
from tests.support.specs import plan_of, write_spec
from tests.support.tools import run_tool

LAYOUTS = ("none", "legacy", "legacy+gpt", "efi", "hybrid")


def output(*argv: str | Path, cwd: Path | None = None, **env: str) -> str:
    done = run_tool(argv, env=env, check=True, capture_output=True, text=True, cwd=cwd)
    return str(done.stdout)


async def built(spec: Path, outdir: Path, *overrides: str) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    result = await build(plan_of(spec, overrides), events.append, outdir=outdir)
    assert result.status == "ok", result.message
    return events


@pytest.mark.parametrize("compat", ["none", "make-disk-image"])
@pytest.mark.parametrize("table", LAYOUTS)
async def test_the_image_is_what_the_plan_says(tmp_path: Path, table: str, compat: str) -> None:
    spec = write_spec(tmp_path)
    sizes = ("size.boot=40M", "size.additional=16M")
    overrides = (f"layout.table={table}", f"compat={compat}", *sizes)
    plan = plan_of(spec, overrides)

    await built(spec, tmp_path / "out", *overrides)

    image = tmp_path / "out" / plan.outputs[0]
    assert image.stat().st_size == plan.disk.bytes
    if plan.disk.table != "none":
        seen = json.loads(output("sfdisk", "--json", image))["partitiontable"]
        assert seen["id"].lower() == (plan.disk.guid or plan.disk.signature or "").lower()
        rows = [
            (p["start"], p["size"], p["type"].upper(), p.get("uuid"), p.get("name"))
            for p in sorted(seen["partitions"], key=lambda p: str(p["node"]))
        ]
        assert rows == [
            (p.start, p.sectors, p.type.upper().removeprefix("0X"), p.guid, p.name)
            for p in plan.partitions
        ]
    target = ext.place(image, plan.offset("root"))
    header = ext.superblock(image, plan.offset("root"))
    assert header["Filesystem UUID"] == plan.root.uuid.lower()
    assert int(header["Block count"]) == plan.root.blocks
    assert int(header["Free blocks"]) == plan.root.free_bytes // 4096
    assert output("debugfs", "-R", "cat /etc/same", target) == "hello\n"
    assert 'Fast link dest: "motd"' in output("debugfs", "-R", "stat /etc/link", target)
    output("e2fsck", "-fn", target)


async def test_a_large_file_that_is_not_broken_leaves_more_free_than_planned(
    tmp_path: Path,
) -> None:
    spec = write_spec(tmp_path)
    with (tmp_path / "tree" / "large").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 120 << 20)
    planned = plan_of(spec).root.free_bytes // 4096

    events = await built(spec, tmp_path / "out")

    image = tmp_path / "out" / "demo.img"
    free = int(ext.superblock(image, plan_of(spec).offset("root"))["Free blocks"])
    assert free > planned
    note = f"read back: the root file system's figures are as planned, {free - planned} more"
    assert any(isinstance(event, Log) and event.text.startswith(note) for event in events)


async def test_the_esp_holds_what_the_spec_puts_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write_spec(tmp_path, esp=True)
    plan = plan_of(spec)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("MTOOLS_SKIP_CHECK", "1")

    await built(spec, tmp_path / "out")

    drive = f"{tmp_path}/out/demo.img@@{plan.offset('esp')}"
    for name in ("EFI/BOOT/BOOTX64.EFI", "A long name, ünïcode.conf"):
        copy = tmp_path / "copy"
        output("mcopy", "-n", "-o", "-i", drive, f"::/{name}", copy)
        assert copy.read_bytes() == (tmp_path / "esp" / name).read_bytes()


@pytest.mark.parametrize("key", FORMATS)
async def test_each_format_twice_gives_the_same_bytes(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, format_ = write_spec(tmp_path, esp=True), FORMATS[key]
    size = f"size.disk={max(format_.size.multiple, 96 << 20)}B"
    overrides = (f"output.format={key}", size)
    odd = tmp_path / "with ? @@ : odd"
    await built(spec, tmp_path / "one", *overrides)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    await built(spec, odd, *overrides)
    await built(spec, tmp_path / "raw", size)

    one, two = (folder / f"demo.{format_.extension}" for folder in (tmp_path / "one", odd))

    assert output("sha256sum", one).split()[0] == output("sha256sum", two).split()[0]
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {one.name, "manifest.json", "SHA256SUMS", "build.jsonl"}
    output("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=tmp_path / "one")
    disk, driver = one, format_.driver
    if not format_.readable:
        disk, driver = taken_out(one, tmp_path / "unpacked"), "raw"
    info = json.loads(output("qemu-img", "info", "--output=json", "-f", driver, disk))
    assert info["virtual-size"] == plan_of(spec, overrides).disk.bytes
    if format_.driver not in {"raw", "vpc"} and not format_.wrap:
        output("qemu-img", "check", "-f", format_.driver, one)
    formats = ("-f", "raw", "-F", driver)
    output("qemu-img", "compare", *formats, tmp_path / "raw" / "demo.img", disk)


def taken_out(image: Path, folder: Path) -> Path:
    """Returns the raw disk that the commands make which the refusal to read an image names."""
    folder.mkdir()
    copy = folder / image.name
    copy.hardlink_to(image)
    with pytest.raises(BadImage) as refused:
        open_disk(copy)
    for shown in re.findall("`([^`]+)`", str(refused.value)):
        subprocess.run(shown, shell=True, cwd=folder, check=True, capture_output=True)
    (disk,) = (folder / name for name in ("demo.img", "disk.raw") if (folder / name).exists())
    return disk


@pytest.mark.parametrize("layout", [("size.boot=260MiB",), ("layout.table=legacy",)])
async def test_sectors_of_4096_bytes(tmp_path: Path, layout: tuple[str, ...]) -> None:
    spec = write_spec(tmp_path)
    overrides = ("layout.sector_size=4096", *layout)
    plan = plan_of(spec, overrides)

    await built(spec, tmp_path / "out", *overrides)

    image = tmp_path / "out" / "demo.img"
    table = output("parted", "-sm", image, "unit", "s", "print", PARTED_SECTOR_SIZE="4096")
    rows = [line.split(":")[:4] for line in table.splitlines()[2:]]
    assert rows == [
        [str(p.number), f"{p.start}s", f"{p.start + p.sectors - 1}s", f"{p.sectors}s"]
        for p in plan.partitions
    ]


async def test_what_a_finished_build_leaves(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    out = tmp_path / "out"

    events = await built(spec, out)

    names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert names == ["SHA256SUMS", "build.jsonl", "demo.img", "manifest.json"]
    sum_ = output("sha256sum", out / "demo.img").split()[0]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["outputs"] == [
        {"path": "demo.img", "bytes": (out / "demo.img").stat().st_size, "sha256": sum_}
    ]
    assert manifest["tools"]["mke2fs"]
    assert [event.sha256 for event in events if isinstance(event, Artifact)] == [sum_]


async def test_products_are_written_where_nix_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("out", str(out))

    result = await build(plan_of(write_spec(tmp_path), outdir=out), lambda event: None, outdir=out)

    assert result.status == "ok"
    products = (out / "nix-support" / "hydra-build-products").read_text()
    assert products == f"file raw-image {out}/demo.img\n"


async def test_the_record_holds_the_events_in_order(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, esp=True)

    events = await built(spec, tmp_path / "out")

    lines = (tmp_path / "out" / "build.jsonl").read_bytes().splitlines()
    assert [encode(decode(line)) for line in lines] == [encode(event) for event in events]
    assert isinstance(events[0], BuildStarted)
    assert isinstance(events[-1], BuildFinished)
    assert [event.time for event in events] == sorted(event.time for event in events)
    planned = [step.id for step in plan_of(spec).steps]
    assert [event.id for event in events if isinstance(event, StepStarted)] == planned
    finished = [event for event in events if isinstance(event, StepFinished)]
    assert sorted(event.id for event in finished) == sorted(planned)
    assert {event.status for event in finished} == {"ok"}


async def test_a_hook_may_add_to_the_outputs(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    hook = (
        'test -s "$DISK_IMAGE" && mkdir -p "$OUT/nix-support" && echo note > "$OUT/note" && '
        'echo "doc none $OUT/note" >> "$OUT/nix-support/hydra-build-products"'
    )

    await built(spec, tmp_path / "out", f"hooks.after_build={hook}")

    assert (tmp_path / "out" / "note").read_text() == "note\n"
    products = (tmp_path / "out" / "nix-support" / "hydra-build-products").read_text()
    assert products.splitlines()[1] == f"doc none {tmp_path}/out/note"


async def test_force_replaces_and_leaves_other_files_alone(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    out = tmp_path / "out"
    await built(spec, out)
    (out / "mine").write_text("keep")
    (out / "demo.img").write_text("old")

    result = await build(plan_of(spec), lambda event: None, outdir=out, force=True)

    assert result.status == "ok"
    assert (out / "demo.img").stat().st_size > 1000
    assert (out / "mine").read_text() == "keep"
