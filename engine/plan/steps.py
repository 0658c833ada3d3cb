"""The steps of a build, in order: what the plan shows and the pipeline executes.

A step is one row of `_STEPS`: when it is wanted, what it weighs, which commands it runs. The
pipeline has one module for each id and runs exactly the commands of `StepPlan.argv`, one after
the other, with these placeholders replaced by paths:

    $IMAGE   the raw image under its temporary name
    $ESP     a temporary sparse copy of the ESP alone (fsck.fat knows no offset)
    $OUTPUT  the converted image under its temporary name
    $ROOT    the root that a NixOS system's installer runs in
    $GUEST_KERNEL, $GUEST_INITRD, $GUEST_STATUS  of the virtual machine it runs in instead, where
             it needs a disk: what is started, and where its exit status goes
    $EFI_VARIABLES  a private copy of the UEFI firmware's variables

A step without commands is done in process. Ids and what they leave behind:

    allocate       the image: a sparse file of `disk.bytes`
    table          partitions, names and flags (libparted); absent for a bare file system
    identifiers    GUIDs and types, read back and compared. sfdisk finds a GPT of 512-byte sectors
                   only, so with 4096 there are no commands and it is written in process
    make-root      the empty root file system, in its place
    populate-root  its entries, through libext2fs
    make-esp       the empty ESP and its volume id
    nixos-loader   what the NixOS system's own installer makes for the ESP, still in a folder
    populate-esp   its files, sorted
    loader-boot-code  GRUB's boot sector and core, outside all partitions, read back
    nixos-guest    the NixOS system's own installer in a virtual machine, with the image as its disk
    check-root     e2fsck, read-only
    check-esp      fsck.fat, read-only
    efi-variables  the firmware's variable store with a boot entry for the image
    convert        the output format, where it is not raw
    hook           the user's `hooks.after_build`, which may still change the image
    prove          the finished image started in QEMU, its console watched. The commands shown are
                   for emulation; KVM takes its place where it proves to work, as in nixos-guest
    pack           the compressed image and the block map, in one pass with the image's SHA-256
    sbom           the bill of materials, where the contents hold a package database
    checksum       SHA-256 of every output, and digests of what went in
    record         manifest.json, SHA256SUMS and hydra-build-products
    sign           the user's `output.sign`, in the hidden folder of the build
    publish        outputs under their final names
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.boot.firmware import FirmwareKind
from engine.boot.qemu import Accelerator, Machine
from engine.filesystems.ext4.format import INODE_SIZE
from engine.filesystems.ext4.solve import taken_blocks
from engine.plan import nixos
from engine.plan.model import FilesystemPlan, Plan, Role, StepPlan
from engine.provenance.packages import databases
from engine.provenance.sums import NAME as SHA256SUMS
from engine.spec.formats import FORMATS

IMAGE = nixos.IMAGE
ESP, OUTPUT = "$ESP", "$OUTPUT"
EFI_VARIABLES = "$EFI_VARIABLES"

Commands = tuple[tuple[str, ...], ...]
_SFDISK = ("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row of the table of steps; every function takes the plan built so far."""

    id: str
    title: str
    wanted: Callable[[Plan], bool] = lambda plan: True
    weight: Callable[[Plan], int] = lambda plan: 0
    commands: Callable[[Plan], Commands] = lambda plan: ()


def steps(plan: Plan) -> tuple[StepPlan, ...]:
    """Returns the steps of a plan that has everything else."""
    return tuple(
        StepPlan(id=step.id, title=step.title, bytes=step.weight(plan), argv=step.commands(plan))
        for step in _STEPS
        if step.wanted(plan)
    )


def _has_esp(plan: Plan) -> bool:
    return plan.has("esp")


def _has_esp_contents(plan: Plan) -> bool:
    planned = _has_esp(plan) and len(_filesystem(plan, "esp").manifest) > 1
    return planned or _installs_itself(plan)


def _installs_itself(plan: Plan) -> bool:
    return plan.settings.loader == "nixos" and _has_esp(plan)


def _filesystem(plan: Plan, role: Role) -> FilesystemPlan:
    if role == "root":
        return plan.root
    filesystem = plan.partition(role).filesystem
    assert filesystem is not None
    return filesystem


def written_bytes(plan: Plan) -> int:
    """Returns about how many bytes of the image are no holes: what a reader of it must read."""
    esp = _filesystem(plan, "esp") if _has_esp(plan) else None
    return _written_ext(plan.root) + (esp.size - esp.free_bytes if esp is not None else 0)


def _hashed_bytes(plan: Plan) -> int:
    """Returns about how many bytes the outputs' checksums are of: holes count, too."""
    return plan.disk.bytes if plan.settings.format == "raw" else written_bytes(plan)


def _packs(plan: Plan) -> bool:
    return plan.settings.bmap or plan.settings.compress != "none"


def _written_ext(filesystem: FilesystemPlan) -> int:
    """Returns the bytes written to an ext file system; empty tables and journal stay holes."""
    layout, need = filesystem.geometry, filesystem.need
    assert layout is not None
    assert need is not None
    empty_tables = layout.groups * layout.inode_table_blocks
    blocks = layout.overhead_blocks - empty_tables + taken_blocks(need, layout)
    return blocks * layout.block_size + need.inodes * INODE_SIZE


