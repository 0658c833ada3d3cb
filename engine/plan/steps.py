"""The steps of a build, in order: what the plan shows and the pipeline executes.

A step is a verb, or a verb and a volume. Those of the whole disk are rows of tables: when one is
wanted, what it weighs, which commands it runs; those of a volume follow from its format's driver.
The pipeline has one function for each verb and runs exactly the commands of `StepPlan.argv`, one
after the other, with these placeholders replaced by paths:

    $IMAGE   the raw image under its temporary name
    $VOLUME  a temporary sparse file of one volume alone (fsck.fat knows no offset)
    $HASH    the root hash of a hash tree
    $HASH_FILE, $SIGNATURE_FILE  a file with just that, and one with its signature
    $OUTPUT  the converted image under its temporary name
    $ROOT    the root that a NixOS system's installer runs in
    $GUEST_KERNEL, $GUEST_INITRD, $GUEST_STATUS  of the virtual machine it runs in instead, where
             it needs a disk: what is started, and where its exit status goes
    $EFI_VARIABLES  a private copy of the UEFI firmware's variables

A step without commands is done in process. Ids and what they leave behind:

    allocate       the image: a sparse file of `disk.bytes`
    table          partitions, names and flags (libparted); absent for a bare file system
    identifiers    GUIDs, types and attributes, read back and compared. sfdisk finds a table of
                   512-byte sectors only, so with 4096 our own reader reads back. Where GUIDs
                   follow from a root hash, it comes behind the last volume
    make-ID        an empty file system in its place, with its identifier; a hash tree or its
                   signature, whole. A root hash is known from here on, and what later steps write
                   has it (`engine.plan.verity`)
    nixos-loader   what the NixOS system's own installer makes for FAT, still in folders
    populate-ID    its entries; absent where the file system is made with them. Where only a kernel
                   can put them in, one does in a virtual machine, which then reads them back
    loader-boot-code  GRUB's boot sector and core, outside all partitions, read back
    nixos-guest    the NixOS system's own installer in a virtual machine, with the image as its disk
    check-ID       its own checker, read-only; its figures or its files read back
    efi-variables  the firmware's variable store with a boot entry for the image
    convert        the output format, where it is not raw
    hook           the user's `hooks.after_build`, which may still change the image
    prove          the finished image booted in QEMU, its console watched. The commands shown are
                   for emulation; KVM takes its place where it proves to work, as in nixos-guest
    wrap           the file that a hypervisor or cloud imports, made of the disk
    pack           the compressed image and the block map, in one pass with the image's SHA-256
    sbom           the bill of materials, where the contents hold a package database
    checksum       SHA-256 of every output, and digests of what went in
    record         manifest.json, SHA256SUMS and hydra-build-products
    sign           the user's `output.sign`, in the hidden folder of the build
    publish        outputs under their final names
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from engine.boot.firmware import FirmwareKind
from engine.boot.qemu import BOARDS, Accelerator, VirtualMachine
from engine.disk.verity import SIGNATURES, TREES
from engine.filesystems.table import DRIVERS
from engine.plan import filling, nixos
from engine.plan.model import Plan, StepPlan, VolumePlan
from engine.provenance.packages import databases
from engine.provenance.sums import SHA256
from engine.spec.filesystems import FILESYSTEMS

IMAGE = nixos.IMAGE
VOLUME, OUTPUT = "$VOLUME", "$OUTPUT"
EFI_VARIABLES = "$EFI_VARIABLES"

Commands = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row of the tables of steps; every function takes the plan built so far."""

    id: str
    title: str
    wanted: Callable[[Plan], bool] = lambda plan: True
    weight: Callable[[Plan], int] = lambda plan: 0
    commands: Callable[[Plan], Commands] = lambda plan: ()


def steps(plan: Plan) -> tuple[StepPlan, ...]:
    """Returns the steps of a plan that has everything else."""
    return (
        *_rows(plan, _FIRST if plan.hash_trees else (*_FIRST, _IDENTIFIERS)),
        *(step for volume in _in_order(plan) for step in _filling(plan, volume)),
        *_rows(plan, (_IDENTIFIERS,) if plan.hash_trees else ()),
        *_rows(plan, _INSTALLING),
        *(step for volume in _in_order(plan) for step in _checking(plan, volume)),
        *_rows(plan, _LAST),
    )


