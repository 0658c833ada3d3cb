"""A small system to build, what a build of it leaves behind, and what it must not."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.pipeline.build import BuildResult, build
from engine.plan.model import Plan
from tests.support.specs import plan_of, write_spec

MARK = "NIX_DISKWRIGHT_TEST"
"""A variable that tools inherit (see `engine.pipeline.environment`), to find them by."""

_KERNEL_MAGIC = (0x202, b"HdrS")  # Documentation/arch/x86/boot.rst
PLAIN = ("output.format=qcow2", "hooks.after_build=true")
LOADER = ("layout.table=hybrid", "boot.loader=grub", "boot.efi_variables=true")


@dataclass(slots=True)
class Scene:
    """Sources, a spec and an output folder, with a mark that every process of ours carries.

    Attributes:
        folder: Holds everything of the scene.
        overrides: Of the spec.
        good: SHA-256 by name of what an undisturbed build makes.
    """

    folder: Path
    overrides: tuple[str, ...]
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    good: dict[str, str] = field(default_factory=dict)
    spec: Path = field(init=False)
    _sources: str = field(init=False)

    def __post_init__(self) -> None:
        sources = self.folder / "sources"
        sources.mkdir(parents=True)
        self.spec = write_spec(sources, esp=True)
        _add_kernel(sources / "tree")
        # Where a loader has no file of its own.
        (sources / "esp" / "EFI" / "BOOT").rename(sources / "esp" / "EFI" / "TOOL")
        os.environ[MARK] = self.mark
        self._sources = _hash(sources)

    @property
    def outdir(self) -> Path:
        """Where builds go."""
        return self.folder / "out"

    @property
    def tree(self) -> Path:
        """The root file system's source."""
        return self.folder / "sources" / "tree"

    def plan(self) -> Plan:
        """Plans anew, as the command line does."""
        return plan_of(self.spec, self.overrides, outdir=self.outdir)

    def build(self) -> BuildResult:
        """Builds without a fault, and notes what it makes the first time.

        Raises:
            AssertionError: It fails, or makes something else than before.
        """
        result = asyncio.run(build(self.plan(), lambda event: None, outdir=self.outdir))
        assert result.status == "ok", f"an undisturbed build failed: {result.message}"
        sums = {artifact.path: artifact.sha256 for artifact in result.artifacts}
        assert self.good in ({}, sums), "an undisturbed build made other bytes"
        self.good = sums
        return result

    def faults(self, result: BuildResult | None) -> list[str]:
        """Returns what is not as it must be after a disturbed build (None: it was cancelled)."""
        wrong = []
        left = set(self.left())
        if result is not None and result.status == "ok":
            sums = {artifact.path: artifact.sha256 for artifact in result.artifacts}
            if sums != self.good:
                wrong.append("it says that all is well and made other bytes")
        elif left - {"build.jsonl"}:
            wrong.append(f"left behind: {sorted(left)}")
        if result is not None and result.status == "failed":
            message = result.message or ""
            if not message.strip() or "a fault of Diskwright" in message:
                wrong.append(f"no clear error: {message!r}")
        if _hash(self.folder / "sources") != self._sources:
            wrong.append("the sources are not what they were")
        if running := processes(self.mark):
            wrong.append(f"still running: {running}")
        if held := mounts(self.folder):
            wrong.append(f"still mounted: {held}")
        return wrong

    def left(self) -> list[str]:
        """Returns what is in the output folder, hidden or not."""
        if not self.outdir.exists():
            return []
        return sorted(str(path.relative_to(self.outdir)) for path in self.outdir.rglob("*"))


def _add_kernel(tree: Path) -> None:
    """Adds what a boot loader takes for a kernel and its initrd."""
    kernel = bytearray(4096)
    at, magic = _KERNEL_MAGIC
    kernel[at : at + len(magic)] = magic
    (tree / "boot").mkdir()
    (tree / "boot" / "vmlinuz-6.1.0").write_bytes(kernel)
    (tree / "boot" / "initrd.img-6.1.0").write_bytes(b"initrd" * 1000)


def _hash(folder: Path) -> str:
    """Returns a digest of names, metadata and contents below a folder, atimes aside."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        about = (os.fsencode(path), status.st_mode, status.st_size, status.st_mtime_ns)
        digest.update(repr(about).encode())
        if path.is_symlink():
            digest.update(os.fsencode(path.readlink()))
        elif path.is_file() and status.st_size < 1 << 20:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def processes(mark: str) -> list[str]:
    """Returns the command lines of processes, other than this one, that carry a mark."""
    found = []
    wanted = f"{MARK}={mark}".encode()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        if environ.parent.name == str(os.getpid()):
            continue
        try:
            if wanted in environ.read_bytes().split(b"\0"):
                command = (environ.parent / "cmdline").read_bytes()
                if command:  # a dead one that is not yet collected has none
                    found.append(command.replace(b"\0", b" ").decode(errors="replace").strip())
        except OSError:
            continue
    return found


def mounts(folder: Path) -> list[str]:
    """Returns mounts in a folder and loop devices on files in it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # another's, gone since
            lines.append(backing.read_text())
    return [line for line in lines if f"{folder}/" in line]


def tools_of(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Returns the tools that each step of a plan runs."""
    more: dict[str, Sequence[str]] = {"populate-esp": ("mmd", "mcopy"), "check-root": ("dumpe2fs",)}
    return {
        step.id: tuple(dict.fromkeys([*(a[0] for a in step.argv), *more.get(step.id, ())]))
        for step in plan.steps
    }
