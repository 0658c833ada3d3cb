"""make-disk-image's arguments as a spec and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cli.main import main
from engine.filesystems.ext4.reader import ExtFilesystem
from engine.importers.arguments import NAMES, to_spec
from engine.importers.nix_source import calls
from engine.inspect.image import open_image
from engine.nix.export import export
from engine.nix.values import Opaque, Value, show
from engine.nix.values import Path as NixPath
from engine.planning import plan_spec
from engine.problem import Problem, Refused, errors
from engine.spec.load import load
from engine.spec.model import (
    Boot,
    Content,
    Hooks,
    Identity,
    ImageSpec,
    Layout,
    Nix,
    Output,
    Size,
    Vm,
)
from engine.spec.resolve import resolve
from tests.reference import ARGUMENTS, CASES
from tests.reference.mktree import make_tree
from tests.support.nixos import Lab

BUILT = (
    "legacy+gpt/auto/boot=-/add=64M/tiny", "efi/auto/boot=100M/add=64M/links",
    "hybrid/auto/boot=256M/add=64M/links", "none/auto/boot=-/add=0/empty",
    "legacy/auto/boot=-/add=64M/tiny",
)  # fmt: skip

EXTENSIONS = {"raw": "img", "vpc": "vhd", "qcow2-compressed": "qcow2"}

EVERY: dict[str, Value] = {
    "partitionTableType": "hybrid", "fsType": "ext4", "label": "system", "diskSize": 4096,
    "additionalSpace": "1G", "bootSize": "300M", "name": "my image", "format": "vpc",
    "deterministic": True, "rootGPUID": "11111111-2222-3333-4444-555555555555",
    "rootFSUID": "66666666-7777-8888-9999-aaaaaaaaaaaa", "onlyNixStore": False,
    "installBootLoader": True, "touchEFIVars": True, "memSize": 2048,
    "postVM": "echo $out\n\"${x}\"\n", "copyChannel": False,
    "efiFirmware": "/fw/CODE.fd", "efiVariables": "/fw/VARS.fd", "configFile": "/c/conf.nix",
    "additionalPaths": ["/nix/store/" + "a" * 32 + "-x"],
    "config": "/nix/store/" + "b" * 32 + "-nixos-system",
    "contents": [{"source": "/a b/x*", "target": "/etc", "mode": "755", "user": "0", "group": "0"}],
}  # fmt: skip


def read(text: str, folder: str) -> Mapping[str, Value]:
    """Returns the arguments of the one call or set in a text."""
    (call,) = calls(text, folder)
    return call.arguments


def round_trip(spec: ImageSpec) -> ImageSpec:
    """Exports a spec as Nix source and imports that."""
    settings, _ = resolve(spec, Path("/"), {})
    return to_spec(read(export(spec, settings).source(), "/")).spec


def test_it_has_24_arguments_and_they_are_the_references() -> None:
    assert len(NAMES) == 24
    assert set(ARGUMENTS) - {"pkgs", "lib"} == NAMES


def test_every_argument_has_its_place() -> None:
    assert EVERY.keys() | {"OVMF"} == NAMES

    imported = to_spec(EVERY)

    assert imported.notes == ()
    assert imported.spec == ImageSpec(
        name="my image",
        compat="make-disk-image",
        layout=Layout(table="hybrid", filesystem="ext4", label="system"),
        size=Size(disk=4096, additional="1G", boot="300M"),
        boot=Boot(efi_variables=True, firmware="/fw/CODE.fd", firmware_variables="/fw/VARS.fd"),
        contents=(Content(source="/a b/x*", target="/etc", mode="755", user="0", group="0"),),
        nix=Nix(
            system="/nix/store/" + "b" * 32 + "-nixos-system",
            additional_paths=("/nix/store/" + "a" * 32 + "-x",),
            only_store=False,
            config_file="/c/conf.nix",
            install_boot_loader=True,
        ),
        output=Output(format="vpc"),
        identity=Identity(
            deterministic=True,
            root_partition_guid="11111111-2222-3333-4444-555555555555",
            root_filesystem_uuid="66666666-7777-8888-9999-aaaaaaaaaaaa",
        ),
        hooks=Hooks(after_build='echo $out\n"${x}"\n'),
        vm=Vm(memory=2048),
    )
    assert round_trip(imported.spec) == imported.spec


def test_the_firmware_package_stands_for_its_files() -> None:
    spec = to_spec({"OVMF": "/nix/store/x-OVMF-fd"}).spec

    assert spec.boot.firmware == "/nix/store/x-OVMF-fd/FV/OVMF_CODE.fd"
    assert spec.boot.firmware_variables == "/nix/store/x-OVMF-fd/FV/OVMF_VARS.fd"


@pytest.mark.parametrize(
    ("config", "system"),
    [
        ('(builtins.getFlake "path:/x").nixosConfigurations.a.config',
         "path:/x#nixosConfigurations.a.config.system.build.toplevel"),
        ('{ system.build.toplevel = builtins.storePath "/nix/store/a-b"; }', "/nix/store/a-b"),
        ("{ system.build.toplevel = (import /x.nix { }).top; }", "-f /x.nix -A top"),
        ('{ system.build.toplevel = (builtins.getFlake "x").y; }', "x#y"),
    ],
)  # fmt: skip
def test_a_configuration_is_told_by_what_it_builds(config: str, system: str) -> None:
    spec = to_spec(read(f"{{ config = {config}; copyChannel = false; }}", "/")).spec

    assert spec.nix.system == system
    assert round_trip(spec).nix.system == system


def test_the_channel_is_where_the_packages_come_from() -> None:
    spec = to_spec(read("{ pkgs = import /src/nixpkgs { }; }", "/")).spec

    assert spec.nix.copy_channel == "/src/nixpkgs"
    assert round_trip(spec).nix.copy_channel == "/src/nixpkgs"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"config": Opaque("config")}, "config"),
        ({"config": "/nix/store/a-b"}, "copyChannel"),
        ({"contents": [{"source": Opaque("x"), "target": "/x"}]}, "contents[0].source"),
        ({"contents": [Opaque("x")]}, "contents[0]"),
        ({"contents": [{"source": "/x", "target": "/x", "what": 1}]}, "contents[0].what"),
        ({"rootFSUID": None}, "rootFSUID"),
        ({"diskSize": Opaque("1 + 1")}, "diskSize"),
        ({"OVMF": Opaque("pkgs.OVMF.fd")}, "OVMF"),
    ],
)
def test_what_is_not_carried_over_is_listed(arguments: dict[str, Value], name: str) -> None:
    notes = to_spec(arguments).notes

    assert name in [note.path for note in notes]
    assert all(note.severity == "warning" and note.hint for note in notes)


@pytest.mark.parametrize(
    ("arguments", "name", "said"),
    [
        ({"deterministic": None}, "deterministic", "true or false"),
        ({"contents": None}, "contents", "a list"),
        ({"contents": [{"source": "/x"}]}, "contents[0]", "'target' missing"),
        ({"contents": [{"source": "/x", "target": "/", "mode": None}]}, "contents[0].mode", "text"),
        ({"label": None}, "label", "text"),
        ({"additionalSpace": 512}, "additionalSpace", "text"),
        ({"diskSize": 1.5}, "diskSize", "an integer"),
        ({"partitionTableType": "EFI"}, "partitionTableType", '"efi"'),
        ({"rootGPUID": "nonsense"}, "rootGPUID", "not a UUID"),
        ({"copyChannel": 1}, "copyChannel", "true or false"),
    ],
)
def test_what_the_reference_does_not_take_is_refused(
    arguments: dict[str, Value], name: str, said: str
) -> None:
    with pytest.raises(Refused) as refused:
        to_spec(arguments)

    (problem,) = refused.value.problems
    assert problem.path == name
    assert said in problem.line()


words = st.text(alphabet="abXY09-_.é $\"'{}", min_size=1, max_size=10)
paths = st.lists(words.filter(lambda w: w not in {".", ".."}), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
uuids = st.uuids(version=4).map(str)
systems = st.sampled_from(
    ["/nix/store/" + "c" * 32 + "-top", "path:/x#a.b", "-f /x.nix -A a.b",
     "git+file:///x#nixosConfigurations.h.config.system.build.toplevel"]
)  # fmt: skip
contents = st.builds(
    lambda source, target, mode, owner: Content(
        source=source, target=target, mode=mode, user=owner, group=owner
    ),
    paths, paths, st.none() | st.sampled_from(["644", "D755,F644"]),
    st.none() | st.sampled_from(["root", "0"]),
)  # fmt: skip
specs = st.builds(
    ImageSpec,
    name=st.none() | words.filter(lambda w: w.strip() and "/" not in w and w not in {".", ".."}),
    compat=st.just("make-disk-image"),
    layout=st.builds(
        Layout,
        table=st.sampled_from([None, "none", "legacy", "legacy+gpt", "efi", "hybrid"]),
        filesystem=st.sampled_from([None, "ext4"]),
        label=st.none() | words,
        sector_size=st.none(),
    ),
    size=st.builds(
        Size,
        disk=st.none() | st.just("auto") | st.integers(1, 1 << 20),
        additional=st.sampled_from([None, "0", "1.5G", "512M"]),
        boot=st.sampled_from([None, "100M", "256MiB", "50%"]),
        inodes=st.none(),
    ),
    boot=st.builds(
        Boot,
        loader=st.none(), kernel=st.none(), initrd=st.none(), cmdline=st.none(),
        efi_variables=st.sampled_from([None, True, False]),
        firmware=st.none() | paths, firmware_variables=st.none() | paths,
        prove=st.none(), expect=st.none(), timeout=st.none(),
    ),
    contents=st.lists(contents, max_size=3).map(tuple),
    nix=st.builds(
        Nix,
        system=st.none() | systems, store=st.none(),
        additional_paths=st.sampled_from([(), ("/nix/store/" + "d" * 32 + "-y",)]),
        only_store=st.sampled_from([None, True, False]),
        copy_channel=st.none() | paths, config_file=st.none() | paths,
        install_boot_loader=st.sampled_from([None, True, False]),
    ),
    output=st.builds(Output, format=st.sampled_from([None, "raw", "qcow2", "vdi", "vpc"])),
    identity=st.builds(
        Identity,
        deterministic=st.sampled_from([None, True, False]),
        seed=st.none(), disk_guid=st.none(),
        root_partition_guid=st.none() | uuids.map(str.upper),
        root_filesystem_uuid=st.none() | uuids,
        source_date_epoch=st.none(),
    ),
    hooks=st.builds(Hooks, after_build=st.none() | words),
    vm=st.builds(Vm, memory=st.none() | st.integers(1, 65536)),
)  # fmt: skip


@given(specs)
@settings(max_examples=300, deadline=None)
def test_every_spec_of_the_references_kind_comes_back(spec: ImageSpec) -> None:
    assert round_trip(spec) == spec


def test_what_is_written_nix_can_read(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "call.nix"
    spec = to_spec(EVERY).spec
    file.write_text(export(spec, resolve(spec, Path("/"), {})[0]).source())

    lab.nix("nix-instantiate", "--store", "dummy://", "--parse", str(file))


def test_a_spec_of_our_own_rules_says_what_is_lost() -> None:
    spec = ImageSpec(
        layout=Layout(sector_size=4096),
        boot=Boot(loader="grub", prove=True),
        contents=(Content(source="/x.tar", target="/", extract=True),),
        output=Output(format="vhdx"),
        identity=Identity(seed="11111111-2222-3333-4444-555555555555"),
    )
    settings, _ = resolve(spec, Path("/"), {})

    exported = export(spec, settings)

    assert {note.path for note in exported.notes} == {
        "compat", "layout.sector_size", "boot.loader", "boot.prove", "contents[0].extract",
        "output.format", "identity.seed",
    }  # fmt: skip
    assert exported.arguments["partitionTableType"] == "efi"
    assert exported.arguments["label"] == "root"
    assert exported.arguments["bootSize"] == "278M"
    assert exported.arguments["installBootLoader"] is False
    assert "format" not in exported.arguments


def test_the_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "arguments.nix"
    source.write_text('{ format = "qcow2"; contents = [ { source = ./x; target = "/x"; } ];'
                      " memSize = 512 * 2; config = throw \"no\"; }")  # fmt: skip
    spec, back = tmp_path / "out.toml", tmp_path / "back.nix"

    assert main(["import", str(source), "-o", str(spec)]) == 0
    assert "config" in capsys.readouterr().err
    loaded = load(spec).spec
    assert loaded.output.format == "qcow2"
    assert loaded.vm.memory == 1024
    assert loaded.contents[0].source == str(tmp_path / "x")
    assert main(["import", str(source), "-o", str(spec)]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["export", str(spec), "--format", "nix", "-o", str(back)]) == 0
    assert to_spec(read(back.read_text(), "/")).spec == loaded
    arguments = tmp_path / "arguments.json"
    arguments.write_text(json.dumps({"format": "vdi"}))
    assert main(["import", str(arguments), "--set", "name=other"]) == 0
    assert 'name = "other"' in capsys.readouterr().out
    arguments.write_text("{")
    assert main(["import", str(arguments)]) == 2
    source.write_text("{ a = ")
    assert main(["import", str(source)]) == 2
    assert "line 1" in capsys.readouterr().err


@cache
def tree(base: Path, kind: str, seed: str) -> Path:
    """Makes one of the reference's trees again."""
    folder = base / f"{kind}-{seed}"
    make_tree(kind, seed, folder)
    return folder


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trees")