_RANKS = {"root": 0, **dict.fromkeys(TREES, 2), **dict.fromkeys(SIGNATURES, 3), "esp": 5}


def _rows(plan: Plan, rows: Iterable[Step]) -> Iterator[StepPlan]:
    for step in rows:
        if step.wanted(plan):
            yield StepPlan(
                id=step.id,
                verb=step.id,
                title=step.title,
                bytes=step.weight(plan),
                argv=step.commands(plan),
            )


def _in_order(plan: Plan) -> list[VolumePlan]:
    """Returns the volumes as they are written: the root first, what boots it last.

    What is hashed comes before its tree, and that before command lines with its root hash.
    """
    other = 4 if plan.hash_trees else 1
    first = {tree.verity for tree in plan.hash_trees}
    return sorted(
        plan.volumes,
        key=lambda volume: -1 if volume.id in first else _RANKS.get(volume.role, other),
    )


def _filling(plan: Plan, volume: VolumePlan) -> Iterator[StepPlan]:
    """Yields the steps that make and fill a volume."""
    filesystem = volume.filesystem
    if filesystem is None:
        return
    driver, offset = DRIVERS[filesystem.type], plan.offset(volume.id)
    yield StepPlan(
        id=f"make-{volume.id}",
        verb="make",
        volume=volume.id,
        title=f"Make the {volume.title}",
        bytes=filesystem.structure_bytes,
        argv=driver.make(filesystem, IMAGE, offset, VOLUME),
    )
    adds = nixos.written(plan) if _installs_itself(plan) else frozenset()
    if volume.id == next((one.id for one in _in_order(plan) if one.id in adds), ""):
        yield from _rows(plan, (_NIXOS_LOADER,))
    row = FILESYSTEMS[filesystem.type]
    if row.own_file and not (row.mounted and filesystem.filled):
        return
    if filesystem.filled or volume.role == "root" or volume.id in adds:
        yield StepPlan(
            id=f"populate-{volume.id}",
            verb="populate",
            volume=volume.id,
            title=f"Fill the {volume.title}",
            bytes=filesystem.data_bytes,
            argv=filling.commands(plan, volume) if row.mounted else (),
        )


def _checking(plan: Plan, volume: VolumePlan) -> Iterator[StepPlan]:
    """Yields the step that checks a volume."""
    filesystem = volume.filesystem
    if filesystem is None:
        return
    yield StepPlan(
        id=f"check-{volume.id}",
        verb="check",
        volume=volume.id,
        title=f"Check the {volume.title}",
        bytes=filesystem.structure_bytes,
        argv=DRIVERS[filesystem.type].check(filesystem, IMAGE, plan.offset(volume.id), VOLUME),
    )


def _installs_itself(plan: Plan) -> bool:
    return plan.boot.loader == "nixos" and plan.has("esp") and plan.boot.guest is None


def written_bytes(plan: Plan) -> int:
    """Returns about how many bytes of the image are not holes: what a reader of it must read."""
    return sum(volume.filesystem.written_bytes for volume in plan.volumes if volume.filesystem)


def _hashed_bytes(plan: Plan) -> int:
    """Returns about how many bytes the outputs' checksums are of: holes count, too."""
    through_holes = plan.output.format.flat and "sha256" in plan.sums.image
    return plan.disk.bytes if through_holes else written_bytes(plan)


def _packs(plan: Plan) -> bool:
    return bool(plan.output.packed or plan.output.block_map)


def _read_table(plan: Plan) -> Commands:
    """Returns the command that reads the table back; it knows sectors of 512 bytes only."""
    return (("sfdisk", "--json", IMAGE),) if plan.disk.sector_size == 512 else ()


def _convert(plan: Plan) -> Commands:
    options = plan.output.format.qemu_img
    return (("qemu-img", "convert", "-p", "-f", "raw", *options, IMAGE, OUTPUT),)


