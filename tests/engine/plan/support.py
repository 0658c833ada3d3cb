"""Makes settings, manifests and plans for the tests of planning."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict, Unpack

from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from engine.plan.host import Host, Volume
from engine.plan.model import Plan
from engine.plan.outdir import Occupied
from engine.plan.plan import make_plan
from engine.problem import Problem
from engine.spec.model import ImageSpec, Layout, Output, Size
from engine.spec.resolve import resolve
from engine.spec.settings import Settings
from engine.tools.extras import EFI
from engine.tools.installed import Installed
from engine.tools.table import TOOLS, Distribution

MIB = 1 << 20
TABLES = ("none", "legacy", "legacy+gpt", "efi", "hybrid")


def directory(path: bytes = b"") -> Entry:
    return Entry(path, stat.S_IFDIR | 0o755)


def file(path: bytes, size: int = 0, *, uid: int = 0, link_to: Entry | None = None) -> Entry:
    return Entry(path, stat.S_IFREG | 0o644, size=size, uid=uid, link_to=link_to)


def symlink(path: bytes, target: bytes) -> Entry:
    return Entry(path, stat.S_IFLNK | 0o777, size=len(target), target=target)


def manifest(entries: Iterable[Entry] = ()) -> Manifest:
    return Manifest(sorted((directory(), *entries), key=lambda entry: order(entry.path)))


@dataclass
class Contents:
    """What a scan gives."""

    root: Manifest = field(default_factory=manifest)
    esp: Manifest = field(default_factory=manifest)

    @property
    def volumes(self) -> dict[str, Manifest]:
        """By id, as a scan gives them."""
        return {"root": self.root, "esp": self.esp}


def old_version() -> tuple[int, ...]:
    """Says a version that is older than any that works."""
    return (0, 1)


def new_version() -> tuple[int, ...]:
    """Says a version that does everything."""
    return (99,)


def host(
    *,
    without: str = "",
    old: str = "",
    outdir: Path | None = None,
    volume: Volume | None = None,
    existing: Iterable[str] = (),
    force: bool = False,
    distribution: Distribution | None = "debian",
) -> Host:
    """A machine that has every tool, all new enough, but for those named."""
    tools = {
        name: Installed(f"/usr/bin/{name}", old_version if name == old else new_version)
        for name in (*TOOLS, EFI.program)
        if name != without
    }
    return Host(
        tools=tools,
        distribution=distribution,
        outdir=outdir,
        volume=volume,
        occupied=Occupied(ours=frozenset(existing)),
        force=force,
    )


def settings(
    table: str = "efi",
    *,
    compat: str = "none",
    disk: int | str | None = None,
    additional: str | None = None,
    boot: str | None = None,
    sector_size: int | None = None,
    output: str | None = None,
    filesystem: str | None = None,
) -> Settings:
    """Settings of a spec that has no problems of its own."""
    spec = ImageSpec(
        compat=compat,
        layout=Layout(table=table, sector_size=sector_size, filesystem=filesystem),
        size=Size(disk=disk, additional=additional, boot=boot),
        output=Output(format=output),
    )
    resolved, _ = resolve(spec, Path("/"), {})
    return resolved


class Sizes(TypedDict, total=False):
    disk: int
    additional: int
    additional_text: str
    inodes: int | None
    boot: int
    boot_text: str


def resized(wanted: Settings, **sizes: Unpack[Sizes]) -> Settings:
    """The same settings with other sizes."""
    return replace(wanted, size=replace(wanted.size, **sizes))


def plan(wanted: Settings, contents: Contents | None = None, machine: Host | None = None) -> Plan:
    return make_plan(wanted, (contents or Contents()).volumes, machine or host())


def codes(problems: Iterable[Problem]) -> list[str]:
    return [problem.code for problem in problems]
