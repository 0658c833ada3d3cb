"""A small system to build, what a build of it leaves behind, and what it must not."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from engine.events import Emit
from engine.pipeline import shifting, takeover
from engine.pipeline.build import BuildResult, build
from engine.pipeline.reusing import steps_of
from engine.pipeline.steps import STEPS
from engine.plan.model import Plan
from tests.engine.boot.trees import X86_KERNEL
from tests.support.busybox import Kernel
from tests.support.nixos import make_lab
from tests.support.processes import fake
from tests.support.specs import plan_of, write_spec

MARK = "NIX_DISKWRIGHT_TEST"
"""A variable that tools inherit (see `engine.tools.environment`), to find them by."""

_RELEASE = "6.1.0"
_BUILTIN = ("virtio_pci", "virtio_blk", "virtio_console", "ext4")
_PACKAGES = "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a scene builds.

    Attributes:
        overrides: Of the spec.
        installed: Scripts that take the place of programs, by name: quick, and always the same.
        esp: Whether files of the spec's go to an ESP.
        system: Whether a NixOS system's own installer is to install its loader.
        again: Steps that do something else here than in the kinds before.
        update: Whether each build updates what one before it left.
        moves: Whether that had a smaller file, so that data moves in the image.
    """

    name: str
    overrides: tuple[str, ...]
    installed: Mapping[str, str] = field(default_factory=dict)
    esp: bool = True
    system: bool = False
    again: frozenset[str] = frozenset()
    update: bool = False
    moves: bool = False


PLAIN = Kind(name="plain", overrides=("output.format=qcow2", "hooks.after_build=true"))
LOADER = Kind(
    name="loader",
    overrides=("layout.table=hybrid", "boot.loader=grub", "boot.efi_variables=true"),
)
DELIVERY = Kind(
    name="delivery",
    overrides=(
        "layout.table=legacy+gpt", "boot.loader=grub", "boot.prove=true", "output.bmap=true",
        "output.compress=zst", 'output.sign=["signer"]',
    ),
    installed={
        "qemu-system-x86_64": 'echo "host login:"; exec sleep 100',
        "signer": 'sha256sum "$1" > "$1.sig"',
    },
    esp=False,
)  # fmt: skip
INSTALLER = Kind(
    name="installer",
    overrides=("layout.table=efi", "boot.loader=nixos"),
    esp=False,
    system=True,
)
GUEST = Kind(
    name="guest",
    overrides=("layout.table=legacy", "boot.loader=nixos"),
    # A sign of life for whoever asks whether KVM works, and the word of an installer that did.
    installed={"qemu-system-x86_64": "echo diskwright guest ready; echo 0 > status.part"},
    esp=False,
    system=True,
)
OTHERWISE = Kind(
    name="otherwise",
    overrides=(
        "layout.table=efi", "layout.sector_size=4096", "size.boot=260MiB", "output.format=vpc",
    ),
    # No sfdisk where sectors are large; identifiers of its own are written into a VHD.
    again=frozenset({"identifiers", "convert"}),
)  # fmt: skip
APPLIANCE = Kind(
    name="appliance",
    overrides=("layout.table=legacy", "output.format=ova"),
    esp=False,
    again=frozenset({"convert"}),  # the identity of a VMDK
)
CLOUD = Kind(
    name="cloud",
    overrides=("layout.table=legacy", "output.format=gce"),
    esp=False,
    again=frozenset({"wrap"}),  # of a raw disk, without a tool
)
HYPERVISOR = Kind(
    name="hypervisor",
    overrides=("layout.table=legacy", "output.format=vhdx"),
    esp=False,
    again=frozenset({"convert"}),
)
UPDATE = Kind(name="update", overrides=("layout.table=efi",), update=True)
MOVES = Kind(
    name="moves",
    overrides=("layout.table=efi",),
    update=True,
    moves=True,
    # What moves is not copied where the file system of the test can do without.
    again=frozenset({"take-over"}),
)
KINDS = (
    PLAIN, UPDATE, MOVES, LOADER, DELIVERY, INSTALLER, GUEST, OTHERWISE, APPLIANCE, CLOUD,
    HYPERVISOR,
)  # fmt: skip
"""Together they have every step that there is."""

THEIRS = {"notes.txt": "not ours", "disk.img.bak": "an older image", "SHA256SUMS.old": "sums"}
"""Files that are none of a build's outputs, as they may lie in an output folder."""

