from __future__ import annotations

import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.boot.efi import device_path, variables
from engine.boot.firmware import find_firmware
from engine.pipeline.steps import loader
from engine.tools import runner
from engine.tools.environment import tool_environment
from engine.tools.extras import EFI, find_program
from engine.tools.failure import StepFailed

GUID = "1c06f03b-704e-4657-b9cd-681a087a2fdc"


def tool_in(folder: Path) -> loader.Tool:
    """Returns what runs a command there, as a step does."""

    async def tool(argv: Sequence[str]) -> object:
        return await runner.run(
            argv, step="efi-variables", emit=lambda _: None, env=tool_environment(0), cwd=folder
        )

    return tool


async def test_virt_firmware_reads_the_boot_entry_back(tmp_path: Path) -> None:
    firmware = find_firmware()
    assert firmware is not None, "ovmf is not installed"
    path = device_path(1, 2048, 131072, GUID, r"\EFI\systemd\systemd-bootx64.efi")
    store = tmp_path / "vars.fd"
    await loader.fill(
        tool_in(tmp_path), firmware.variables, variables([("Debian", path), ("Older", path)]), store
    )
    tool = find_program(EFI)
    assert tool is not None
    shown = subprocess.run(  # noqa: ASYNC221 - a reader of what is there
        [tool, "-i", store, "--print", "--verbose"], check=True, capture_output=True, text=True
    ).stdout
    assert 'title="Debian"' in shown
    assert 'title="Older"' in shown
    assert r"\EFI\systemd\systemd-bootx64.efi" in shown
    assert uuid.UUID(GUID).bytes_le in store.read_bytes()


@pytest.mark.parametrize("size", [0, 4096, 1 << 20])
async def test_what_is_no_variable_store_is_refused(tmp_path: Path, size: int) -> None:
    template, store = tmp_path / "odd.fd", tmp_path / "vars.fd"
    template.write_bytes(bytes(size))
    with pytest.raises(StepFailed, match=r"odd\.fd did not take the boot entries: \S"):
        await loader.fill(tool_in(tmp_path), template, variables([("X", b"")]), store)


async def test_a_full_store_is_refused(tmp_path: Path) -> None:
    firmware = find_firmware()
    assert firmware is not None
    many = [(str(number), bytes(8000)) for number in range(100)]
    with pytest.raises(StepFailed, match="did not take the boot entries") as failed:
        await loader.fill(
            tool_in(tmp_path), firmware.variables, variables(many), tmp_path / "vars.fd"
        )
    assert "room for boot entries" in failed.value.hint
