"""What makes the disk start: boot code outside partitions, and the firmware's boot variables."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from engine.boot.efi import device_path, variables
from engine.boot.grub import SECTOR, BootCode, boot_sector
from engine.pipeline.failure import StepFailed
from engine.pipeline.staging import EFI_JSON, EFI_VARIABLES
from engine.pipeline.work import Work
from engine.plan.model import Plan
from engine.plan.outputs import EFI_VARIABLES as OUTPUT

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
    """Makes the variable store, and reads back the entry that starts the image.

    Raises:
        StepFailed: The store does not hold the entry.
    """
    plan, folder = work.plan, work.staging.folder
    store = folder / EFI_VARIABLES
    if not work.step.argv:
        assert plan.boot.uefi is not None
        shutil.copyfile(plan.boot.uefi.variables, store)
        work.note("no ESP to point at: the firmware's own store, as it is")
    else:
        wanted = entry(plan)
        (folder / EFI_JSON).write_text(json.dumps(wanted))
        for argv in work.step.argv:
            await work.tool(argv)
        await _read_back(work, wanted)
    work.staging.complete(store, OUTPUT)


def entry(plan: Plan) -> dict[str, object]:
    """Returns the boot variables of an image, in the form of `virt-fw-vars --set-json`."""
    esp = plan.partition("esp")
    assert esp.guid is not None
    place = esp.number, esp.start, esp.sectors, esp.guid
    return variables(
        [
            (title, device_path(*place, "\\" + path.replace("/", "\\")))
            for title, path in plan.boot.efi_entries
        ]
    )


async def _read_back(work: Work, wanted: dict[str, object]) -> None:
    tool = work.step.argv[-1][0]
    await work.tool((tool, "-i", EFI_VARIABLES, "--output-json", EFI_JSON), quiet=True)
    found = json.loads((work.staging.folder / EFI_JSON).read_text())
    held = [(v["name"], v["guid"], v["data"]) for v in found["variables"]]
    asked = wanted["variables"]
    assert isinstance(asked, list)
    lost = [v["name"] for v in asked if (v["name"], v["guid"], v["data"]) not in held]
    if lost:
        raise StepFailed(f"efi-vars.fd does not hold {', '.join(lost)} as written", _FAULT)
    work.note(f"read back: {', '.join(v['name'] for v in asked)}")
