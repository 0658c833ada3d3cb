"""What makes the disk start: boot code outside partitions, and the firmware's boot variables."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from engine.boot.efi import Variable, as_json, device_path, variables
from engine.boot.grub import SECTOR, BootCode, boot_sector
from engine.pipeline.work import Work
from engine.plan.model import Plan
from engine.plan.outputs import EFI_VARIABLES as OUTPUT
from engine.tools.extras import EFI, extra_hint, find_program
from engine.tools.failure import StepFailed

Tool = Callable[[Sequence[str]], Awaitable[object]]

_FAULT = "this is a fault of Diskwright; please report it with build.jsonl"


async def boot_code(work: Work) -> None:
    """Writes the boot sector's code and core.img, and reads both back.

    Raises:
        StepFailed: What is read is not what was written.
    """
    code = work.plan.boot.code
    assert code is not None
    await work.thread(lambda report: _write(work.image, code))
    work.note(f"read back: boot sector, and {code.sectors} sectors of core.img from {code.lba}")


def _write(image: Path, code: BootCode) -> None:
    with image.open("r+b") as disk:
        old = disk.read(SECTOR)
        sector = boot_sector(code, old)
        disk.seek(0)
        disk.write(sector)
        disk.seek(code.lba * SECTOR)
        disk.write(code.core)
        disk.flush()
        os.fsync(disk.fileno())
    with image.open("rb") as disk:
        wrong = []
        if disk.read(SECTOR) != sector:
            wrong.append("the boot sector")
        disk.seek(code.lba * SECTOR)
        if disk.read(len(code.core)) != code.core:
            wrong.append("core.img")
    if wrong:
        raise StepFailed(f"{' and '.join(wrong)} cannot be read back as written", _FAULT)


async def efi_variables(work: Work) -> None:
    """Makes the variable store, and reads back the entries that boot the image.

    Raises:
        StepFailed: The firmware's store cannot take them.
    """
    plan, part = work.plan, work.staging.part(OUTPUT)
    assert plan.boot.uefi is not None
    template = plan.boot.uefi.variables
    if plan.has("esp"):
        wanted = entries(plan)
        await fill(work.tool, template, wanted, part)
        work.note(f"read back: {', '.join(variable.name for variable in wanted)}")
    else:
        shutil.copyfile(template, part)
        work.note("no ESP to point at: the firmware's own store, as it is")
    work.staging.complete(part, OUTPUT)


def entries(plan: Plan) -> tuple[Variable, ...]:
    """Returns the boot variables of an image."""
    esp = plan.of_role("esp")
    assert esp is not None
    assert esp.guid is not None
    place = esp.number, esp.start, esp.sectors, esp.guid
    return variables(
        [
            (title, device_path(*place, "\\" + path.replace("/", "\\")))
            for title, path in plan.boot.efi_entries
        ]
    )


async def fill(tool: Tool, template: Path, wanted: Sequence[Variable], store: Path) -> None:
    """Puts variables into a copy of the firmware's store, and reads them back.

    virt-firmware is GPL-2.0-only: it is run as the program it is, never imported.

    Args:
        tool: Runs a command in the store's folder.
        template: The firmware's own store.
        wanted: What goes in.
        store: The copy.

    Raises:
        StepFailed: The program is missing, the template is not a variable store, or has no room.
    """
    program = find_program(EFI)
    if program is None:
        raise StepFailed(f"{EFI.program} is not installed", extra_hint(EFI))
    asked = store.with_suffix(".json")
    asked.write_text(json.dumps(as_json(wanted)), encoding="ascii")
    argv = (
        program, "-i", str(template),
        "-o", store.name, "--set-json", asked.name,
    )  # fmt: skip
    try:
        await tool(argv)
        found = await asyncio.to_thread(store.read_bytes)
    except (StepFailed, FileNotFoundError) as error:
        why = error.message if isinstance(error, StepFailed) else "virt-fw-vars wrote no store"
        raise StepFailed(
            f"a copy of {template} did not take the boot entries: {why}",
            "where it is not a variable store of EDK2 firmware, or has no room for boot entries, "
            "name another in boot.firmware_variables",
        ) from error
    finally:
        asked.unlink()
    lost = [one.name for one in wanted if one.stored() not in found]
    if lost:
        raise StepFailed(f"efi-vars.fd does not hold {', '.join(lost)} as written", _FAULT)