def imported(case: dict[str, Any], trees: Path, folder: Path) -> Path:
    """Writes a case's arguments as Nix source and imports them; returns the spec."""
    arguments: dict[str, Value] = dict(case["args"])
    source = NixPath(str(tree(trees, case["tree"], case["tree_seed"])))
    arguments["contents"] = [{"source": source, "target": "/"}]
    file, spec = folder / "case.nix", folder / "case.toml"
    file.write_text(show(arguments))
    if main(["import", str(file), "-o", str(spec)]) != 0:
        raise Refused([Problem("import-failed", "error", "", str(file))])
    return spec


@pytest.mark.parametrize("case", [c for c in CASES if not c["ok"]], ids=lambda case: case["id"])
def test_what_fails_there_is_refused_here_or_fits(
    case: dict[str, Any], trees: Path, tmp_path: Path
) -> None:
    try:
        spec = imported(case, trees, tmp_path)
    except Refused as refused:
        assert errors(refused.problems)  # noqa: PT017 - either way is right
        return
    plan = plan_spec(load(spec).spec, base=tmp_path)

    assert errors(plan.problems) or plan.root.free_bytes >= 0 < len(plan.steps)


@pytest.mark.parametrize("case", [c for c in CASES if c["ok"]], ids=lambda case: case["id"])
def test_every_sample_imported_agrees(case: dict[str, Any], trees: Path, tmp_path: Path) -> None:
    plan = plan_spec(load(imported(case, trees, tmp_path)).spec, base=tmp_path)

    assert errors(plan.problems) == ()
    assert plan.disk.bytes == case["disk"]["bytes"]
    assert [(p.number, p.start, p.sectors, p.guid) for p in plan.partitions] == [
        (p["number"], p["start"], p["sectors"], p["guid"]) for p in case["partitions"]
    ]
    if "root_filesystem" in case:
        assert plan.root.uuid == case["root_filesystem"]["uuid"]
        assert plan.root.blocks == case["root_filesystem"]["blocks_count"]
    if "size" in case:
        assert plan.reference is not None
        for name, value in case["size"].items():
            assert getattr(plan.reference, name) == value
    format_ = case["args"].get("format", "raw")
    assert plan.outputs[0] == "nixos." + EXTENSIONS.get(format_, format_)