def _identify(plan: Plan) -> Commands:
    """Returns the commands that set every identifier libparted cannot, and read the table back."""
    if plan.disk.table == "gpt" and plan.disk.sector_size != 512:
        return ()
    disk_id = plan.disk.guid or plan.disk.signature or ""
    commands: list[tuple[str, ...]] = [(*_SFDISK, "--disk-id", IMAGE, disk_id)]
    for partition in plan.partitions if plan.disk.table == "gpt" else ():
        number = str(partition.number)
        commands.append((*_SFDISK, "--part-type", IMAGE, number, partition.type))
        commands.append((*_SFDISK, "--part-uuid", IMAGE, number, partition.guid or ""))
    return (*commands, ("sfdisk", "--json", IMAGE))


def _make_esp(plan: Plan) -> Commands:
    filesystem = _filesystem(plan, "esp")
    # --invariant pins every time but forces a volume id of its own, so mlabel sets ours after.
    volume_id = filesystem.uuid.replace("-", "")
    drive = f"{IMAGE}@@{plan.offset('esp')}"
    return (filesystem.mkfs, ("mlabel", "-i", drive, "-N", volume_id, f"::{filesystem.label}"))


def _check_root(plan: Plan) -> Commands:
    offset = plan.offset("root")
    target = f"{IMAGE}?offset={offset}" if offset else IMAGE
    return (("e2fsck", "-f", "-n", target),)


def _convert(plan: Plan) -> Commands:
    options = FORMATS[plan.settings.format].qemu_img
    return (("qemu-img", "convert", "-p", "-f", "raw", *options, IMAGE, OUTPUT),)


def _prove(plan: Plan) -> Commands:
    return tuple(
        machine(
            plan, kind, image=IMAGE, variables=EFI_VARIABLES, accelerator="tcg"
        ).argv()
        for kind in plan.boot.proofs
        if kind == "bios" or plan.boot.uefi is not None
    )  # fmt: skip


def machine(
    plan: Plan, kind: FirmwareKind, *, image: str, variables: str, accelerator: Accelerator
) -> Machine:
    """Returns the virtual machine that proves that the image starts.

    Args:
        plan: Has firmware where `kind` is "uefi".
        kind: What starts the image.
        image: The finished image.
        variables: A private copy of the firmware's variables.
        accelerator: What runs it.
    """
    uefi = plan.boot.uefi
    return Machine(
        image=image,
        format=FORMATS[plan.settings.format].driver,
        sector_size=plan.disk.sector_size,
        memory_mib=plan.settings.vm_memory_mib,
        accelerator=accelerator,
        code=str(uefi.code) if kind == "uefi" and uefi is not None else "",
        variables=variables,
    )


_STEPS = (
    Step(id="allocate", title="Allocate the image"),
    Step(
        id="table",
        title="Write the partition table",
        wanted=lambda plan: plan.disk.table != "none",
    ),
    Step(
        id="identifiers",
        title="Set partition types and identifiers",
        wanted=lambda plan: plan.disk.table != "none",
        commands=_identify,
    ),
    Step(
        id="make-root",
        title="Make the root file system",
        weight=lambda plan: _written_ext(plan.root) - plan.root.data_bytes,
        commands=lambda plan: (plan.root.mkfs,),
    ),
    Step(
        id="populate-root",
        title="Fill the root file system",
        weight=lambda plan: plan.root.data_bytes,
    ),
    Step(id="make-esp", title="Make the ESP", wanted=_has_esp, commands=_make_esp),
    Step(
        id="nixos-loader",
        title="Run the system's own boot loader installer",
        wanted=_installs_itself,
        commands=lambda plan: nixos.commands(plan.settings),
    ),
    Step(
        id="populate-esp",
        title="Fill the ESP",
        wanted=_has_esp_contents,
        weight=lambda plan: _filesystem(plan, "esp").data_bytes,
    ),
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
    Step(
        id="check-root",
        title="Check the root file system",
        weight=lambda plan: _written_ext(plan.root) - plan.root.data_bytes,
        commands=_check_root,
    ),
    Step(
        id="check-esp",
        title="Check the ESP",
        wanted=_has_esp,
        commands=lambda plan: (("fsck.fat", "-n", ESP),),
    ),
    Step(
        id="efi-variables",
        title="Write the EFI variables",
        wanted=lambda plan: plan.settings.efi_variables,
    ),
    Step(
        id="convert",
        title="Convert the image",
        wanted=lambda plan: plan.settings.format != "raw",
        weight=written_bytes,
        commands=_convert,
    ),
    Step(
        id="hook",
        title="Run the after-build hook",
        wanted=lambda plan: bool(plan.settings.after_build),
        commands=lambda plan: (("bash", "-c", plan.settings.after_build),),
    ),
    Step(
        id="prove",
        title="Boot the image",
        wanted=lambda plan: bool(plan.boot.proofs),
        commands=_prove,
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
        wanted=lambda plan: plan.settings.sbom and bool(databases(plan.root.manifest)),
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
        wanted=lambda plan: bool(plan.settings.sign),
        commands=lambda plan: ((*plan.settings.sign, SHA256SUMS),),
    ),
    Step(id="publish", title="Move the outputs into place"),
)
