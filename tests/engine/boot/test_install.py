"""What a loader puts into an image, before any of it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.boot.install import Installed, install
from engine.boot.overlay import overlay
from engine.manifest.entry import Entry
from engine.manifest.lookup import read
from engine.manifest.manifest import Manifest
from engine.manifest.memory import file_of
from engine.spec.load import loads
from engine.spec.resolve import resolve
from tests.engine.boot.trees import X86_KERNEL, tree
from tests.engine.plan.support import Contents

BOOTABLE: dict[str, bytes | str] = {
    "boot/vmlinuz-6.1": X86_KERNEL, "boot/initrd.img-6.1": b"new",
    "boot/vmlinuz-5.10": X86_KERNEL, "boot/initrd.img-5.10": b"old",
    "etc/machine-id": b"0123456789abcdef0123456789abcdef\n",
    "usr/lib/os-release": b'ID=some\nPRETTY_NAME="Some System"\n',
    "etc/os-release": "../usr/lib/os-release",
}  # fmt: skip


REMOVABLE = "EFI/BOOT/BOOTX64.EFI"


def installed(
    files: dict[str, bytes | str], *lines: str, table: str = "efi", loader: str = "systemd-boot",
    esp: dict[str, bytes | str] | None = None, base: Path = Path("/spec"),
) -> Installed:  # fmt: skip
    text = f"schema = 1\nlayout.table = '{table}'\nboot.loader = '{loader}'\n" + "\n".join(lines)
    settings, problems = resolve(loads(text), base, {})
    assert not problems
    return install(settings, Contents(tree(files), tree(esp or {})).volumes)


def paths(manifest: Manifest) -> list[str]:
    return [entry.path.decode() for entry in manifest if not entry.is_directory]


def content(manifest: Manifest, path: str) -> bytes:
    entry = manifest.get(path.encode())
    assert entry is not None, path
    return read(entry, entry.size)


def test_systemd_boot_has_an_entry_for_each_kernel() -> None:
    done = installed(BOOTABLE, "boot.cmdline = 'quiet'")
    assert paths(done.volumes["esp"]) == [
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/systemd/systemd-bootx64.efi",
        "loader/entries/some-5.10.conf",
        "loader/entries/some-6.1.conf",
        "loader/loader.conf",
        "some/5.10/initrd",
        "some/5.10/linux",
        "some/6.1/initrd",
        "some/6.1/linux",
    ]
    text = content(done.volumes["esp"], "loader/entries/some-6.1.conf").decode()
    fields = dict(line.split(" ", 1) for line in text.splitlines())
    uuid = fields["options"].removeprefix("root=UUID=").removesuffix(" rw quiet")
    assert fields == {
        "title": "Some System", "sort-key": "some", "version": "6.1",
        "linux": "/some/6.1/linux", "initrd": "/some/6.1/initrd",
        "options": f"root=UUID={uuid} rw quiet",
    }  # fmt: skip
    assert content(done.volumes["esp"], "some/6.1/initrd") == b"new"
    assert content(done.volumes["esp"], "some/5.10/linux") == X86_KERNEL


def test_a_kernel_that_is_left_out_does_not_keep_the_others_from_booting() -> None:
    done = installed({k: v for k, v in BOOTABLE.items() if k != "boot/initrd.img-5.10"})
    assert [entry.version for entry in done.boot.menu] == ["6.1"]
    assert [problem.severity for problem in done.boot.problems] == ["warning"]
    assert "some/6.1/linux" in paths(done.volumes["esp"])
    assert "some/5.10/linux" not in paths(done.volumes["esp"])


def test_unified_kernels_name_the_older_ones_too() -> None:
    done = installed(BOOTABLE, "boot.efi_variables = true", loader="uki")
    named = ["EFI/Linux/some-system-6.1.efi", "EFI/Linux/some-system-5.10.efi"]
    assert sorted(paths(done.volumes["esp"])) == sorted(["EFI/BOOT/BOOTX64.EFI", *named])
    assert done.boot.efi_entries == (
        ("Some System, 6.1", named[0]),
        ("Some System, 5.10", named[1]),
    )
    assert content(done.volumes["esp"], named[0]) == content(
        done.volumes["esp"], "EFI/BOOT/BOOTX64.EFI"
    )


def test_grub_replaces_a_menu_that_the_contents_bring() -> None:
    done = installed(BOOTABLE | {"boot/grub/grub.cfg": b"stale"}, table="legacy", loader="grub")
    text = content(done.volumes["root"], "boot/grub/grub.cfg").decode()
    menu = [line for line in text.splitlines() if line.startswith("menuentry")]
    assert menu == ["menuentry 'Some System, 6.1' {", "menuentry 'Some System, 5.10' {"]
    assert paths(done.volumes["esp"]) == []
    assert done.boot.core


def test_grub_finds_its_menu_through_a_linked_folder() -> None:
    moved = {name.replace("boot/", "data/boot/"): data for name, data in BOOTABLE.items()}
    done = installed(moved | {"boot": "data/boot"}, table="legacy", loader="grub")
    assert b"menuentry" in content(done.volumes["root"], "data/boot/grub/grub.cfg")
    assert done.boot.menu[0].kernel_path == "/data/boot/vmlinuz-6.1"


def test_a_machines_identity_is_not_baked_in() -> None:
    assert content(installed(BOOTABLE).volumes["root"], "etc/machine-id") == b"uninitialized\n"
    empty = installed(BOOTABLE | {"etc/machine-id": b""})
    assert content(empty.volumes["root"], "etc/machine-id") == b""
    compat = installed(BOOTABLE, "compat = 'make-disk-image'", "nix.install_boot_loader = false")
    assert compat.volumes["root"].get(b"etc/machine-id") is None


def test_an_identity_the_spec_places_stays_and_names_the_entries() -> None:
    done = installed(
        BOOTABLE, "[[contents]]", "source = 'id'", "target = '/etc/machine-id'"
    )  # fmt: skip
    known = "0123456789abcdef0123456789abcdef"
    assert content(done.volumes["root"], "etc/machine-id").decode().strip() == known
    text = content(done.volumes["esp"], f"loader/entries/{known}-6.1.conf").decode()
    assert f"machine-id {known}\n" in text


def test_without_a_loader_nothing_is_touched() -> None:
    done = installed(BOOTABLE, loader="none")
    assert paths(done.volumes["root"]) == paths(tree(BOOTABLE))
    assert content(done.volumes["root"], "etc/machine-id") != b"uninitialized\n"


def test_a_kernel_of_the_host_goes_into_the_image(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k/bzImage").write_bytes(X86_KERNEL)
    (tmp_path / "initrd").write_bytes(b"mine")
    lines = "boot.kernel = 'k/bzImage'", "boot.initrd = 'initrd'"
    grub = installed({"etc/hostname": b"x"}, *lines, table="legacy", loader="grub", base=tmp_path)
    assert content(grub.volumes["root"], "boot/bzImage") == X86_KERNEL
    assert content(grub.volumes["root"], "boot/initrd") == b"mine"
    (entry,) = grub.boot.menu
    assert (entry.kernel_path, entry.initrd_paths) == ("/boot/bzImage", ("/boot/initrd",))
    systemd = installed({"etc/hostname": b"x"}, *lines, base=tmp_path)
    assert content(systemd.volumes["esp"], "linux/6.1-given/initrd") == b"mine"


def test_an_initrd_alone_goes_with_every_kernel_that_is_found() -> None:
    done = installed(BOOTABLE | {"my.cpio": b"one"}, "boot.initrd = '/my.cpio'")
    assert [entry.initrd_paths for entry in done.boot.menu] == [("/my.cpio",), ("/my.cpio",)]
    assert content(done.volumes["esp"], "some/5.10/initrd") == b"one"


def test_several_initrds_are_loaded_in_the_order_of_the_list(tmp_path: Path) -> None:
    (tmp_path / "my.img").write_bytes(b"mine!")
    files = BOOTABLE | {"boot/amd-ucode.img": b"found"}
    lines = "boot.initrd = ['my.img', 'boot/initrd.img-6.1']", "boot.kernel = 'boot/vmlinuz-6.1'"
    done = installed(files, *lines, base=tmp_path)
    (entry,) = done.boot.menu
    assert entry.initrd_paths == ("/boot/my.img", "/boot/initrd.img-6.1")
    esp = done.volumes["esp"]
    text = content(esp, "loader/entries/some-6.1-given.conf").decode()
    named = [line.split()[1] for line in text.splitlines() if line.startswith("initrd")]
    assert named == ["/some/6.1-given/initrd", "/some/6.1-given/initrd1"]
    # A cpio archive is only taken at a multiple of four bytes.
    assert content(esp, "some/6.1-given/initrd") == b"mine!\0\0\0"
    assert content(esp, "some/6.1-given/initrd1") == b"new\0"
    legacy = installed(files, *lines, table="legacy", loader="grub", base=tmp_path)
    config = content(legacy.volumes["root"], "boot/grub/grub.cfg").decode()
    assert "  initrd '/boot/my.img' '/boot/initrd.img-6.1'\n" in config
    uki = content(installed(files, *lines, loader="uki", base=tmp_path).volumes["esp"], REMOVABLE)
    assert b"mine!\0\0\0new" in uki


def test_an_empty_list_or_one_of_one_is_as_ever() -> None:
    for lines in (["boot.initrd = []"], ["boot.initrd = ['boot/initrd.img-6.1']"]):
        assert installed(BOOTABLE, *lines).boot.menu[0].initrd_paths == ("/boot/initrd.img-6.1",)


def test_each_of_a_list_must_be_there(tmp_path: Path) -> None:
    lines = "boot.initrd = ['boot/initrd.img-6.1', 'gone', 'lost']"
    problems = installed(BOOTABLE, lines, base=tmp_path).boot.problems
    assert [(p.code, p.path, p.severity) for p in problems] == [
        ("initrd-missing", "boot.initrd", "error")
    ] * 2
    assert "'gone'" in problems[0].message
    assert "'lost'" in problems[1].message


def test_files_of_the_host_take_no_place_that_is_taken(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "initrd.img-6.1").write_bytes(folder.encode() * 4)
    (tmp_path / "vmlinuz-6.1").write_bytes(X86_KERNEL + b"of the host")
    lines = "boot.kernel = 'vmlinuz-6.1'", "boot.initrd = ['a/initrd.img-6.1', 'b/initrd.img-6.1']"
    done = installed(BOOTABLE, *lines, table="legacy", loader="grub", base=tmp_path)
    (entry,) = done.boot.menu
    assert entry.kernel_path == "/boot/2-vmlinuz-6.1"
    assert entry.initrd_paths == ("/boot/2-initrd.img-6.1", "/boot/3-initrd.img-6.1")
    root = done.volumes["root"]
    assert content(root, "boot/3-initrd.img-6.1") == b"bbbb"
    assert content(root, "boot/vmlinuz-6.1") == X86_KERNEL
    assert content(root, "boot/initrd.img-6.1") == b"new"


def test_a_kernel_in_the_image_goes_before_one_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(b"of the host")
    done = installed(
        BOOTABLE | {"vmlinuz": "boot/vmlinuz-5.10"}, "boot.kernel = 'vmlinuz'", base=tmp_path
    )
    (entry,) = done.boot.menu
    assert (entry.kernel_path, entry.initrd_paths) == (
        "/boot/vmlinuz-5.10",
        ("/boot/initrd.img-5.10",),
    )
    assert done.volumes["root"].get(b"boot/vmlinuz") is None


def test_an_esp_of_the_contents_keeps_its_spelling_and_its_configuration() -> None:
    done = installed(BOOTABLE, esp={"efi/tool.efi": b"x", "loader/loader.conf": b"timeout 9\n"})
    assert "efi/BOOT/BOOTX64.EFI" in paths(done.volumes["esp"])
    assert not any(path.startswith("EFI/") for path in paths(done.volumes["esp"]))
    assert content(done.volumes["esp"], "loader/loader.conf") == b"timeout 9\n"


@pytest.mark.parametrize("gone", [{"a"}, {"a", "b"}, {"b"}, {"c"}])
def test_names_outlive_the_first_name_of_their_inode(tmp_path: Path, gone: set[str]) -> None:
    from engine.manifest.scan import scan

    (tmp_path / "a").write_bytes(b"shared")
    for name in ("b", "c"):
        os.link(tmp_path / "a", tmp_path / name)
    text = f"schema = 1\n[[contents]]\nsource = '{tmp_path}'\ntarget = '/'\n"
    scanned = scan(resolve(loads(text), Path("/"), {})[0])
    left = overlay(scanned.volumes["root"], [], [name.encode() for name in gone])
    names = [entry for entry in left if not entry.is_directory]
    assert [entry.path.decode() for entry in names] == sorted({"a", "b", "c"} - gone)
    head, *others = names
    assert head.link_to is None
    assert read(head, head.size) == b"shared"
    assert all(other.link_to is head for other in others)
    assert paths(scanned.volumes["root"]) == ["a", "b", "c"]


def test_missing_folders_are_made_and_present_ones_kept() -> None:
    manifest = tree({"etc/x": b""})
    etc = manifest.get(b"etc")
    done = overlay(manifest, [file_of(b"etc/new/deep/f", b"1", mtime_ns=5)])
    assert [entry.path for entry in done] == [
        b"", b"etc", b"etc/new", b"etc/new/deep", b"etc/new/deep/f", b"etc/x",
    ]  # fmt: skip
    assert done.get(b"etc") is etc
    deep = done.get(b"etc/new/deep")
    assert isinstance(deep, Entry)
    assert deep.is_directory
    assert overlay(manifest, []) is manifest
