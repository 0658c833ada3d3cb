"""Kernels and loaders for machines other than the one that builds."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.boot import firmware
from engine.boot.architecture import pe_machine
from engine.boot.install import Installed
from engine.boot.packed import UNKNOWN, BadKernel, described, identify, unpacked
from engine.cli import exits
from engine.cli.main import main
from engine.manifest.entry import SourceChanged
from engine.manifest.lookup import read
from engine.manifest.memory import file_of
from tests.engine.boot.test_install import content, installed, paths
from tests.engine.boot.trees import ARM64_KERNEL, X86_KERNEL, zboot_kernel

Files = dict[str, bytes | str]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": lambda data: zstandard.ZstdCompressor(level=19).compress(data),
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
}
LONG = ARM64_KERNEL + bytes(range(256)) * 20_000
LOADER = "usr/lib/systemd/boot/efi/systemd-bootaa64.efi"
STUB = "usr/lib/systemd/boot/efi/linuxaa64.efi.stub"


def program(machine: int) -> bytes:
    """Returns a small EFI program that can be extended (Microsoft, "PE Format")."""
    head = bytearray(1024)
    head[:2] = b"MZ"
    struct.pack_into("<I", head, 0x3C, 64)
    struct.pack_into("<4sHHIIIHH", head, 64, b"PE\0\0", machine, 1, 0, 0, 0, 240, 0x22E)
    struct.pack_into("<H", head, 88, 0x20B)
    struct.pack_into("<II", head, 88 + 32, 4096, 512)
    struct.pack_into("<II", head, 88 + 56, 8192, 1024)
    struct.pack_into("<8sIIII", head, 88 + 240, b".text", 512, 4096, 512, 1024)
    return bytes(head) + bytes(512)


def arm(kernel: bytes = ARM64_KERNEL, **more: bytes | str) -> Files:
    return {"boot/vmlinuz-6.8": kernel, "boot/initrd.img-6.8": b"initrd", **more}


def brought(kernel: bytes = ARM64_KERNEL, machine: int = 0xAA64) -> Files:
    return arm(kernel) | {LOADER: program(machine), STUB: program(machine)}


@pytest.mark.parametrize("packing", PACKERS)
def test_a_packed_kernel_is_told_and_unpacked_on_the_esp(packing: str) -> None:
    kernel = PACKERS[packing](LONG)
    kind = identify(kernel)
    assert kind.architecture is not None
    assert (kind.architecture.name, kind.packing) == ("aarch64", packing)
    done = installed(brought(kernel))
    assert done.boot.problems == ()
    assert content(done.volumes["esp"], "linux/6.8/linux") == LONG
    assert content(done.volumes["root"], "boot/vmlinuz-6.8") == kernel
    uki = content(installed(brought(kernel), loader="uki").volumes["esp"], "EFI/BOOT/BOOTAA64.EFI")
    assert LONG in uki


@pytest.mark.parametrize("packing", [b"gzip", b"zstd", b"xzkern", b"lz4"])
def test_a_kernel_that_unpacks_itself_is_taken_as_it_is(packing: bytes) -> None:
    kernel = zboot_kernel(packing)
    done = installed(brought(kernel))
    assert done.boot.problems == ()
    assert done.boot.architecture == "aarch64"
    assert content(done.volumes["esp"], "linux/6.8/linux") == kernel


def test_what_follows_a_packed_kernel_is_no_part_of_it() -> None:
    # Boards append device trees to an Image.gz.
    entry = file_of(b"k", gzip.compress(LONG, mtime=0) + b"\xd0\x0d\xfe\xed" * 99, mtime_ns=0)
    assert read(unpacked(b"k", entry), 1 << 30) == LONG


@settings(deadline=None)
@given(st.sampled_from(sorted(PACKERS)), st.binary(max_size=5000), st.integers(0, 2000))
def test_unpacking_is_the_inverse_of_packing(packing: str, data: bytes, zeros: int) -> None:
    data += bytes(zeros * 1000)
    entry = file_of(b"k", PACKERS[packing](data), mtime_ns=0)
    new = unpacked(b"k", entry)
    assert new.size == len(data)
    assert read(new, len(data) + 1) == data


@pytest.mark.parametrize("packing", PACKERS)
def test_a_damaged_kernel_is_named(packing: str) -> None:
    kernel = PACKERS[packing](LONG)
    (problem,) = installed(brought(kernel[:-20])).boot.problems
    assert (problem.severity, problem.code) == ("error", "loader-failed")
    assert "/boot/vmlinuz-6.8 cannot be unpacked" in problem.message


def test_a_kernel_that_changes_after_planning_is_noticed() -> None:
    entry = file_of(b"k", gzip.compress(LONG, mtime=0), mtime_ns=0)
    new = unpacked(b"k", entry)
    entry.stamp = gzip.compress(LONG + b"more", mtime=0)
    with pytest.raises(SourceChanged, match="unpacks to"):
        read(new, 1 << 30)
    with pytest.raises(BadKernel, match="is not packed"):
        unpacked(b"k", file_of(b"k", b"plain", mtime_ns=0))


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (b"\x7fELF" + bytes(99), "is an ELF file"),
        (gzip.compress(b"\x7fELF" * 99, mtime=0), "is packed with gzip and holds an ELF file"),
        (b"\x02\x21\x4c\x18" + bytes(99), "is packed with lz4, which is not unpacked here"),
        (b"\x27\x05\x19\x56" + bytes(99), "is an image for U-Boot"),
        (b"\xd0\x0d\xfe\xed" + bytes(99), "is a FIT image"),
        (b"", "is empty"),
        (gzip.compress(bytes(9999), mtime=0), "is packed with gzip, and what is in it has neither"),
        (b"text", "has neither the header of an x86-64 bzImage nor that of an arm64 Image"),
    ],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_kernel_is_named(kernel: bytes, said: str) -> None:
    assert described(identify(kernel))[0].startswith(said)
    (problem,) = installed(arm(kernel)).boot.problems
    assert (problem.severity, problem.code) == ("error", "kernel-unknown")
    assert said in problem.message


@given(st.binary(max_size=4000))
def test_any_bytes_are_identified(data: bytes) -> None:
    assert all(described(identify(data)))
    assert all(described(UNKNOWN))


def test_grub_is_given_no_packed_kernel() -> None:
    files = arm(gzip.compress(X86_KERNEL, mtime=0))
    for table, loader in (("legacy", "grub"), ("efi", "grub"), ("hybrid", "systemd-boot")):
        (problem,) = installed(files, table=table, loader=loader).boot.problems
        assert (problem.severity, problem.code) == ("error", "kernel-packed")


# Loaders.


def esp_of(done: Installed) -> list[str]:
    return [path for path in paths(done.volumes["esp"]) if path.upper().endswith(".EFI")]


def test_the_contents_loader_is_taken_where_this_machine_has_none() -> None:
    done = installed(brought())
    assert esp_of(done) == ["EFI/BOOT/BOOTAA64.EFI", "EFI/systemd/systemd-bootaa64.efi"]
    assert content(done.volumes["esp"], "EFI/BOOT/BOOTAA64.EFI") == program(0xAA64)
    done = installed(brought(), loader="uki")
    assert esp_of(done) == ["EFI/BOOT/BOOTAA64.EFI"]
    assert pe_machine(content(done.volumes["esp"], "EFI/BOOT/BOOTAA64.EFI")) == 0xAA64
    riscv = bytearray(ARM64_KERNEL)
    riscv[0x38:0x3C] = b"RSC\x05"
    other: Files = {LOADER.replace("aa64", "riscv64"): program(0x5064)}
    assert esp_of(installed(arm(bytes(riscv)) | other))[0] == "EFI/BOOT/BOOTRISCV64.EFI"


def test_a_nixos_systems_own_loader_is_taken_too() -> None:
    files = arm() | {
        "nix/var/nix/profiles/system": "/nix/store/t", "nix/store/t/systemd": "/nix/store/s",
        "nix/store/s/lib/systemd/boot/efi/systemd-bootaa64.efi": program(0xAA64),
    }  # fmt: skip
    assert esp_of(installed(files))[0] == "EFI/BOOT/BOOTAA64.EFI"


def test_this_machines_loader_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    files: Files = {
        "boot/vmlinuz-6.8": X86_KERNEL, "boot/initrd.img-6.8": b"i",
        LOADER.replace("aa64", "x64"): program(0x8664),
    }  # fmt: skip
    own = content(installed(files).volumes["esp"], "EFI/BOOT/BOOTX64.EFI")
    assert own != program(0x8664)
    monkeypatch.setattr(firmware, "_SYSTEMD_BOOT", ())
    monkeypatch.setattr(firmware, "_SYSTEMD_COMMANDS", ())
    theirs = content(installed(files).volumes["esp"], "EFI/BOOT/BOOTX64.EFI")
    assert theirs == program(0x8664)


@pytest.mark.parametrize("loader", ["systemd-boot", "uki"])
def test_a_loader_for_another_machine_is_refused(loader: str) -> None:
    (problem,) = installed(brought(machine=0x8664), loader=loader).boot.problems
    assert (problem.severity, problem.code) == ("error", "loader-failed")
    assert "is not an EFI program for aarch64" in problem.message


# Plans.


def planned(
    folder: Path, files: Files, capsys: pytest.CaptureFixture[str], *overrides: str
) -> tuple[int, str, str]:
    for name, data in files.items():
        path = folder / "r" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, bytes):
            path.write_bytes(data)
        else:
            path.symlink_to(data)
    spec = folder / "spec.toml"
    spec.write_text(
        'schema = 1\n[layout]\ntable = "efi"\n[size]\nadditional = "4MiB"\n'
        '[[contents]]\nsource = "r/"\ntarget = "/"\n'
    )
    sets = [word for override in overrides for word in ("--set", override)]
    code = main(["plan", str(spec), "--json", *sets])
    out, err = capsys.readouterr()
    return code, out, err


ARM64_ROOT = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"
X86_64_ROOT = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
RISCV64_ROOT = "72EC70A6-CF74-40E6-BD49-4BDA08E8F224"
_ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (arm(), ARM64_ROOT), (arm(zboot_kernel()), ARM64_ROOT),
        (arm(gzip.compress(LONG, mtime=0)), ARM64_ROOT),
        (arm(zboot_kernel(machine=0x5064)), RISCV64_ROOT), (arm(X86_KERNEL), X86_64_ROOT),
        ({"boot/Image": ARM64_KERNEL}, ARM64_ROOT),
        ({"usr/lib/modules/6/vmlinuz": ARM64_KERNEL}, ARM64_ROOT),
        ({"bin/busybox": _ELF + b"\xb7\0" + bytes(99)}, ARM64_ROOT),
        ({"sbin/init": "../bin/busybox", "bin/busybox": _ELF + b"\xf3\0"}, RISCV64_ROOT),
        ({"lib/ld-linux-aarch64.so.1": b""}, ARM64_ROOT),
        ({"lib64/ld-linux-x86-64.so.2": b"", "boot/vmlinuz-6": ARM64_KERNEL}, X86_64_ROOT),
        ({"etc/hostname": b"x", "bin/sh": b"\x7fELF"}, X86_64_ROOT),
    ],
    ids=range(12),
)  # fmt: skip
def test_the_roots_partition_has_the_type_of_its_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: Files, expected: str
) -> None:
    code, out, err = planned(tmp_path, files, capsys)
    assert code == 0, err
    assert json.loads(out)["partitions"][1]["type"] == expected


@pytest.mark.parametrize("loader", ["systemd-boot", "uki"])
def test_an_arm64_plan_has_the_type_too_and_says_where_a_loader_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], loader: str
) -> None:
    code, out, err = planned(tmp_path, arm(), capsys, f"boot.loader={loader}")
    assert code == exits.REFUSED
    name = Path(STUB if loader == "uki" else LOADER).name
    (problem,) = (p for p in json.loads(out)["problems"] if p["severity"] == "error")
    assert name in problem["message"]
    assert f"/usr/lib/systemd/boot/efi/{name}" in problem["hint"]
    assert "apt-get" not in problem["hint"]
    code, out, err = planned(tmp_path, brought(), capsys, f"boot.loader={loader}")
    assert code == 0, err
    assert json.loads(out)["partitions"][1]["type"] == ARM64_ROOT
