"""A fleet as Nix: an attribute for each row, which Nix can read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.engine.fleet.conftest import Yard

NIXPKGS = """{
  path = ./nixpkgs;
  lib = { };
}
"""
MAKE = """{ pkgs, lib, name, label, contents, ... }: {
  inherit name label;
  targets = map (one: one.target) contents;
}
"""


def evaluated(yard: Yard, file: Path) -> dict[str, dict[str, object]]:
    """Has Nix call a make-disk-image that answers its arguments."""
    library = yard.folder / "nixpkgs/nixos/lib"
    library.mkdir(parents=True)
    (library / "make-disk-image.nix").write_text(MAKE)
    pkgs = yard.write("pkgs.nix", NIXPKGS)
    command = [
        "nix-instantiate", "--eval", "--strict", "--json", "--store", "dummy://",
        str(file), "--arg", "pkgs", f"import {pkgs}",
    ]  # fmt: skip
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, dict[str, object]] = json.loads(said.stdout)
    return found


def test_nix_reads_an_image_for_each_row(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    yard.write(
        "fleet.toml",
        'base = "base.toml"\nname = "node-{serial}"\n[[row]]\nserial = "1"\n'
        '[[row]]\nserial = "2 ${b}"\nlayout.label = "two"\n'
        '[[row.contents]]\nsource = "own/{serial}"\ntarget = "/own"\n',
    )
    (yard.folder / "own").mkdir()
    out = yard.folder / "fleet.nix"
    assert main(["export", str(yard.fleet), "-o", str(out)]) == 0
    told = capsys.readouterr().err
    made = evaluated(yard, out)

    assert set(made) == {"node-1", "node-2 ${b}"}
    assert made["node-1"]["name"] == "node-1"
    assert made["node-2 ${b}"]["label"] == "two"
    assert made["node-2 ${b}"]["targets"] == ["/", "/own"]
    assert "[2 rows, node-1 to node-2 ${b}]" in told
    assert main(["export", str(yard.fleet), "--format", "repart", "-o", str(out)]) == 2
    yard.write("fleet.toml", 'base = "base.toml"\n')
    assert main(["export", str(yard.fleet)]) == 2
