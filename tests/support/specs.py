"""Small specs and sources for tests that build whole images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from engine.plan.model import Plan
from engine.planning import plan_spec
from engine.spec.load import load

SPEC = """\
schema = 1
name = "demo"
[size]
additional = "8MiB"
boot = "33MiB"
[[contents]]
source = "tree"
target = "/"
"""

ESP = """\
[[contents]]
source = "esp"
target = "/"
partition = "esp"
"""


def write_spec(folder: Path, *, esp: bool = False) -> Path:
    """Makes a small tree with a link, a hole and odd names, and a spec that reads it."""
    tree = folder / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / ".hidden").mkdir()
    (tree / "etc" / "motd").write_text("hello\n")
    (tree / "etc" / "link").symlink_to("motd")
    os.link(tree / "etc" / "motd", tree / "etc" / "same")
    (tree / "a b\n*").write_bytes(bytes(range(256)) * 20)
    with (tree / "hole").open("wb") as hole:
        hole.truncate(1 << 30)
        hole.write(b"x")
    (folder / "esp" / "EFI" / "BOOT").mkdir(parents=True)
    (folder / "esp" / "EFI" / "BOOT" / "BOOTX64.EFI").write_bytes(b"MZ" * 50_000)
    (folder / "esp" / "A long name, ünïcode.conf").write_text("timeout 0\n")
    spec = folder / "demo.toml"
    spec.write_text(SPEC + (ESP if esp else ""))
    return spec


def plan_of(
    spec: Path,
    overrides: Sequence[str] = (),
    *,
    outdir: Path | None = None,
    force: bool = False,
    update: bool = False,
) -> Plan:
    """Returns the plan of a spec file."""
    loaded = load(spec, overrides)
    return plan_spec(loaded.spec, base=loaded.base, outdir=outdir, force=force, update=update)
