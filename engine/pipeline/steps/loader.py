"""What makes the disk start: boot code outside partitions, and the firmware's boot variables."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.boot.efi import ATTRIBUTES, GLOBAL_VARIABLE, Variable, device_path, variables
from engine.boot.grub import SECTOR, BootCode, boot_sector
from engine.pipeline.failure import StepFailed
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
    """Makes the variable store, and reads back the entries that start the image.

    Raises:
        StepFailed: The firmware's store cannot take them.
    """
    plan, part = work.plan, work.staging.part(OUTPUT)
    assert plan.boot.uefi is not None
    template = plan.boot.uefi.variables
    if plan.has("esp"):
        wanted = entries(plan)
        await asyncio.to_thread(_fill, template, wanted, part)
        work.note(f"read back: {', '.join(variable.name for variable in wanted)}")
    else:
        shutil.copyfile(template, part)
        work.note("no ESP to point at: the firmware's own store, as it is")
    work.staging.complete(part, OUTPUT)


def entries(plan: Plan) -> tuple[Variable, ...]:
    """Returns the boot variables of an image."""
    esp = plan.partition("esp")
    assert esp.guid is not None
    place = esp.number, esp.start, esp.sectors, esp.guid
    return variables(
        [
            (title, device_path(*place, "\\" + path.replace("/", "\\")))
            for title, path in plan.boot.efi_entries
        ]
    )


def _fill(template: Path, wanted: Sequence[Variable], store: Path) -> None:
    from virt.firmware.efi.efivar import EfiVar
    from virt.firmware.varstore.edk2 import Edk2VarStore

    try:
        with _unlogged():
            empty = Edk2VarStore(str(template))
            held = empty.get_varlist()
            for one in wanted:
                held[one.name] = EfiVar(one.name, GLOBAL_VARIABLE, ATTRIBUTES, one.data)
            store.write_bytes(empty.bytes_varstore(held))
    except SystemExit as error:  # how the library says no
        raise StepFailed(
            f"{template} is no variable store of EDK2 firmware with room for boot entries",
            "name another in boot.firmware_variables",
        ) from error
    found = store.read_bytes()
    lost = [one.name for one in wanted if one.stored() not in found]
    if lost:
        raise StepFailed(f"efi-vars.fd does not hold {', '.join(lost)} as written", _FAULT)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keeps a library that logs to the root logger off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
