"""What the machine has: tools, free space, what lies in the output folder.

The one place of planning that looks at the machine, and it only looks: it opens nothing for
writing and starts nothing but tools asked for their version.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.boot.firmware import Firmware, find_firmware
from engine.boot.qemu import BOARDS
from engine.plan.outdir import VACANT, Occupied, look, refusals, wants_products
from engine.plan.outputs import output_plan, writes
from engine.problem import Problem
from engine.spec.choices import SUMS
from engine.spec.settings import Settings
from engine.tools.distribution import distribution
from engine.tools.extras import EXTRAS, find_program
from engine.tools.installed import Installed, find, installed
from engine.tools.table import Distribution

_MOUNTS = Path("/proc/self/mounts")
_OCTAL = re.compile(rb"\\([0-7]{3})")
"""How blanks and backslashes are written there (fstab(5))."""

_ST_BLOCK = 512
"""Unit of st_blocks (stat(2))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """The file system that a folder is, or will be, on.

    Attributes:
        path: The folder, or the nearest one above it that exists.
        type: As /proc/self/mounts names it.
        free_bytes: For an ordinary user.
        usable: `path` is a folder that one may write to.
    """

    path: Path
    type: str
    free_bytes: int
    usable: bool = True

    @property
    def memory(self) -> bool:
        """Whether writing to it takes memory."""
        return self.type in {"tmpfs", "ramfs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine as planning sees it.

    Attributes:
        distribution: Which packages to name, or None if unknown.
        tools: By name, those of extras as well; a missing one is left out.
        outdir: Where the outputs will go, or None while that is not known.
        volume: What `outdir` is on, or None.
        occupied: What is in the way in `outdir`.
        refusals: Why `outdir` cannot be the output folder, whatever is in it.
        products: `outdir` is the output of the Nix derivation that is being built.
        force: Outputs that exist may be replaced.
        update: Those of an earlier build may be.
        held: Bytes of an earlier build's image in `outdir`, which an update may take over.
        firmware: UEFI firmware by architecture: the spec's own, or one that is installed.
    """

    distribution: Distribution | None = None
    tools: dict[str, Installed]
    outdir: Path | None = None
    volume: Volume | None = None
    occupied: Occupied = VACANT
    refusals: tuple[Problem, ...] = ()
    products: bool = False
    force: bool = False
    update: bool = False
    held: int = 0
    firmware: Mapping[str, Firmware] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine has, whatever is built where (`Host`)."""

    distribution: Distribution | None
    tools: dict[str, Installed]
    firmware: Mapping[str, Firmware]


def machine(settings: Settings) -> Machine:
    """Looks what is installed; the settings name more than the usual."""
    return Machine(distribution(), installed() | _extras() | _signer(settings), _firmware(settings))


def probe(
    settings: Settings,
    outdir: Path | None = None,
    *,
    force: bool = False,
    update: bool = False,
    known: Machine | None = None,
) -> Host:
    """Looks at the machine.

    Args:
        settings: Say which outputs to look for.
        outdir: The output folder, which need not exist.
        force: Outputs that exist may be replaced.
        update: Those of an earlier build may be.
        known: What is installed, from a look before.
    """
    has = known or machine(settings)
    return Host(
        distribution=has.distribution,
        tools=has.tools,
        outdir=outdir,
        volume=None if outdir is None else volume(outdir),
        occupied=VACANT if outdir is None else _occupied(settings, outdir),
        refusals=() if outdir is None else refusals(outdir, os.environ),
        products=outdir is not None and wants_products(outdir, os.environ),
        force=force,
        update=update,
        held=0 if outdir is None or not update else _held(outdir / output_plan(settings).disk),
        firmware=has.firmware,
    )


def _held(image: Path) -> int:
    """Returns the bytes that a file takes, 0 where there is none."""
    try:
        status = image.lstat()
    except OSError:
        return 0
    return status.st_blocks * _ST_BLOCK if stat.S_ISREG(status.st_mode) else 0


def _firmware(settings: Settings) -> dict[str, Firmware]:
    boot = settings.boot
    found = {
        name: find_firmware(boot.firmware, boot.firmware_variables, architecture=name)
        for name in BOARDS
    }
    return {name: one for name, one in found.items() if one is not None}


def _occupied(settings: Settings, outdir: Path) -> Occupied:
    """Returns what is in the way of every file that a build of these settings may make."""
    return look(outdir, writes(settings, sbom=settings.output.sbom, hydra=True, sums=SUMS))


def _extras() -> dict[str, Installed]:
    """Returns the programs of the extras that are there."""
    found = {extra.program: find_program(extra) for extra in EXTRAS if extra.program}
    return {name: Installed(path) for name, path in found.items() if path is not None}


def _signer(settings: Settings) -> dict[str, Installed]:
    """Returns the program that `output.sign` names, if it is there."""
    name = settings.output.sign[0] if settings.output.sign else ""
    path = find(name) if name else None
    return {} if path is None else {name: Installed(path)}


def volume(folder: Path) -> Volume:
    """Returns what a folder is on; for one that does not exist, what it would be made on."""
    there = folder.absolute()
    while not _exists(there) and there != there.parent:
        there = there.parent
    try:
        stats = os.statvfs(there)
    except OSError:  # a link that leads nowhere
        return Volume(path=there, type="", free_bytes=0, usable=False)
    return Volume(
        path=there,
        type=_filesystem_type(there),
        free_bytes=stats.f_bavail * stats.f_frsize,
        usable=there.is_dir() and os.access(there, os.W_OK | os.X_OK),
    )


def _exists(path: Path) -> bool:
    """Whether there is something at a path, as far as one may look."""
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _filesystem_type(folder: Path) -> str:
    """Returns the type of the mount that a folder lies under, or "" where that is not told."""
    best, kind = Path("/"), ""
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return ""
    where = folder.resolve()
    for line in lines:
        _, target, type_, *_ = line.split()
        mount = Path(os.fsdecode(_OCTAL.sub(lambda code: bytes([int(code[1], 8)]), target)))
        if where.is_relative_to(mount) and len(mount.parts) >= len(best.parts):
            best, kind = mount, type_.decode()
    return kind