def _prove(plan: Plan) -> Commands:
    return tuple(
        virtual_machine(
            plan, kind, image=IMAGE, variables=EFI_VARIABLES, accelerator="tcg"
        ).argv()
        for kind in plan.boot.proofs
        if kind == "bios" or plan.boot.uefi is not None
    )  # fmt: skip


def virtual_machine(
    plan: Plan, kind: FirmwareKind, *, image: str, variables: str, accelerator: Accelerator
) -> VirtualMachine:
    """Returns the virtual machine that proves that the image boots.

    Args:
        plan: Has firmware where `kind` is "uefi".
        kind: The firmware.
        image: The finished image.
        variables: A private copy of the firmware's variables.
        accelerator: What runs it.
    """
    uefi = plan.boot.uefi
    return VirtualMachine(
        image=image,
        format=plan.output.format.driver,
        sector_size=plan.disk.sector_size,
        memory_mib=plan.memory_mib,
        accelerator=accelerator,
        architecture=plan.boot.architecture if plan.boot.architecture in BOARDS else "x86_64",
        code=str(uefi.code) if kind == "uefi" and uefi is not None else "",
        variables=variables,
    )


_FIRST = (
    Step(id="allocate", title="Allocate the image"),
    Step(
        id="table",
        title="Write the partition table",
        wanted=lambda plan: plan.disk.table != "none",
    ),
)
_IDENTIFIERS = Step(
    id="identifiers",
    title="Set partition types and identifiers",
    wanted=lambda plan: plan.disk.table != "none",
    commands=_read_table,
)
_NIXOS_LOADER = Step(
    id="nixos-loader",
    title="Run the system's own boot loader installer",
    wanted=_installs_itself,
    commands=nixos.commands,
)
_INSTALLING = (
    Step(
        id="loader-boot-code",
        title="Write the boot code",
        wanted=lambda plan: plan.boot.code is not None,
        weight=lambda plan: len(plan.boot.code.core) if plan.boot.code else 0,
    ),
    Step(
        id="nixos-guest",
        title="Run the system's own boot loader installer in a virtual machine",
        wanted=lambda plan: plan.boot.guest is not None,
        commands=nixos.guest_commands,
    ),
)
_LAST = (
    Step(
        id="efi-variables",
        title="Write the EFI variables",
        wanted=lambda plan: plan.settings.boot.efi_variables,
    ),
    Step(
        id="convert",
        title="Convert the image",
        wanted=lambda plan: bool(plan.output.format.qemu_img),
        weight=written_bytes,
        commands=_convert,
    ),
    Step(
        id="hook",
        title="Run the after-build hook",
        wanted=lambda plan: bool(plan.settings.hooks.after_build),
        commands=lambda plan: (("bash", "-c", plan.settings.hooks.after_build),),
    ),
    Step(
        id="prove",
        title="Boot the image",
        wanted=lambda plan: bool(plan.boot.proofs),
        commands=_prove,
    ),
    Step(
        id="wrap",
        title="Pack the disk for its reader",
        wanted=lambda plan: plan.output.format.wrap is not None,
        weight=written_bytes,
    ),
    Step(
        id="pack",
        title="Compress and map the image",
        wanted=_packs,
        weight=lambda plan: plan.disk.bytes,
    ),
    Step(
        id="sbom",
        title="Write the bill of materials",
        wanted=lambda plan: (
            plan.settings.output.sbom and plan.has_root and bool(databases(plan.root_tree))
        ),
    ),
    Step(
        id="checksum",
        title="Compute checksums",
        weight=lambda plan: 0 if _packs(plan) else _hashed_bytes(plan),
    ),
    Step(id="record", title="Describe the outputs"),
    Step(
        id="sign",
        title="Sign the checksums",
        wanted=lambda plan: bool(plan.settings.output.sign),
        commands=lambda plan: ((*plan.settings.output.sign, SHA256.name),),
    ),
    Step(id="publish", title="Move the outputs into place"),
)
