"""Calls of make-disk-image as people have them: in modules, flakes and packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.importers.table import import_file
from engine.problem import Refused
from engine.spec.model import ImageSpec, Output, Size

MODULE = """\
{ config, lib, pkgs, modulesPath, ... }: {
  fileSystems."/".device = "/dev/disk/by-label/nixos";
  %s
}
"""
CALL = 'import "${modulesPath}/../lib/make-disk-image.nix"'
ARGUMENTS = '{ inherit lib config pkgs; diskSize = 8192; format = "qcow2"; }'
SHAPES = {
    "module": MODULE % f"system.build.qcow = {CALL} {ARGUMENTS};",
    "forced": MODULE % f"system.build.image = lib.mkForce ({CALL} {ARGUMENTS});",
    "in-parentheses": "{ nixpkgs, pkgs, lib, config }: { img = "
    f'(import "${{nixpkgs}}/nixos/lib/make-disk-image.nix") {ARGUMENTS}; }}',
    "angle-brackets": f"import <nixpkgs/nixos/lib/make-disk-image.nix> {ARGUMENTS}",
    "joined-path": f'import (pkgs.path + "/nixos/lib/make-disk-image.nix") {ARGUMENTS}',
    "call-package": "{ pkgs, config, lib }: pkgs.callPackage "
    f'"${{pkgs.path}}/nixos/lib/make-disk-image.nix" {ARGUMENTS}',
    "function-by-name": "{ pkgs, ... }: let makeImage = import "
    f'"${{pkgs.path}}/nixos/lib/make-disk-image.nix"; in makeImage {ARGUMENTS}',
    "path-by-name": "{ pkgs, ... }: let file = "
    f'"${{pkgs.path}}/nixos/lib/make-disk-image.nix"; in import file {ARGUMENTS}',
    "arguments-by-name": f"{{ pkgs, lib, config }}: let args = {ARGUMENTS}; in {CALL} args",
    "merged": f'{{ pkgs, lib, config }}: let common = {{ format = "qcow2"; diskSize = 1; }}; in '
    f"{CALL} (common // {{ inherit pkgs lib config; diskSize = 4096 * 2; }})",
    "defaults": '{ pkgs, lib, config, size ? 8192, format ? "qcow2" }: '
    f"{CALL} {{ inherit pkgs lib config format; diskSize = size; }}",
    "let": '{ pkgs, lib, config }: let gib = 1024; kind = "qcow"; in '
    f'{CALL} {{ inherit pkgs lib config; diskSize = 8 * gib; format = "${{kind}}2"; }}',
    "rec": f'{{ lib, pkgs, config }}: {CALL} rec {{ base = "qcow2"; format = base; '
    "inherit pkgs lib config; diskSize = if true then 8192 else 1; }",
    "flake": """{
      outputs = { self, nixpkgs, ... }@inputs: let system = "x86_64-linux"; in {
        packages.${system}.image = let
          pkgs = nixpkgs.legacyPackages.${system};
        in import "${nixpkgs}/nixos/lib/make-disk-image.nix" ARGUMENTS;
      };
    }""".replace("ARGUMENTS", ARGUMENTS),
    "inside-a-syntax-of-tomorrow": f"{{ a = 1 |>> 2; b = {CALL} {ARGUMENTS}; }}",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_call_is_found_wherever_it_is(tmp_path: Path, shape: str) -> None:
    file = tmp_path / "x"  # what it is called does not matter
    file.write_text(SHAPES[shape])

    imported = import_file(file, {})

    spec, kept = imported.spec, imported.spec.output
    assert spec.compat == "make-disk-image"
    assert (spec.size, kept) == (Size(disk=8192), Output(format="qcow2"))
    assert [note.path for note in imported.notes if note.path == "config"] == ["config"]
    assert all(note.path in {"config", "base"} for note in imported.notes)


def test_what_is_not_carried_over_is_listed_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "module.nix"
    file.write_text("""\
{ pkgs, lib, config, ... }: {
  a = import <nixpkgs/nixos/lib/make-disk-image.nix> (config.more // {
    inherit pkgs lib config;
    name = "x";
    partitioned = true;
    postVM = "${pkgs.hello}/bin/hello";
    contents = [
      { source = ./motd; target = "/etc/motd"; }
      { source = pkgs.writeText "a" "b";
        target = "/b"; }
    ];
  });
  b = import <nixpkgs/nixos/lib/make-disk-image.nix> { };
}
""")

    imported = import_file(file, {})
    lines = [note.line() for note in imported.notes]

    assert imported.spec.name == "x"
    assert [entry.source for entry in imported.spec.contents] == [str(tmp_path / "motd")]
    for number, what in (
        (2, "config.more"), (3, "config"), (5, "partitioned"), (6, "postVM"),
        (9, "contents[1].source"), (13, "another call"),
    ):  # fmt: skip
        assert any(f"line {number}" in line and what in line for line in lines), what
    assert len(lines) == 6


@pytest.mark.parametrize("table", ["efixbootldr", "legacy+boot"])
def test_what_the_younger_reference_has_is_never_called_unknown_to_it(
    tmp_path: Path, table: str
) -> None:
    file = tmp_path / "younger.nix"
    file.write_text(
        f'import <nixpkgs/nixos/lib/make-disk-image.nix> {{ partitionTableType = "{table}";'
        ' baseName = "x"; reproducible = true; populateRootWith = "mke2fs";'
        ' rootFSHashSeed = "11111111-2222-3333-4444-555555555555"; format = "vmdk"; label = "l"; }'
    )

    imported = import_file(file, {})

    assert imported.spec.layout.label == "l"
    # Each is either a key of the spec by now, or listed.
    for name, has in (
        ("partitionTableType", imported.spec.layout.table == table),
        ("format", imported.spec.output.format == "vmdk"),
    ):
        assert has != any(note.path == name for note in imported.notes)
    said = " ".join(note.line() for note in imported.notes)
    assert "none such" not in said
    assert "must be" not in said


def test_a_flakes_own_system_is_carried_over(tmp_path: Path) -> None:
    file = tmp_path / "flake.nix"
    file.write_text(
        "{ outputs = { self, nixpkgs }: { image = import ./make-disk-image.nix "
        "{ config = self.nixosConfigurations.box.config; copyChannel = false; }; }; }"
    )

    spec = import_file(file, {}).spec

    toplevel = "nixosConfigurations.box.config.system.build.toplevel"
    assert spec.nix.system == f"path:{tmp_path}#{toplevel}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{ lib, ... }: { fileSystems."/".x = 1; }', "has no call of make-disk-image in it"),
        ("{ a = [ 1 ; }", "line 1"),
        ("{\n  a = 1;\n  b = ;\n}", "line 3"),
        ('runCommand "make-disk-image" { } "x"', "not something that can be imported"),
        ("(f 1)", "has no call"),
    ],
)
def test_what_holds_no_call_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "x.nix"
    file.write_text(text)

    with pytest.raises(Refused, match=said):
        import_file(file, {})


def test_values_that_grow_without_end_are_left_to_nix(tmp_path: Path) -> None:
    doubled = " ".join(f'a{n} = "${{a{n - 1}}}${{a{n - 1}}}";' for n in range(1, 60))
    file = tmp_path / "x.nix"
    file.write_text(
        f'let a0 = "xy"; {doubled} loop = loop; in '
        'import ./make-disk-image.nix { label = a59; name = loop; format = "raw"; }'
    )

    imported = import_file(file, {})

    assert imported.spec == ImageSpec(compat="make-disk-image", output=Output(format="raw"))
    assert {note.path for note in imported.notes} == {"label", "name"}


def test_deep_nesting_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "x.nix"
    file.write_text("(" * 20_000 + "1" + ")" * 20_000)

    with pytest.raises(Refused, match="nested too deeply"):
        import_file(file, {})