@pytest.mark.parametrize("identity", BUILT)
def test_samples_imported_build(identity: str, trees: Path, tmp_path: Path) -> None:
    case = next(case for case in CASES if case["id"] == identity)
    spec = imported(case, trees, tmp_path)

    assert main(["build", str(spec), "-o", str(tmp_path / "out"), "--quiet"]) == 0

    image = tmp_path / "out" / "nixos.img"
    assert image.stat().st_size == case["disk"]["bytes"]
    products = (tmp_path / "out" / "nix-support" / "hydra-build-products").read_text()
    assert products.startswith(f"file raw-image {image}\n")


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c["ok"]], ids=lambda case: case["id"])
def test_every_sample_imported_becomes_what_it_was_there(
    case: dict[str, Any], trees: Path, tmp_path: Path
) -> None:
    spec, out = imported(case, trees, tmp_path), tmp_path / "out"
    assert main(["build", str(spec), "-o", str(out), "--quiet"]) == 0
    (path,) = out.glob("nixos.*")
    image = open_image(path)
    with image.disk:
        assert image.disk.size == case["disk"]["bytes"]
        assert image.table.guid == case["disk"]["guid"]
        assert image.table.findings == ()
        assert [(p.number, p.start, p.sectors, p.guid) for p in image.table.partitions] == [
            (p["number"], p["start"], p["sectors"], p["guid"]) for p in case["partitions"]
        ]
        root = image.parts[-1].filesystem
        assert isinstance(root, ExtFilesystem)
        if "root_filesystem" in case:
            there = case["root_filesystem"]
            assert (root.uuid, root.label, root.blocks) == (
                there["uuid"], there["label"], there["blocks_count"],
            )  # fmt: skip
