"""Images that were built, with real loaders: what inspect says, and what others read there."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.inspect.describe import image_lines
from tests.engine.boot.trees import X86_KERNEL
from tests.engine.inspect.booting.images import CONTENTS, built, debugfs, mtools, put, report
from tests.support.tools import run_tool

NEWEST = {"title": "Some System 7", "version": "6.1"}


def entry_of(found: dict[str, Any], firmware: str) -> dict[str, Any]:
    boot = found["boots"][firmware]
    assert boot["starts"] == "yes", boot
    entry: dict[str, Any] = boot["entry"]
    assert {key: value for key, value in entry.items() if key != "default"} in [
        {key: value for key, value in each.items() if key != "default"}
        for each in found["boot_entries"]
        if each["default"]
    ]
    return entry


def test_systemd_boot_starts_the_newest_kernel(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "systemd-boot")
    found = report(image.image)
    assert found["findings"] == []
    assert found["boots"]["bios"]["why_not"] == "the boot sector has no boot code"
    entry = entry_of(found, "uefi")
    text = mtools(image, "mtype", "::/loader/entries/some-6.1.conf")
    fields = dict(line.split(" ", 1) for line in text.splitlines())
    assert entry == NEWEST | {
        "where": "partition 1: /loader/entries/some-6.1.conf", "kind": "type1", "missing": [],
        "linux": fields["linux"], "initrd": [fields["initrd"]], "options": fields["options"],
    }  # fmt: skip
    chain = found["boots"]["uefi"]["chain"]
    assert chain[0].startswith("partition 1: /EFI/BOOT/BOOTX64.EFI: systemd-boot (")
    assert chain[1:] == [entry["where"]]
    assert [each["version"] for each in found["boot_entries"]] == ["6.1", "5.10"]
    assert found["system"] == [
        {"where": "partition 2", "id": "some", "pretty_name": "Some System 7", "version": "7",
         "architecture": ""}
    ]  # fmt: skip
    kernels = {(each["where"], each["path"]): each for each in found["kernels"]}
    assert sorted(kernels) == [
        ("partition 1", "/some/5.10/linux"), ("partition 1", "/some/6.1/linux"),
        ("partition 2", "/boot/vmlinuz-5.10"), ("partition 2", "/boot/vmlinuz-6.1"),
    ]  # fmt: skip
    kernel = kernels["partition 2", "/boot/vmlinuz-6.1"]
    assert kernel["initrd"] == "/boot/initrd.img-6.1"
    assert kernel["bytes"] == len(X86_KERNEL)
    assert kernel["architecture"] == "x86_64"
    assert kernel["version"] == "6.1-given"


def test_an_entry_whose_kernel_is_gone_is_found_and_passed_over(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "systemd-boot")
    mtools(image, "mdel", "::/some/6.1/linux")
    found = report(image.image)
    assert found["findings"] == [
        "partition 1: /loader/entries/some-6.1.conf names /some/6.1/linux, which is not there"
    ]
    assert entry_of(found, "uefi")["version"] == "5.10"
    mtools(image, "mdel", "::/some/5.10/linux")
    boot = report(image.image)["boots"]["uefi"]
    assert (boot["starts"], boot["why_not"]) == (
        "no",
        "systemd-boot finds no entry that it can boot",
    )


def test_a_default_without_its_initrd_does_not_start(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "systemd-boot")
    mtools(image, "mdel", "::/some/6.1/initrd")
    found = report(image.image)
    boot = found["boots"]["uefi"]
    assert boot["starts"] == "no"
    assert boot["why_not"] == '"Some System 7" needs /some/6.1/initrd, which is not there'
    assert boot["entry"]["missing"] == ["/some/6.1/initrd"]


@pytest.mark.parametrize(
    ("root", "absent"),
    [
        ("LABEL=root", False), ("PARTLABEL=root", False), ("/dev/vda2", False),
        ("LABEL=ROOT", True), ("PARTLABEL=other", True),
        ("UUID=01234567-89ab-cdef-0123-456789abcdef", True),
        ("PARTUUID=01234567-89ab-cdef-0123-456789abcdef", True),
    ],
)  # fmt: skip
def test_a_root_that_is_not_in_the_image_is_found(tmp_path: Path, root: str, absent: bool) -> None:
    image = built(tmp_path, "efi", "systemd-boot")
    text = f"title Some\nlinux /some/5.10/linux\noptions root={root} rw\n"
    put(image, "/loader/entries/some-5.10.conf", text.encode(), tmp_path)
    wanted = (
        'partition 1: /loader/entries/some-5.10.conf: "Some" wants its root file system by '
        f"{root}, which nothing in the image has"
    )
    assert report(image.image)["findings"] == [wanted] * absent


@pytest.mark.parametrize("tag", ["UUID", "PARTUUID"])
def test_roots_are_found_by_their_numbers(tmp_path: Path, tag: str) -> None:
    image = built(tmp_path, "legacy", "grub")
    table = json.loads(
        run_tool(
            ["sfdisk", "--json", image.image], capture_output=True, text=True, check=True
        ).stdout
    )["partitiontable"]
    numbers = {"UUID": image.plan.root.uuid, "PARTUUID": f"{table['id'].removeprefix('0x')}-01"}
    found = report(image.image)
    assert found["findings"] == []
    debugfs(image, "rm /boot/grub/grub.cfg")
    config = tmp_path / "grub.cfg"
    for value, findings in ((numbers[tag], 0), ("feedbeef-02", 1)):
        config.write_text(f"menuentry one {{\n linux /boot/vmlinuz-6.1 root={tag}={value}\n}}\n")
        debugfs(image, f"write {config} /boot/grub/grub.cfg")
        assert len(report(image.image)["findings"]) == findings
        debugfs(image, "rm /boot/grub/grub.cfg")


def test_settings_and_counters_choose_the_entry(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "systemd-boot")
    put(image, "/loader/loader.conf", b"timeout\t3\ndefault\tSOME-5.*\n", tmp_path)
    assert entry_of(report(image.image), "uefi")["version"] == "5.10"
    put(image, "/loader/loader.conf", b"timeout 3\ndefault nothing\n", tmp_path)
    found = report(image.image)
    assert entry_of(found, "uefi")["version"] == "6.1"
    assert 'no entry matches the default "nothing"' in found["boots"]["uefi"]["notes"][0]
    mtools(image, "mren", "::/loader/entries/some-6.1.conf", "some-6.1+0-3.conf")
    assert entry_of(report(image.image), "uefi")["version"] == "5.10"


def test_entries_for_other_machines_are_listed_and_not_started(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "systemd-boot")
    text = mtools(image, "mtype", "::/loader/entries/some-6.1.conf")
    put(image, "/loader/entries/some-6.1.conf", (text + "architecture AA64\n").encode(), tmp_path)
    found = report(image.image)
    assert len(found["boot_entries"]) == 2
    assert entry_of(found, "uefi")["version"] == "5.10"


def test_a_unified_kernel_says_of_itself_what_objdump_shows(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "uki")
    found = report(image.image)
    assert found["findings"] == []
    entry = entry_of(found, "uefi")
    assert entry["where"] == "partition 1: /EFI/BOOT/BOOTX64.EFI"
    assert (entry["kind"], entry["title"], entry["version"]) == ("uki", *NEWEST.values())
    mtools(image, "mcopy", "::/EFI/BOOT/BOOTX64.EFI", str(tmp_path / "uki"))
    for name, value in ((".cmdline", entry["options"]), (".uname", entry["version"])):
        subprocess.run(
            ["objcopy", "-O", "binary", f"--only-section={name}", tmp_path / "uki",
             tmp_path / "section"], check=True,
        )  # fmt: skip
        assert (tmp_path / "section").read_bytes().rstrip(b"\0").decode() == value
    others = [each["where"] for each in found["boot_entries"] if not each["default"]]
    assert others == ["partition 1: /EFI/Linux/some-system-7-5.10.efi"]


def test_systemd_boot_is_no_unified_kernel_and_finds_those_that_are(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "uki")
    loader = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi").read_bytes()
    put(image, "/EFI/BOOT/BOOTX64.EFI", loader, tmp_path)
    put(image, "/EFI/Linux/loader.efi", loader, tmp_path)
    found = report(image.image)
    assert [each["where"] for each in found["boot_entries"]] == [
        "partition 1: /EFI/Linux/some-system-7-5.10.efi"
    ]
    assert entry_of(found, "uefi")["version"] == "5.10"


def test_a_cut_unified_kernel_is_a_finding(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "uki")
    mtools(image, "mcopy", "::/EFI/BOOT/BOOTX64.EFI", str(tmp_path / "uki"))
    whole = (tmp_path / "uki").read_bytes()
    put(image, "/EFI/BOOT/BOOTX64.EFI", whole[: len(whole) - 4096], tmp_path)
    found = report(image.image)
    (finding,) = found["findings"]
    assert re.fullmatch(
        r"partition 1: /EFI/BOOT/BOOTX64.EFI is damaged: section \S+ ends at byte \d+ of \d+",
        finding,
    )
    assert found["boots"]["uefi"]["starts"] == "no"
    assert "is damaged" in found["boots"]["uefi"]["why_not"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: b"no program", "is not an EFI program"),
        (lambda data: data.replace(b"PE\0\0\x64\x86", b"PE\0\0\x64\xaa", 1), "type 0xaa64"),
    ],
)
def test_what_firmware_cannot_start_is_said(
    tmp_path: Path, change: Callable[[bytes], bytes], why: str
) -> None:
    image = built(tmp_path, "efi", "uki")
    mtools(image, "mcopy", "::/EFI/BOOT/BOOTX64.EFI", str(tmp_path / "uki"))
    put(image, "/EFI/BOOT/BOOTX64.EFI", change((tmp_path / "uki").read_bytes()), tmp_path)
    boot = report(image.image)["boots"]["uefi"]
    assert boot["starts"] == "no"
    assert why in boot["why_not"]


def test_without_the_removable_path_only_a_variable_starts_it(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "uki")
    mtools(image, "mdel", "::/EFI/BOOT/BOOTX64.EFI")
    boot = report(image.image)["boots"]["uefi"]
    assert boot["starts"] == "no"
    assert boot["why_not"] == (
        "partition 1 has no /EFI/BOOT/BOOT*.EFI; only a boot variable could name partition 1: "
        "/EFI/Linux/some-system-7-5.10.efi"
    )


@pytest.mark.parametrize(
    ("table", "core"),
    [
        ("legacy", "GRUB's core image at sector 1, in the space outside of partitions"),
        ("legacy+gpt", "GRUB's core image at sector 2048, in partition 1"),
    ],
)
def test_a_bios_starts_grub_and_grub_its_menu(tmp_path: Path, table: str, core: str) -> None:
    image = built(tmp_path, table, "grub")
    found = report(image.image)
    assert found["findings"] == []
    entry = entry_of(found, "bios")
    assert (entry["kind"], entry["title"]) == ("grub", "Some System 7, 6.1")
    assert entry["linux"] == "/boot/vmlinuz-6.1"
    assert entry["initrd"] == ["/boot/initrd.img-6.1"]
    assert entry["options"] == f"root=UUID={image.plan.root.uuid} rw quiet"
    assert found["boots"]["bios"]["chain"] == ["boot sector: GRUB for BIOS", core, entry["where"]]
    assert found["boots"]["uefi"]["why_not"] == "there is no EFI system partition"


def test_a_core_that_is_wiped_and_a_kernel_that_is_gone_are_said(tmp_path: Path) -> None:
    image = built(tmp_path, "legacy", "grub")
    debugfs(image, "rm /boot/vmlinuz-6.1")
    found = report(image.image)
    assert found["findings"] == [
        'partition 1: /boot/grub/grub.cfg names /boot/vmlinuz-6.1 in "Some System 7, 6.1", which '
        "is not there"
    ]
    assert found["boots"]["bios"]["why_not"] == (
        '"Some System 7, 6.1" needs /boot/vmlinuz-6.1, which is not there'
    )
    with image.image.open("r+b") as file:
        file.seek(512)
        file.write(bytes(512))
    assert "core at sector 1, where nothing is" in report(image.image)["boots"]["bios"]["why_not"]


def test_a_hybrid_disk_starts_both_ways(tmp_path: Path) -> None:
    found = report(built(tmp_path, "hybrid", "systemd-boot").image)
    assert found["findings"] == []
    assert entry_of(found, "bios")["kind"] == "grub"
    assert entry_of(found, "uefi")["kind"] == "type1"
    assert [each["default"] for each in found["boot_entries"]] == [True, False, True, False]


def grub_program(folder: Path, prefix: str, *options: str) -> bytes:
    path = folder / "grub.efi"
    subprocess.run(
        ["grub-mkimage", "-O", "x86_64-efi", "-p", prefix, "-o", path, *options, "normal", "fat"],
        check=True,
    )  # fmt: skip
    return path.read_bytes()


def test_grub_on_an_esp_follows_its_menu_to_the_root(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "grub")
    assert entry_of(report(image.image), "uefi")["linux"] == "/boot/vmlinuz-6.1"
    # As Debian has it.
    put(image, "/EFI/BOOT/BOOTX64.EFI", grub_program(tmp_path, "/EFI/debian"), tmp_path)
    uuid = image.plan.root.uuid
    text = (
        f"search.fs_uuid {uuid} root \nset prefix=($root)'/boot/grub'\n"
        "configfile $prefix/grub.cfg\n"
    )
    mtools(image, "mmd", "::/EFI/debian")
    put(image, "/EFI/debian/grub.cfg", text.encode(), tmp_path)
    found = report(image.image)
    assert entry_of(found, "uefi")["where"] == "partition 2: /boot/grub/grub.cfg"
    assert "leads to partition 2: /boot/grub/grub.cfg" in found["boots"]["uefi"]["notes"]
    assert len(found["boot_entries"]) == 2


def test_without_a_loader_nothing_starts(tmp_path: Path) -> None:
    found = report(built(tmp_path, "efi", "none").image)
    assert {name: boot["starts"] for name, boot in found["boots"].items()} == {
        "bios": "no", "uefi": "no",
    }  # fmt: skip
    assert found["boot_entries"] == []
    assert len(found["kernels"]) == 2


def test_boot_code_of_others_is_not_judged(tmp_path: Path) -> None:
    image = built(tmp_path, "legacy", "none")
    with image.image.open("r+b") as file:
        file.write(b"\xfa\x33\xc0 some code of others")
    assert report(image.image)["boots"]["bios"]["starts"] == "unknown"


def test_a_nixos_generation_is_found_by_its_bootspec(tmp_path: Path) -> None:
    spec = (
        b'{"org.nixos.bootspec.v1": {"init": "/nix/store/s/init", "kernel": "/nix/store/k/bzImage",'
        b' "initrd": "/nix/store/i/initrd", "label": "NixOS"}}'
    )
    contents: dict[str, bytes | str] = {
        "nix/var/nix/profiles/system": "system-1-link",
        "nix/var/nix/profiles/system-1-link": "/nix/store/s",
        "nix/store/s/boot.json": spec,
        "nix/store/k/bzImage": X86_KERNEL,
        "nix/store/i/initrd": b"i",
        "nix/store/s/etc/os-release": b"ID=nixos\nPRETTY_NAME='NixOS 26.05'\n",
        "etc/os-release": "/etc/static/os-release",
        "etc/static": "/nix/store/s/etc",
    }
    found = report(built(tmp_path, "none", "none", contents).image)
    assert [each["pretty_name"] for each in found["system"]] == ["NixOS 26.05"]
    (kernel,) = found["kernels"]
    assert kernel == {
        "where": "disk", "path": "/nix/store/k/bzImage", "version": "6.1-given",
        "architecture": "x86_64", "initrd": "/nix/store/i/initrd", "bytes": len(X86_KERNEL),
    }  # fmt: skip


def test_links_in_circles_are_a_finding_and_the_rest_is_told(tmp_path: Path) -> None:
    contents = dict(CONTENTS) | {"etc/os-release": "a", "etc/a": "b", "etc/b": "/etc/a"}
    found = report(built(tmp_path, "none", "none", contents).image)
    assert found["findings"] == ["disk: /etc/os-release leads round in circles of symlinks"]
    assert len(found["kernels"]) == 2


def test_links_do_not_lead_out_of_the_image(tmp_path: Path) -> None:
    contents: dict[str, bytes | str] = {
        "etc/os-release": "../../../../../../../../etc/os-release-not-here"
    }
    found = report(built(tmp_path, "none", "none", contents).image)
    assert found["system"] == []


def test_no_control_character_of_an_image_is_told(tmp_path: Path) -> None:
    evil = b"PRETTY_NAME='\x1b[2J\xc2\x9bX\xff'\nID='a\x07'\n"
    image = built(tmp_path, "efi", "systemd-boot", {**CONTENTS, "etc/os-release": evil})
    put(image, "/loader/entries/e.conf", b"title \x1b]0;x\x07\nlinux /\x9b\x1bx\n", tmp_path)
    found = report(image.image)

    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for each in value.values() for text in texts(each)]
        if isinstance(value, list):
            return [text for each in value for text in texts(each)]
        return [value] if isinstance(value, str) else []

    assert all(text.isprintable() for text in texts(found))
    assert found["system"][0]["pretty_name"] == "\\x1b[2J\\x9bX\\udcff"


def test_a_kernel_on_the_removable_path_starts_itself(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "none")
    head = bytearray(X86_KERNEL)
    head[0:2], head[0x3C:0x40] = b"MZ", struct.pack("<I", 0x40)
    head[0x40:0x58] = struct.pack("<4sHH12xH2x", b"PE\0\0", 0x8664, 0, 0)
    mtools(image, "mmd", "::/EFI", "::/EFI/BOOT")
    put(image, "/EFI/BOOT/BOOTX64.EFI", bytes(head), tmp_path)
    entry = entry_of(report(image.image), "uefi")
    assert (entry["kind"], entry["linux"]) == ("kernel", "/EFI/BOOT/BOOTX64.EFI")


def test_grub_on_an_esp_reads_the_menu_that_it_was_made_for(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "grub")
    debugfs(image, "rm /boot/grub/grub.cfg")
    assert report(image.image)["boots"]["uefi"]["why_not"] == (
        "GRUB looks for partition 2: /boot/grub/grub.cfg, which is not there"
    )
    put(image, "/EFI/BOOT/BOOTX64.EFI", grub_program(tmp_path, "/efi/own"), tmp_path)
    mtools(image, "mmd", "::/EFI/Own")
    text = f"menuentry own {{ search --set=root --label root\nlinux /{'x' * 300}\n }}\n"
    put(image, "/EFI/Own/grub.cfg", text.encode(), tmp_path)
    found = report(image.image)
    (entry,) = found["boot_entries"]
    assert entry["where"] == "partition 1: /EFI/Own/grub.cfg"
    assert found["boots"]["uefi"]["starts"] == "no"
    assert entry["missing"] == [f"/{'x' * 300}"]


def test_a_script_that_grub_carries_is_noted(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "grub")
    (tmp_path / "early.cfg").write_text("configfile (hd0,gpt2)/boot/grub/grub.cfg\n")
    program = grub_program(tmp_path, "/EFI/own", "-c", str(tmp_path / "early.cfg"))
    put(image, "/EFI/BOOT/BOOTX64.EFI", program, tmp_path)
    found = report(image.image)
    assert entry_of(found, "uefi")["where"] == "partition 2: /boot/grub/grub.cfg"
    assert found["boots"]["uefi"]["notes"] == [
        "GRUB runs a script that it carries before it reads any menu"
    ]


EFI_DISK = """label: {label}
start=2048, size=81920, type={esp}
start=83968, size=40960, type={boot}
"""


@pytest.mark.parametrize(
    ("label", "esp", "boot"),
    [("dos", "ef", "ea"), ("gpt", "U", "BC13C2FF-59E6-4262-A352-B275FD6F7172")],
)
def test_entries_of_an_extended_boot_partition_count_too(
    tmp_path: Path, label: str, esp: str, boot: str
) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    script = EFI_DISK.format(label=label, esp=esp, boot=boot)
    run_tool(["sfdisk", "-q", image], input=script, text=True, check=True)
    loader = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
    (tmp_path / "kernel").write_bytes(X86_KERNEL)
    for start, entry in ((2048, "old"), (83968, "new")):
        place = f"{image}@@{start * 512}"
        (tmp_path / "conf").write_text(f"title {entry}\nversion {entry}\nlinux kernel\n")
        run_tool(
            ["mkfs.fat", "-F", "16", "--offset", str(start), image, "20000"],
            check=True, capture_output=True,
        )  # fmt: skip
        run_tool(["mmd", "-i", place, "::/loader", "::/loader/entries"], check=True)
        for source, target in (("conf", f"loader/entries/{entry}.conf"), ("kernel", "kernel")):
            run_tool(
                ["mcopy", "-i", place, tmp_path / source, f"::/{target}"], check=True
            )  # fmt: skip
    place = f"{image}@@{2048 * 512}"
    run_tool(["mmd", "-i", place, "::/EFI", "::/EFI/BOOT"], check=True)
    run_tool(["mcopy", "-i", place, loader, "::/EFI/BOOT/BOOTX64.EFI"], check=True)
    found = report(image)
    assert found["findings"] == []
    assert [each["title"] for each in found["boot_entries"]] == ["old", "new"]
    assert entry_of(found, "uefi")["where"] == "partition 1: /loader/entries/old.conf"


def test_shim_starts_what_lies_beside_it(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "grub")
    program = grub_program(tmp_path, "(,gpt2)/boot/grub")
    put(image, "/EFI/BOOT/BOOTX64.EFI", program + b"\nshim,1,UEFI shim,shim,1,", tmp_path)
    found = report(image.image)
    assert found["boots"]["uefi"]["why_not"] == (
        "shim starts partition 1: /EFI/BOOT/grubx64.efi, which is not there"
    )
    put(image, "/EFI/BOOT/grubx64.efi", program, tmp_path)
    found = report(image.image)
    assert entry_of(found, "uefi")["kind"] == "grub"
    assert found["boots"]["uefi"]["chain"] == [
        "partition 1: /EFI/BOOT/BOOTX64.EFI: shim",
        "partition 1: /EFI/BOOT/grubx64.efi: GRUB",
        "partition 2: /boot/grub/grub.cfg",
    ]


def test_shims_fallback_starts_what_a_vendor_lists(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "grub")
    program = grub_program(tmp_path, "(,gpt2)/boot/grub")
    shim = program + b"\nshim,1,UEFI shim,shim,1,"
    put(image, "/EFI/BOOT/BOOTX64.EFI", shim, tmp_path)
    put(image, "/EFI/BOOT/fbx64.efi", program, tmp_path)
    put(image, "/EFI/BOOT/BOOTX64.CSV", "BOOTX64.EFI,round,,".encode("utf-16"), tmp_path)
    assert "finds no list" in report(image.image)["boots"]["uefi"]["why_not"]
    mtools(image, "mmd", "::/EFI/fedora")
    lines = "shimx64.efi,Fedora,,This is the boot entry for Fedora\n".encode("utf-16")
    for name, data in (("BOOTX64.CSV", lines), ("shimx64.efi", shim), ("grubx64.efi", program)):
        put(image, f"/EFI/fedora/{name}", data, tmp_path)
    found = report(image.image)
    assert entry_of(found, "uefi")["kind"] == "grub"
    assert [step.rpartition("/")[2] for step in found["boots"]["uefi"]["chain"]] == [
        "BOOTX64.EFI: shim", "fbx64.efi", "shimx64.efi: shim", "grubx64.efi: GRUB", "grub.cfg",
    ]  # fmt: skip


def test_more_entries_than_any_menu_has_are_a_finding(tmp_path: Path) -> None:
    entries = {f"loader/entries/{n:04}.conf": b"title x\n" for n in range(600)}
    found = report(built(tmp_path, "none", "none", entries).image)
    assert len(found["boot_entries"]) == 512
    assert "disk: /loader/entries has over 512 entries; the rest is left out" in found["findings"]


def test_people_are_told_the_same(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "systemd-boot")
    mtools(image, "mdel", "::/some/5.10/initrd")
    uuid = image.plan.root.uuid
    lines = image_lines(report(image.image))
    loader = next(line for line in lines if "BOOTX64.EFI: systemd-boot" in line)
    assert lines[lines.index("system:") :] == [
        "system:",
        "  partition 2: Some System 7",
        "",
        "kernels:",
        "  partition 2: /boot/vmlinuz-6.1",
        "    6.1-given, x86_64, 4.0 KiB",
        "    initrd  /boot/initrd.img-6.1",
        "  partition 2: /boot/vmlinuz-5.10",
        "    6.1-given, x86_64, 4.0 KiB",
        "    initrd  /boot/initrd.img-5.10",
        "  partition 1: /some/6.1/linux",
        "    6.1-given, x86_64, 4.0 KiB",
        "    initrd  /some/6.1/initrd",
        "  partition 1: /some/5.10/linux",
        "    6.1-given, x86_64, 4.0 KiB",
        "    initrd  /some/5.10/initrd",
        "",
        "boot entries:",
        "  Some System 7, 6.1 (default)",
        "    partition 1: /loader/entries/some-6.1.conf, type 1 entry",
        "    linux   /some/6.1/linux",
        "    initrd  /some/6.1/initrd",
        f"    options root=UUID={uuid} rw quiet",
        "  Some System 7, 5.10",
        "    partition 1: /loader/entries/some-5.10.conf, type 1 entry",
        "    linux   /some/5.10/linux",
        "    initrd  /some/5.10/initrd",
        f"    options root=UUID={uuid} rw quiet",
        "    missing /some/5.10/initrd",
        "",
        "would boot:",
        "  BIOS: nothing: the boot sector has no boot code",
        "  UEFI: Some System 7, 6.1",
        f"  {loader}",
        "    partition 1: /loader/entries/some-6.1.conf",
        "",
        "findings:",
        "  partition 1: /loader/entries/some-5.10.conf names /some/5.10/initrd, which is not there",
    ]


def test_firmware_may_start_a_partition_that_is_not_marked_for_it(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "systemd-boot")
    run_tool(["sgdisk", "-t", "1:0700", image.image], check=True, capture_output=True)
    found = report(image.image)
    assert entry_of(found, "uefi")["version"] == "6.1"
    assert found["boots"]["uefi"]["notes"] == [
        "partition 1 is not marked as an EFI system partition; some firmware minds"
    ]
    mtools(image, "mdeltree", "::/EFI")
    assert report(image.image)["boots"]["uefi"]["why_not"] == "there is no EFI system partition"


def test_a_marked_partition_without_fat_is_said(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "systemd-boot")
    with image.image.open("r+b") as file:
        file.seek(image.plan.offset("esp"))
        file.write(bytes(4096))
    assert report(image.image)["boots"]["uefi"]["why_not"] == (
        "the EFI system partition, partition 1, has no readable FAT file system"
    )


def test_other_machines_start_by_their_own_name(tmp_path: Path) -> None:
    image = built(tmp_path, "efi", "uki")
    mtools(image, "mcopy", "::/EFI/BOOT/BOOTX64.EFI", str(tmp_path / "uki"))
    mtools(image, "mdel", "::/EFI/BOOT/BOOTX64.EFI")
    program = (tmp_path / "uki").read_bytes().replace(b"PE\0\0\x64\x86", b"PE\0\0\x64\xaa", 1)
    put(image, "/EFI/BOOT/BOOTAA64.EFI", program, tmp_path)
    entry = entry_of(report(image.image), "uefi")
    assert entry["where"] == "partition 1: /EFI/BOOT/BOOTAA64.EFI"
