from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

from engine.boot.efi import device_path, variables
from engine.boot.firmware import find_firmware

GUID = "1c06f03b-704e-4657-b9cd-681a087a2fdc"


def test_virt_firmware_reads_the_boot_entry_back(tmp_path: Path) -> None:
    firmware = find_firmware()
    assert firmware is not None, "ovmf is not installed"
    path = device_path(1, 2048, 131072, GUID, r"\EFI\systemd\systemd-bootx64.efi")
    store, wanted = tmp_path / "vars.fd", tmp_path / "vars.json"
    wanted.write_text(json.dumps(variables([("Debian", path), ("Older", path)])))
    tool = Path(sys.executable).with_name("virt-fw-vars")
    subprocess.run(
        [tool, "-i", firmware.variables, "-o", store, "--set-json", wanted],
        check=True, capture_output=True,
    )  # fmt: skip
    shown = subprocess.run(
        [tool, "-i", store, "--print", "--verbose"], check=True, capture_output=True, text=True
    ).stdout
    assert 'title="Debian"' in shown
    assert 'title="Older"' in shown
    assert r"\EFI\systemd\systemd-bootx64.efi" in shown
    assert uuid.UUID(GUID).bytes_le in store.read_bytes()
