from __future__ import annotations

import json

import pytest

from engine.boot.kernels import KernelMenu, find
from engine.boot.versions import age, comparable
from engine.manifest.manifest import Manifest
from tests.engine.boot.trees import tree

UUID = "11111111-2222-3333-4444-555555555555"


def menu(manifest: Manifest, cmdline: str = "console=ttyS0") -> KernelMenu:
    return find(
        manifest, kernel=None, initrds=None, cmdline=cmdline, volumes=[(f"root=UUID={UUID}", "rw")]
    )


def test_kernels_in_boot_are_listed_newest_first_with_their_initrds() -> None:
    found = menu(
        tree({
            "boot/vmlinuz-6.9.0": b"a", "boot/initrd.img-6.9.0": b"i",
            "boot/vmlinuz-6.10.0": b"b", "boot/initramfs-6.10.0.img": b"j",
            "etc/os-release": b'PRETTY_NAME="Some [OS]"\n',
        })
    )  # fmt: skip
    assert found.problems == ()
    assert [entry.version for entry in found.entries] == ["6.10.0", "6.9.0"]
    assert [entry.initrd_paths for entry in found.entries] == [
        ("/boot/initramfs-6.10.0.img",),
        ("/boot/initrd.img-6.9.0",),
    ]
    assert found.entries[0].heading == "Some [OS], 6.10.0"
    assert found.entries[0].options == f"root=UUID={UUID} rw console=ttyS0"


def test_a_root_given_on_the_command_line_is_the_only_one() -> None:
    files: dict[str, bytes | str] = {"boot/vmlinuz-6": b"a"}
    found = menu(tree(files), "root=LABEL=x quiet")
    assert found.entries[0].options == "root=LABEL=x quiet"
    assert found.problems == ()


def test_a_kernel_without_initrd_is_refused_when_the_root_is_named_by_uuid() -> None:
    (problem,) = menu(tree({"boot/vmlinuz-6": b"a"})).problems
    assert (problem.code, problem.path) == ("no-initrd", "boot.initrd")
    assert "/boot/vmlinuz-6" in problem.message


def test_an_older_kernel_without_initrd_is_left_out_with_a_word() -> None:
    found = menu(tree({"boot/vmlinuz-6": b"a", "boot/initrd-6": b"i", "boot/vmlinuz-5": b"b"}))
    assert [entry.version for entry in found.entries] == ["6"]
    (problem,) = found.problems
    assert (problem.severity, problem.path) == ("warning", "boot.initrd")
    assert "/boot/vmlinuz-5" in problem.message


def test_no_kernel_names_the_places_looked_at() -> None:
    (problem,) = menu(tree({"etc/hostname": b"x"})).problems
    assert problem.code == "no-kernel"
    assert "/usr/lib/modules/*/vmlinuz" in problem.message


def test_modules_folder_is_searched_last_through_a_merged_usr() -> None:
    found = menu(
        tree({"lib": "usr/lib", "usr/lib/modules/6.1/vmlinuz": b"k", "boot/initrd-6.1": b"i"})
    )
    assert found.entries[0].kernel_path == "/usr/lib/modules/6.1/vmlinuz"
    assert found.entries[0].initrd_paths == ("/boot/initrd-6.1",)


def test_a_bootspec_wins_and_its_specialisations_follow() -> None:
    def spec(label: str, init: str) -> dict[str, object]:
        return {
            "org.nixos.bootspec.v1": {
                "init": init, "initrd": "/nix/store/i/initrd", "kernel": "/nix/store/k/bzImage",
                "kernelParams": ["loglevel=4"], "label": label, "toplevel": "/nix/store/t",
            }
        }  # fmt: skip

    document = spec("NixOS 25.05", "/nix/store/t/init")
    document["org.nixos.specialisation.v1"] = {"rescue": spec("NixOS rescue", "/nix/store/r/init")}
    found = menu(
        tree({
            "nix/store/k/bzImage": b"k", "nix/store/i/initrd": b"i",
            "nix/store/t/boot.json": json.dumps(document).encode(),
            "nix/var/nix/profiles/system": "system-1-link",
            "nix/var/nix/profiles/system-1-link": "/nix/store/t",
            "boot/vmlinuz-9": b"not this one",
        })
    )  # fmt: skip
    assert [entry.heading for entry in found.entries] == ["NixOS 25.05", "NixOS rescue, rescue"]
    assert found.entries[0].options == (
        f"root=UUID={UUID} rw init=/nix/store/t/init loglevel=4 console=ttyS0"
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"org.nixos.bootspec.v1": {"init": 3}}'])
def test_a_broken_bootspec_is_passed_over(text: str) -> None:
    found = menu(
        tree({"nix/var/nix/profiles/system/boot.json": text.encode(), "boot/vmlinuz-1": b"k"}),
        "root=/dev/vda",
    )
    assert [entry.origin for entry in found.entries] == ["boot"]


@pytest.mark.parametrize(
    ("older", "newer"),
    [("6.9.0", "6.10.0"), ("6.1-rc1", "6.1"), ("6.1.0-9-amd64", "6.1.0-10-amd64"), ("5", "5.1")],
)
def test_versions_sort_as_people_read_them(older: str, newer: str) -> None:
    assert age(comparable(older)) < age(comparable(newer))
