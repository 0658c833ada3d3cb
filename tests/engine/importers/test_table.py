"""Importers as data: recognised by content alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.importers.model import Candidate
from engine.importers.table import IMPORTERS, Importer, importer_of
from engine.problem import Refused
from tests.support.examples import python_blocks

CASES = {
    "json": (b'{"diskSize": "auto"}', b'\n { "format" : 1 }', b"{}"),
    "nix": (
        b"{ }: { }", b'{ diskSize = "auto"; }', b"# c\nlet a = 1; in { }", b"import ./x { }",
        b"/* c */ { pkgs, ... }@args: { }", b"args: { }", b"(import ./x) { }", b"with 1; { }",
    ),
    "repart": (b"[Partition]\nType=root\n", b"# c\n\n [Partition] \n"),
    "wks": (b"# wic\npart / --source rootfs\n", b"bootloader --ptable gpt\npart swap\n"),
    "genimage": (b"image x.img {\n}\n", b'/* c */\n  image "a b" { hdimage {} }\n'),
    "image": (b"\0" * 4096, b"QFI\xfb" + b"\0" * 100, b"\xff\xfe text"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "data"), [(key, data) for key, several in CASES.items() for data in several]
)
def test_the_content_tells_what_it_is(tmp_path: Path, key: str, data: bytes) -> None:
    file = tmp_path / "misleading.toml"
    file.write_bytes(data)

    assert importer_of(Candidate(file)).key == key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not something that can be imported"),
        ("lang en_US\npart / --size=1800\n", "not something that can be imported"),
        ("bootloader --ptable gpt\n", "not something that can be imported"),
        ("images {\n}\n", "not something that can be imported"),
        ("[Unit]\nType=root\n", "not something that can be imported"),
        ('schema = 1\nname = "x"\n', "is a spec already"),
    ],
)
def test_anything_else_is_refused_with_what_can_be_imported(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "x.nix"
    file.write_text(text)

    with pytest.raises(Refused, match=said) as refused:
        importer_of(Candidate(file))
    if "already" not in said:
        hint = refused.value.problems[0].hint
        assert all(importer.title in hint for importer in IMPORTERS)


OTHERS = {
    "mkosi": "[Distribution]\nDistribution=debian\n[Output]\nFormat=disk\n",
    "image-builder": 'name = "base"\n[[packages]]\nname = "tmux"\n',
    "image-builder as JSON": '{"name": "x", "customizations": {"hostname": "h"}}',
    "kiwi": '<?xml version="1.0"?>\n<image schemaversion="7.4" name="x">\n</image>\n',
    "debos": "architecture: arm64\nactions:\n  - action: debootstrap\n    suite: trixie\n",
    "vmdb2": 'steps:\n  - mkimg: "{{ output }}"\n    size: 4G\n',
    "live-build": "#!/bin/sh\nlb config noauto --distribution trixie\n",
    "Packer": 'source "qemu" "x" {\n}\n',
    "Packer as JSON": '{"builders": []}',
    "disko": "{ disko.devices.disk.x = {}; }\n",
    "Containerfile": "# syntax=docker/dockerfile:1\nARG X\nFROM debian\n",
    "sfdisk": "label: gpt\n,512M,U\n,,L\n",
    "installer": "d-i partman-auto/method string regular\n",
}


@pytest.mark.parametrize("tool", OTHERS)
def test_a_file_of_another_tool_is_called_so_with_what_to_do(tmp_path: Path, tool: str) -> None:
    file = tmp_path / "given"
    file.write_text(OTHERS[tool])

    with pytest.raises(Refused) as refused:
        importer_of(Candidate(file))

    (problem,) = refused.value.problems
    assert tool.partition(" ")[0] in problem.message
    assert "which is not imported" in problem.message
    assert problem.hint


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("mkosi.conf", OTHERS["mkosi"]),
        ("config.xml", OTHERS["kiwi"]),
        ("auto/config", OTHERS["live-build"]),
    ],
)
def test_so_is_a_folder_of_one(tmp_path: Path, member: str, text: str) -> None:
    (tmp_path / member).parent.mkdir(exist_ok=True)
    (tmp_path / member).write_text(text)

    with pytest.raises(Refused, match="which is not imported"):
        importer_of(Candidate(tmp_path))


def test_yaml_is_not_taken_for_nix(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("version: 1\nstages:\n  - one\n")

    with pytest.raises(Refused, match="not something that can be imported"):
        importer_of(Candidate(file))


def test_a_folder_is_one_of_definitions_by_what_its_files_say(tmp_path: Path) -> None:
    (tmp_path / "10-x.conf").write_text("[Unit]\n")
    (tmp_path / "20-root").write_text("[Partition]\n")
    with pytest.raises(Refused, match="not something that can be imported"):
        importer_of(Candidate(tmp_path))

    (tmp_path / "20-root.conf").write_text("[Partition]\n")

    assert importer_of(Candidate(tmp_path)).key == "repart"


@pytest.mark.parametrize("there", ["folder", "nothing"])
def test_what_cannot_be_read_is_refused(tmp_path: Path, there: str) -> None:
    path = tmp_path if there == "folder" else tmp_path / "gone"

    with pytest.raises(Refused):
        importer_of(Candidate(path))


def test_an_importer_is_one_module_and_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worked example of docs/extending.md, tried."""
    module, row = python_blocks("An importer")
    (tmp_path / "sizes.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    (added,) = eval(row, {"Importer": Importer})
    added = replace(added, module="sizes")
    monkeypatch.setattr("engine.importers.table.IMPORTERS", (*IMPORTERS, added))
    (tmp_path / "x").write_text("size=512MiB\nfrom=rootfs\nfiddle=1\n")

    assert main(["import", str(tmp_path / "x")]) == 0

    said = capsys.readouterr()
    assert 'source = "rootfs"' in said.out
    assert "fiddle=1 on line 3 is not carried over" in said.err
