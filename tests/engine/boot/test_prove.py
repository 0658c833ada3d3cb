"""The proof as a step of the build, with a QEMU that does what the test says."""

from __future__ import annotations

import asyncio
import filecmp
import json
import os
from pathlib import Path

import pytest

from engine.events import AnyEvent, BuildFinished, Log
from engine.pipeline.build import BuildResult, build
from engine.plan.model import Plan
from engine.problem import errors
from tests.engine.boot.trees import X86_KERNEL
from tests.support.processes import alive, fake, written_pid
from tests.support.specs import plan_of

SPEC = """\
schema = 1
name = "p"
[layout]
table = "hybrid"
[size]
additional = "1MiB"
boot = "40MiB"
[boot]
loader = "grub"
prove = true
timeout = 20
[[contents]]
source = "root"
target = "/"
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    boot = tmp_path / "root" / "boot"
    boot.mkdir(parents=True)
    (boot / "vmlinuz-6.1").write_bytes(X86_KERNEL)
    (boot / "initrd.img-6.1").write_bytes(b"initrd")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    path = tmp_path / "p.toml"
    path.write_text(SPEC)
    return path


def qemu(spec: Path, script: str) -> None:
    fake(spec.parent / "bin", "qemu-system-x86_64", script)


def built(plan: Plan, outdir: Path) -> tuple[BuildResult, list[AnyEvent]]:
    events: list[AnyEvent] = []
    return asyncio.run(build(plan, events.append, outdir=outdir)), events


def test_each_firmware_of_the_layout_is_proved_and_recorded(spec: Path, tmp_path: Path) -> None:
    qemu(spec, 'echo "args $*"; echo "host login:"; exec sleep 60')
    out = tmp_path / "out"
    result, events = built(plan_of(spec, outdir=out), out)
    assert result.status == "ok", result
    proofs = json.loads((out / "manifest.json").read_text())["proofs"]
    assert [(p["firmware"], p["seen"], p["meaning"]) for p in proofs] == [
        ("bios", True, ""),
        ("uefi", True, ""),
    ]
    assert all("host login:" in proof["console"] for proof in proofs)
    assert "pflash" not in proofs[0]["console"]
    assert "pflash" in proofs[1]["console"]
    lines = [e.text for e in events if isinstance(e, Log) and e.id == "prove"]
    assert "host login:" in lines


def test_an_image_that_does_not_start_is_no_output(spec: Path, tmp_path: Path) -> None:
    qemu(spec, "echo 'Gave up waiting for root file system device.'; echo '(initramfs)'")
    out = tmp_path / "out"
    result, events = built(plan_of(spec, outdir=out), out)
    assert (result.status, result.step) == ("failed", "prove")
    assert result.message is not None
    assert "under BIOS the console did not show 'login:'" in result.message
    assert "did not find the root by its UUID" in result.message
    assert "  | (initramfs)" in result.message
    assert "boot.prove=false" in (result.hint or "")
    assert isinstance(events[-1], BuildFinished)
    assert sorted(path.name for path in out.iterdir()) == ["build.jsonl"]


def test_cancelling_a_proof_ends_the_machine(spec: Path, tmp_path: Path) -> None:
    qemu(spec, f"echo $$ >{tmp_path}/pid; exec sleep 60")
    out = tmp_path / "out"
    plan = plan_of(spec, outdir=out)

    async def cancelled() -> int:
        task = asyncio.ensure_future(build(plan, lambda _: None, outdir=out))
        pid = await written_pid(tmp_path / "pid")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pid

    assert not alive(asyncio.run(cancelled()))
    assert sorted(path.name for path in out.iterdir()) == ["build.jsonl"]


def test_the_plan_tells_how_the_image_starts(spec: Path) -> None:
    from engine.plan.as_json import to_json
    from engine.plan.as_text import to_text

    plan = plan_of(spec)
    boot = to_json(plan)["boot"]
    assert (boot["loader"], boot["firmware"]) == ("grub", ["bios", "uefi"])
    (entry,) = boot["menu"]
    assert entry == {
        "title": "Linux", "version": "6.1", "kernel": "/boot/vmlinuz-6.1",
        "initrds": ["/boot/initrd.img-6.1"], "found": "boot",
        "options": f"root=UUID={plan.root.uuid} rw console=ttyS0",
    }  # fmt: skip
    code = boot["boot_code"]
    assert code["start"] == 2048
    assert 0 < code["sectors"] <= code["available"] == 2048
    text = to_text(plan)
    assert "BIOS boots GRUB; UEFI boots GRUB\n" in text
    assert f"core.img: {code['sectors']} of 2048 sectors from 2048\n" in text
    other = to_text(plan_of(spec, ("boot.loader=uki",)))
    assert "BIOS boots GRUB; UEFI boots Unified kernel image\n" in other
    assert "1. Linux, 6.1" in text
    steps = [step.id for step in plan.steps]
    assert steps.index("loader-boot-code") < steps.index("check-root")
    assert steps.index("prove") < steps.index("checksum")


def test_boot_code_leaves_table_and_signature_alone(spec: Path, tmp_path: Path) -> None:
    words = ("boot.prove=false", "layout.table=legacy")
    with_loader, without = tmp_path / "with", tmp_path / "without"
    built(plan_of(spec, words, outdir=with_loader), with_loader)
    built(plan_of(spec, (*words, "boot.loader=none"), outdir=without), without)
    first = (with_loader / "p.img").read_bytes()[:512]
    other = (without / "p.img").read_bytes()[:512]
    assert first[0x1B8:0x1BE] == other[0x1B8:0x1BE]
    assert first[0x1FE:] == b"\x55\xaa"
    assert b"GRUB" in first
    assert b"GRUB" not in other


def test_compat_copies_the_firmwares_own_variables_where_there_is_no_esp(
    spec: Path, tmp_path: Path
) -> None:
    words = (
        "compat=make-disk-image", "layout.table=legacy+gpt", "boot.efi_variables=true",
        "boot.prove=false", 'size.additional="8M"',
    )  # fmt: skip
    out = tmp_path / "out"
    plan = plan_of(spec, words, outdir=out)
    result, _ = built(plan, out)
    assert result.status == "ok", result
    assert plan.boot.uefi is not None
    assert filecmp.cmp(out / "efi-vars.fd", plan.boot.uefi.variables, shallow=False)


def test_an_expectation_that_is_no_regular_expression_is_refused(spec: Path) -> None:
    (problem,) = errors(plan_of(spec, ('boot.expect="("',)).problems)
    assert (problem.severity, problem.path) == ("error", "boot.expect")
