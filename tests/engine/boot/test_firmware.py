"""Where firmware and loaders are found, on hosts of several kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.boot import firmware
from engine.boot.firmware import find_firmware, find_grub, find_mkimage, find_systemd_boot
from tests.support.tools import hide_tools


def file(path: Path, size: int = 1, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    path.chmod(mode)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host that has nothing yet, its commands in a folder of their own."""
    for table in ("_OVMF", "_AAVMF", "_SYSTEMD_BOOT", "_GRUB"):
        monkeypatch.setattr(firmware, table, ())
    (tmp_path / "prefix" / "bin").mkdir(parents=True)
    hide_tools(monkeypatch, tmp_path / "prefix" / "bin")
    return tmp_path


def test_code_and_variables_come_in_pairs(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lone, code, store = bare / "lone.fd", bare / "code.fd", bare / "vars.fd"
    file(lone), file(code), file(store, 4)
    pairs = ((str(lone), str(bare / "none.fd")), (str(code), str(store)))
    monkeypatch.setattr(firmware, "_OVMF", pairs)
    assert find_firmware() == firmware.Firmware(code, store)


def test_each_architecture_has_its_own(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, store = file(bare / "code.fd"), file(bare / "vars.fd")
    monkeypatch.setattr(firmware, "_AAVMF", ((str(code), str(store)),))
    assert find_firmware() is None
    assert find_firmware(architecture="aarch64") == firmware.Firmware(code, store)
    assert find_firmware(architecture="riscv64") is None


def test_a_store_selects_the_code_whose_template_has_its_size(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = []
    for size in (2, 4):
        code, store = bare / f"code{size}.fd", bare / f"vars{size}.fd"
        file(code), file(store, size)
        pairs.append((str(code), str(store)))
    monkeypatch.setattr(firmware, "_OVMF", tuple(pairs))
    own = file(bare / "own.fd", 4)
    assert find_firmware(variables=str(own)) == firmware.Firmware(bare / "code4.fd", own)
    assert find_firmware(variables=str(file(bare / "odd.fd", 3))) is None


def test_firmware_that_is_named_is_taken_or_missing(bare: Path) -> None:
    code, store = file(bare / "MY_CODE.fd"), file(bare / "MY_VARS.fd")
    assert find_firmware(str(code)) == firmware.Firmware(code, store)
    store.unlink()
    assert find_firmware(str(code)) is None


@pytest.mark.parametrize("command", ["grub-mkimage", "grub2-mkimage"])
def test_grub_is_found_beside_its_command_even_through_links(bare: Path, command: str) -> None:
    assert (find_mkimage(), find_grub("i386-pc")) == (None, None)
    kept = bare / "store" / "grub-2"
    tool = file(kept / "bin" / command, mode=0o755)
    (bare / "prefix" / "bin" / command).symlink_to(tool)
    module = file(kept / "lib/grub/i386-pc/kernel.img")
    assert find_mkimage() == str(bare / "prefix" / "bin" / command)
    assert find_grub("i386-pc") == module
    assert find_grub("x86_64-efi") is None


def test_systemd_boot_is_found_beside_bootctl(bare: Path) -> None:
    assert find_systemd_boot("systemd-bootx64.efi") is None
    file(bare / "prefix/bin/bootctl", mode=0o755)
    wanted = file(bare / "prefix/lib/systemd/boot/efi/systemd-bootx64.efi")
    assert find_systemd_boot("systemd-bootx64.efi") == wanted
