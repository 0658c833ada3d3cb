"""The image as a sparse file, and its partitions by libparted, to the sector."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from engine.pipeline.work import Work
from engine.plan.model import DiskPlan, Plan, VolumePlan
from engine.tools.environment import set_variables
from engine.tools.failure import StepFailed
from engine.tools.influences import LIBPARTED

with set_variables(LIBPARTED):
    import parted

_LABELS = {"gpt": "gpt", "mbr": "msdos"}
_PRIMARIES = 4
"""Entries of an MBR; libparted numbers logical partitions from 5 on."""
# pyparted's exceptions have no base of their own.
_TROUBLES = (
    parted.ConstraintException,
    parted.CreateException,
    parted.DeviceException,
    parted.DiskException,
    parted.DiskLabelException,
    parted.GeometryException,
    parted.IOException,
    parted.PartedException,
    parted.PartitionException,
)
# libparted reads the sector size of an image file from this variable, for the whole process.
_SECTOR_VARIABLE = "PARTED_SECTOR_SIZE"


async def allocate(work: Work) -> None:
    """Makes the image as one hole of the planned size."""
    with work.image.open("xb") as image:
        image.truncate(work.plan.disk.bytes)


async def partition(work: Work) -> None:
    """Writes the partition table with every partition exactly where the plan has it."""
    await work.thread(lambda report: _write(work.image, work.plan))


def _write(image: Path, plan: Plan) -> None:
    try:
        with _device(image, plan.disk.sector_size) as device:
            disk = parted.freshDisk(device, _LABELS[plan.disk.table])
            extended = plan.disk.extended
            for partition in plan.partitions:
                if extended is not None and partition.number > _PRIMARIES:
                    _add_extended(disk, device, *extended)
                    extended = None
                _add(disk, device, partition, plan.disk)
            disk.commitToDevice()
    except _TROUBLES as error:
        raise StepFailed(f"libparted refused the partition table: {error}") from error


def _add_extended(disk: parted.Disk, device: parted.Device, start: int, sectors: int) -> None:
    """Makes the extended partition, in the fourth entry, once the first three are taken."""
    geometry = parted.Geometry(device=device, start=start, length=sectors)
    partition = parted.Partition(disk=disk, type=parted.PARTITION_EXTENDED, geometry=geometry)
    disk.addPartition(partition, constraint=parted.Constraint(exactGeom=geometry))


def _add(disk: parted.Disk, device: parted.Device, planned: VolumePlan, on: DiskPlan) -> None:
    geometry = parted.Geometry(device=device, start=planned.start, length=planned.sectors)
    logical = on.extended is not None and planned.number > _PRIMARIES
    kind = parted.PARTITION_LOGICAL if logical else parted.PARTITION_NORMAL
    partition = parted.Partition(disk=disk, type=kind, geometry=geometry)
    disk.addPartition(partition, constraint=parted.Constraint(exactGeom=geometry))
    if partition.number != planned.number:
        raise StepFailed(
            f"libparted numbers the {planned.role} partition {partition.number}, "
            f"the plan {planned.number}"
        )
    if on.table == "gpt" and planned.name is not None:
        partition.set_name(planned.name)


@contextlib.contextmanager
def _device(image: Path, sector_size: int) -> Iterator[parted.Device]:
    """Opens an image as a device of that sector size."""
    with image.open("rb") as file, set_variables({_SECTOR_VARIABLE: str(sector_size)}):
        # pyparted takes no path that is not UTF-8, so it gets another name of the file.
        device = parted.getDevice(f"/proc/self/fd/{file.fileno()}")
    try:
        yield device
    finally:
        device.removeFromCache()
