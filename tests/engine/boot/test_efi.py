from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from engine.boot.efi import device_path, variables
from engine.boot.firmware import find_firmware
from engine.pipeline.failure import StepFailed
from engine.pipeline.steps import loader

GUID = "1c06f03b-704e-4657-b9cd-681a087a2fdc"


def test_virt_firmware_reads_the_boot_entry_back(tmp_path: Path) -> None:
    firmware = find_firmware()
    assert firmware is not None, "ovmf is not installed"
    path = device_path(1, 2048, 131072, GUID, r"\EFI\systemd\systemd-bootx64.efi")
    store = tmp_path / "vars.fd"
    loader._fill(firmware.variables, variables([("Debian", path), ("Older", path)]), store)
    tool = Path(sys.executable).with_name("virt-fw-vars")
    shown = subprocess.run(
        [tool, "-i", store, "--print", "--verbose"], check=True, capture_output=True, text=True
    ).stdout
    assert 'title="Debian"' in shown
    assert 'title="Older"' in shown
    assert r"\EFI\systemd\systemd-bootx64.efi" in shown
    assert uuid.UUID(GUID).bytes_le in store.read_bytes()


@pytest.mark.parametrize("size", [0, 4096, 1 << 20])
def test_what_is_no_variable_store_is_refused(tmp_path: Path, size: int) -> None:
    template, store = tmp_path / "odd.fd", tmp_path / "vars.fd"
    template.write_bytes(bytes(size))
    with pytest.raises(StepFailed, match=r"odd\.fd is no variable store"):
        loader._fill(template, variables([("X", b"")]), store)


def test_a_full_store_is_refused(tmp_path: Path) -> None:
    firmware = find_firmware()
    assert firmware is not None
    many = [(str(number), bytes(8000)) for number in range(100)]
    with pytest.raises(StepFailed, match="room for boot entries"):
        loader._fill(firmware.variables, variables(many), tmp_path / "vars.fd")
