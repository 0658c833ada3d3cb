"""What Nix makes of the files for it, as far as it can be told without nixpkgs.

A stub stands for each function of nixpkgs, and returns what it was given.
"""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine import __version__
from engine.importers.json_arguments import read
from engine.importers.model import Candidate

PROJECT = Path(__file__).parents[2]
FILES = ("flake.nix", "package.nix", "nix/make-disk-image.nix", "nix/module.nix")
LIB = """
  lib = {
    cleanSource = path: "source";
    makeBinPath = builtins.concatStringsSep ":";
    makeLibraryPath = builtins.concatStringsSep ":";
    licenses.gpl3Plus = "GPL-3.0-or-later";
    platforms.linux = [ "x86_64-linux" ];
    concatMapStringsSep = between: make: list: builtins.concatStringsSep between (map make list);
    escapeShellArg = text: "'${text}'";
    mkEnableOption = text: text;
    mkOption = option: option;
    optionalAttrs = condition: attributes: if condition then attributes else { };
    mkIf = condition: value: if condition then value else [ ];
    types = { package = "package"; anything = "anything"; attrsOf = kind: kind; };
    genAttrs = names: make: builtins.listToAttrs
      (map (name: { inherit name; value = make name; }) names);
  };
  pkgs = {
    inherit lib;
    system = "x86_64-linux";
    path = "/nix/store/ghi-nixpkgs";
    bubblewrap = "bubblewrap";
    nix = "nix";
    closureInfo = { rootPaths }: "/closure-of-${builtins.concatStringsSep "-and-" rootPaths}";
    runCommand = name: attributes: script: { inherit name attributes script; };
  };
"""


def evaluate(expression: str, folder: Path) -> Any:  # noqa: ANN401
    done = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "--store", "dummy://",
         "-E", f"let {LIB} in {expression}"],
        cwd=PROJECT, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "NIX_STATE_DIR": str(folder / "state")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_nix(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["nix-instantiate", "--parse", "--store", "dummy://", PROJECT / name],
        capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NIX_STATE_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_package_has_this_version_and_what_it_depends_on(tmp_path: Path) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    needed = [re.split("[<>=]", one)[0] for one in project["dependencies"]]
    web = re.split("[<>=]", project["optional-dependencies"]["web"][0])[0]
    names = [*needed, web, "setuptools"]
    stubs = " ".join(f'"{name}" = "{name}";' for name in names)
    tools = ("parted", "pkg-config", "installShellFiles", "dosfstools", "e2fsprogs",
             "qemu-utils", "util-linux", "zstd")  # fmt: skip
    given = " ".join(f'"{name}" = "{name}";' for name in tools)

    made = evaluate(
        f"""import ./package.nix {{
          inherit lib; {given}
          python3Packages = {{
            buildPythonApplication = given: given; tree-sitter-grammars = {{ }}; {stubs}
          }};
        }}""",
        tmp_path,
    )

    assert made["version"] == __version__
    assert set(made["dependencies"]) == {*needed, web}
    assert made["build-system"] == ["setuptools"]
    installed = [word for line in made["postInstall"].splitlines() for word in line.split()]
    assert all((PROJECT / word).exists() for word in installed if "/" in word)


def test_arguments_become_a_spec_that_is_built_in_the_sandbox(tmp_path: Path) -> None:
    made = evaluate(
        """import ./nix/make-disk-image.nix {
          inherit pkgs lib;
          diskwright = "diskwright";
          config.system.build.toplevel = "/nix/store/abc-nixos";
          partitionTableType = "efi"; diskSize = "auto"; additionalSpace = "64M"; format = "qcow2";
          additionalPaths = [ "/nix/store/def-more" ];
          settings = { "output.compress" = "zstd"; "boot.loader" = "systemd-boot"; };
        }""",
        tmp_path,
    )

    script = made["script"]
    assert "/closure-of-/nix/store/abc-nixos-and-/nix/store/def-more/registration" in script
    assert script.rstrip().endswith(
        "-o $out --set 'boot.loader=systemd-boot' --set 'nix.copy_channel=source' "
        "--set 'output.compress=zstd'"
    )
    assert "kvm" not in json.dumps(made["attributes"].get("requiredSystemFeatures", []))
    path = tmp_path / "arguments.json"
    path.write_text(made["attributes"]["arguments"])
    imported = read(Candidate(path), {})
    assert imported.notes == ()
    spec = imported.spec
    assert (spec.layout.table, spec.output.format) == ("efi", "qcow2")
    assert spec.nix.system == "/nix/store/abc-nixos"
    assert spec.nix.additional_paths == ("/nix/store/def-more",)


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_the_module_offers_the_command_and_the_machine_as_an_image(
    tmp_path: Path, enabled: str
) -> None:
    made = evaluate(
        f"""let module = import ./nix/module.nix {{
            packages.x86_64-linux.default = "the-package";
            lib.makeDiskImage = arguments: builtins.attrNames arguments;
          }} {{
            inherit lib pkgs;
            config = {{
              programs.diskwright = {{ enable = {enabled}; package = "the-package"; }};
              diskwright.image = {{ settings = {{ }}; arguments.format = "raw"; }};
            }};
          }}; in module.config""",
        tmp_path,
    )

    assert made["environment"]["systemPackages"] == (["the-package"] if enabled == "true" else [])
    assert made["system"]["build"]["diskwrightImage"] == [
        "config", "diskwright", "format", "lib", "pkgs", "settings",
    ]  # fmt: skip


def test_the_flake_has_all_that_it_says(tmp_path: Path) -> None:
    made = evaluate(
        """let
          flake = import ./flake.nix;
          outputs = flake.outputs {
            self = outputs // { };
            nixpkgs = {
              inherit lib;
              legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: {
                inherit system;
                callPackage = path: given: "package-for-${system}";
              });
            };
          };
        in { names = builtins.attrNames outputs;
             program = outputs.apps.x86_64-linux.default.program;
             package = outputs.packages.aarch64-linux.diskwright; }""",
        tmp_path,
    )

    assert made == {
        "names": ["apps", "devShells", "lib", "nixosModules", "overlays", "packages"],
        "program": "package-for-x86_64-linux/bin/diskwright",
        "package": "package-for-aarch64-linux",
    }
