"""Builds images of the busybox system and boots them, for tests."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.boot.firmware import FirmwareKind
from engine.events import AnyEvent
from engine.inspect.image import open_image
from engine.inspect.report import image_report
from engine.pipeline.build import build
from engine.pipeline.proof import Verdict, boot
from engine.plan.model import Plan
from engine.plan.steps import virtual_machine
from tests.support import ext
from tests.support.busybox import MARKER
from tests.support.specs import plan_of
from tests.support.tools import run_tool

LIMIT = 120

# Owners are the spec's: the tree belongs to whoever runs the tests.
SPEC = """\
schema = 1
name = "bb"
[size]
additional = "8MiB"
boot = "64MiB"
[boot]
cmdline = "console=ttyS0 panic=-1 quiet"
[[contents]]
source = "{root}"
target = "/"
exclude = ["etc/shadow", "home/alice"]
[[contents]]
source = "{root}/etc/shadow"
target = "/etc/shadow"
mode = "640"
user = "root"
group = "shadow"
[[contents]]
source = "{root}/home/alice"
target = "/home/alice"
user = "alice"
group = "users"
"""


def cache_folder() -> Path:
    """Where downloads of the tests stay from one run to the next."""
    folder = Path(tempfile.gettempdir(), f"diskwright-tests-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keeps other test processes from making the same thing at the same time."""
    with (cache_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Built:
    """A finished image and its plan."""

    plan: Plan
    image: Path
    outdir: Path


def build_image(root: Path, folder: Path, *overrides: str) -> Built:
    """Builds the busybox system; overrides are those of `--set`."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "bb.toml"
    spec.write_text(SPEC.format(root=root))
    return build_spec(spec, folder / "out", *overrides)


def build_spec(spec: Path, outdir: Path, *overrides: str) -> Built:
    """Builds a spec, which must succeed."""
    plan = plan_of(spec, overrides, outdir=outdir)
    events: list[AnyEvent] = []
    result = asyncio.run(build(plan, events.append, outdir=outdir))
    assert result.status == "ok", (result, events[-5:])
    return Built(plan, outdir / plan.outputs[0], outdir)


def boots(
    built: Built,
    firmware: FirmwareKind,
    *,
    expect: str = MARKER,
    variables: Path | None = None,
    limit: float = LIMIT,
    foretold: bool = True,
) -> Verdict:
    """Boots an image until its console shows `expect`, which it must, as `inspect` foretold."""
    uefi = built.plan.boot.uefi
    assert uefi is not None, "ovmf is not installed"
    started = virtual_machine(
        built.plan, firmware, image=str(built.image), accelerator="tcg",
        variables=str(variables or uefi.variables),
    )  # fmt: skip
    verdict = asyncio.run(boot(started, expect=expect, limit=limit, on_text=lambda _: None))
    assert verdict.seen, (verdict.meaning, verdict.last_lines(30))
    if variables is None and foretold:
        _check_foretold(built, firmware, verdict)
    return verdict


def _check_foretold(built: Built, firmware: FirmwareKind, verdict: Verdict) -> None:
    """Compares what started with what `inspect` reads off the image."""
    image = open_image(built.image)
    with image.disk:
        foretold = image_report(image)["boots"][firmware]
    assert foretold["starts"] == "yes", foretold
    assert foretold["entry"]["linux"]
    for cmdline in report(verdict).get("cmdline", ()):
        assert foretold["entry"]["options"] in cmdline


_KERNEL = re.compile(r"\[ *\d+\.\d{6}\] .*")
"""What the kernel says, with its time in front."""


def report(verdict: Verdict) -> dict[str, list[str]]:
    """Returns what the busybox system said of itself, by topic."""
    found: dict[str, list[str]] = {}
    # Firmware may leave the cursor in the middle of a line, and the kernel speaks at any time.
    for topic, text in re.findall(r"REPORT (\S+) (.*)", verdict.console):
        found.setdefault(topic, []).append(_KERNEL.sub("", text).strip())
    return found


def check_report(verdict: Verdict) -> dict[str, list[str]]:
    """Compares owners, modes and the mount with what the spec says; returns the report."""
    said = report(verdict)
    assert said["mount"] == ["ext4 rw,relatime"]
    assert said["stat"] == [
        "/etc/shadow 0:42 640",
        "/bin/busybox 0:0 755",
        "/home/alice 1000:100 700",
        "/tmp 0:0 1777",
        "/sbin/su 0:0 4755",
    ]
    assert said["machine-id"] == ["uninitialized"]
    return said


def check_tools(built: Built) -> None:
    """Asks independent tools whether table and file systems are clean."""
    plan = built.plan
    if plan.disk.table == "gpt" and plan.disk.sector_size == 512:
        verified = _output("sgdisk", "-v", built.image)
        assert "No problems found" in verified, verified
        assert "Warning" not in verified, verified
    _output("e2fsck", "-f", "-n", ext.place(built.image, plan.offset("root")))
    # It may grow with its disk, and no count of mounts or days stops a start for a check.
    header = ext.superblock(built.image, plan.offset("root"))
    assert "resize_inode" in header["Filesystem features"].split()
    assert header["Maximum mount count"] == "-1"
    assert header["Check interval"].startswith("0 ")
    if plan.has("esp"):
        esp = built.outdir / "esp.fat"
        partition = plan.volume("esp")
        with built.image.open("rb") as image, esp.open("wb") as copy:
            image.seek(plan.offset("esp"))
            copy.write(image.read(partition.bytes))
        _output("fsck.fat", "-n", esp)


def esp_drive(built: Built) -> str:
    """Returns the ESP as mtools names it."""
    return f"{built.image}@@{built.plan.offset('esp')}"


def _output(*argv: str | Path) -> str:
    done = run_tool(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return str(done.stdout)