_OF_VOLUMES = frozenset({"make", "populate", "check"})
STEP_IDS = frozenset(STEPS.keys() - _OF_VOLUMES) | {
    f"{verb}-{volume}" for verb in _OF_VOLUMES for volume in ("root", "esp")
}
"""The ids of all steps, those of volumes for the two of the scenes."""


@dataclass(slots=True)
class Scene:
    """Sources, a spec and an output folder, with a mark that every process of ours carries.

    Attributes:
        folder: Holds everything of the scene.
        kind: What is built.
        good: Digest by name of what an undisturbed build makes.
        read: Sources that faults change.
        overrides: Of the spec.
        planted: Whether files of others are in the output folder.
        earlier: Digest by name of what the build left that is updated.
    """

    folder: Path
    kind: Kind
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    good: dict[str, tuple[str, str]] = field(default_factory=dict)
    spec: Path = field(init=False)
    read: list[Path] = field(init=False)
    overrides: tuple[str, ...] = field(init=False)
    planted: bool = False
    earlier: dict[str, str] = field(default_factory=dict)
    _environment: dict[str, str] = field(init=False)
    _sources: str = field(init=False)

    def __post_init__(self) -> None:
        sources = self.folder / "sources"
        for folder in (sources, self.fakes, self.installed, self.temporary):
            folder.mkdir(parents=True)
        self._environment = {
            MARK: self.mark, "TMPDIR": str(self.temporary),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }  # fmt: skip
        self.overrides = self.kind.overrides
        self.spec = write_spec(sources, esp=self.kind.esp)
        # Where a loader has no file of its own.
        (sources / "esp" / "EFI" / "BOOT").rename(sources / "esp" / "EFI" / "TOOL")
        if self.kind.moves:
            (self.tree / "hole").unlink()  # a file whose holes would have to be looked up
            (self.tree / "etc" / "motd").write_bytes(b"hello\n" * 2000)
        _add_kernel(self.tree)
        _add_packages(self.tree)
        self.read = [
            self.tree / "etc" / "motd", self.tree / "a b\n*", self.tree / "var/lib/dpkg/status",
            sources / "esp" / "EFI" / "TOOL" / "BOOTX64.EFI",
        ]  # fmt: skip
        if self.kind.system:
            self._add_system()
        for name, script in self.kind.installed.items():
            fake(self.installed, name, script)
        self._sources = self._hash()

    def _add_system(self) -> None:
        """Has the real nix build a system in a store of its own."""
        modules = self.folder / "modules"
        modules.mkdir()
        (modules / "modules.builtin").write_text("".join(f"{name}.ko\n" for name in _BUILTIN))
        kernel = Kernel(self.tree / "boot" / f"vmlinuz-{_RELEASE}", _RELEASE, modules, self.tree)
        lab = make_lab(self.folder / "lab", kernel)
        self._environment |= lab.environment
        system = lab.build("toplevel")
        self.read.append(lab.place(system) / "boot.json")
        self.overrides += (f"nix.system={system}", f"nix.store={lab.folder}")

    @property
    def fakes(self) -> Path:
        """Folder with the programs that fail."""
        return self.folder / "fakes"

    @property
    def installed(self) -> Path:
        """Folder with what takes the place of programs."""
        return self.folder / "installed"

    @property
    def temporary(self) -> Path:
        """Folder for files that nobody will miss."""
        return self.folder / "tmp"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Has builds look for programs here first, and leave their temporary files here."""
        path = f"{self.fakes}:{self.installed}:{os.environ['PATH']}"
        with (
            mock.patch.dict(os.environ, self._environment, PATH=path),
            mock.patch.object(tempfile, "tempdir", str(self.temporary)),
            # As where an image is large and blocks are not shared: changed in its place.
            mock.patch.object(takeover, "WORTH", 0),
            mock.patch.object(takeover, "cloned", return_value=False),
            mock.patch.object(shifting, "COST", 0),
        ):
            yield

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
        return plan_of(self.spec, self.overrides, outdir=self.outdir, update=self.kind.update)

    @property
    def steps(self) -> dict[str, tuple[str, ...]]:
        """The tools that each step runs, by its id."""
        more: dict[str, Sequence[str]] = {
            "check-root": ("debugfs",), "efi-variables": ("virt-fw-vars",),
        }  # fmt: skip
        return {
            step.id: tuple(dict.fromkeys([*(a[0] for a in step.argv), *more.get(step.id, ())]))
            for step in steps_of(self.plan(), update=self.kind.update)
        }

    def build(self) -> BuildResult:
        """Builds without a fault, and notes what it makes the first time.

        Raises:
            AssertionError: It fails, or makes something else than before.
        """
        result = asyncio.run(self.start(lambda event: None))
        assert result.status == "ok", f"an undisturbed build failed: {result.message}"
        sums = {artifact.path: artifact.digest for artifact in result.artifacts}
        assert self.good in ({}, sums), "an undisturbed build made other bytes"
        self.good = sums
        return result

    async def start(self, emit: Emit) -> BuildResult:
        """Builds what is planned anew."""
        plan = self.plan()
        return await build(plan, emit, outdir=self.outdir, update=self.kind.update)

    def prepare(self) -> None:
        """Leaves what an update finds: the build of a source that was another one."""
        if not self.kind.update:
            return
        source = self.read[0]
        now, times = source.read_bytes(), source.stat()
        source.write_bytes(now.upper() if not self.kind.moves else now[:1])
        result = asyncio.run(self.start(lambda event: None))
        assert result.status == "ok", f"the build to be updated failed: {result.message}"
        source.write_bytes(now)
        os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.earlier = self.outputs()

    def outputs(self) -> dict[str, str]:
        """Returns digests of all files that a build left, by name."""
        return {
            name: hashlib.sha256((self.outdir / name).read_bytes()).hexdigest()
            for name in self.left()
            if (self.outdir / name).is_file() and name != "build.jsonl"
        }

    def faults(self, result: BuildResult | None) -> list[str]:
        """Returns what is not as it must be after a disturbed build (None: it was cancelled)."""
        wrong = []
        left = set(self.left())
        if result is not None and result.status == "ok":
            sums = {artifact.path: artifact.digest for artifact in result.artifacts}
            if sums != self.good:
                wrong.append("it says that all is well and made other bytes")
        elif self.kind.update and self.planted:
            if self.outputs() != self.earlier:
                wrong.append("what was to be updated is not what it was")
        elif left - {"build.jsonl"}:
            wrong.append(f"left behind: {sorted(left)}")
        if result is not None and result.status == "failed":
            message = result.message or ""
            if not message.strip() or "a fault of Diskwright" in message:
                wrong.append(f"no clear error: {message!r}")
        if self.planted and (touched := self._touched()):
            wrong.append(f"files of others were touched: {touched}")
        if self._hash() != self._sources:
            wrong.append("the sources are not what they were")
        if files := sorted(path.name for path in self.temporary.iterdir()):
            wrong.append(f"temporary files: {files}")
        if running := processes(self.mark):
            wrong.append(f"still running: {running}")
        if held := mounts(self.folder):
            wrong.append(f"still mounted: {held}")
        return wrong

    def _hash(self) -> str:
        """Returns a digest of all sources; nix keeps books beside its store, which are none."""
        return _digest(self.folder / "sources") + _digest(self.folder / "lab/store/nix/store")

    def left(self) -> list[str]:
        """Returns what is in the output folder, hidden or not, but for the files of others."""
        if not self.outdir.exists():
            return []
        found = {str(path.relative_to(self.outdir)) for path in self.outdir.rglob("*")}
        return sorted(found - THEIRS.keys())

    def plant(self) -> None:
        """Puts files of others into the output folder; no build may touch them."""
        self.outdir.mkdir(exist_ok=True)
        for name, text in THEIRS.items():
            (self.outdir / name).write_text(text)
        self.planted = True

    def _touched(self) -> list[str]:
        """Returns which files of others are not what they were."""
        return [
            name
            for name, text in THEIRS.items()
            if not (self.outdir / name).is_file() or (self.outdir / name).read_text() != text
        ]


def _add_kernel(tree: Path) -> None:
    """Adds what a boot loader takes for a kernel and its initrd."""
    (tree / "boot").mkdir()
    (tree / "boot" / f"vmlinuz-{_RELEASE}").write_bytes(X86_KERNEL)
    (tree / "boot" / f"initrd.img-{_RELEASE}").write_bytes(b"initrd" * 1000)


def _add_packages(tree: Path) -> None:
    """Adds the database that dpkg keeps."""
    database = tree / "var" / "lib" / "dpkg" / "status"
    database.parent.mkdir(parents=True)
    database.write_text(_PACKAGES)


def _digest(folder: Path) -> str:
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


def all_end(mark: str) -> bool:
    """Whether those processes end soon: the kernel kills a tool when it learns of our death."""
    for _ in range(100):
        if not processes(mark):
            return True
        time.sleep(0.05)
    return False


def mounts(folder: Path) -> list[str]:
    """Returns mounts in a folder and loop devices on files in it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # another's, gone since
            lines.append(backing.read_text())
    return [line for line in lines if f"{folder}/" in line]
