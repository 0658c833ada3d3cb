"""Image formats as data, for the wizard, the planner, the converter and the documentation."""

from __future__ import annotations

from dataclasses import dataclass

from engine.units import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One output format.

    Attributes:
        key: Value of `output.format`.
        title: Its name for people.
        summary: One line: who reads it.
        extension: Of the output file, without the dot.
        qemu_img: Arguments to `qemu-img convert` that select it; empty for raw.
        compressed: The image is compressed.
        hydra_type: What `nix-support/hydra-build-products` calls it.
        size_multiple: Virtual sizes that are no multiple of this many bytes make trouble.
        note: Something its user should know, or "".
    """

    key: str
    title: str
    summary: str
    extension: str
    qemu_img: tuple[str, ...]
    compressed: bool
    hydra_type: str
    size_multiple: int = 1
    note: str = ""

    @property
    def driver(self) -> str:
        """QEMU's name of the format."""
        return self.qemu_img[self.qemu_img.index("-O") + 1] if self.qemu_img else "raw"


_TABLE = (
    Format(
        key="raw",
        title="Raw",
        summary="The disk itself, sparse: for writing to a device, and every hypervisor",
        extension="img",
        qemu_img=(),
        compressed=False,
        hydra_type="raw-image",
    ),
    Format(
        key="qcow2",
        title="qcow2",
        summary="QEMU and OpenStack: grows as it is used, takes snapshots",
        extension="qcow2",
        qemu_img=("-O", "qcow2"),
        compressed=False,
        hydra_type="qcow2-image",
    ),
    Format(
        key="qcow2-compressed",
        title="qcow2, compressed",
        summary="The smallest qcow2, for downloads",
        extension="qcow2",
        qemu_img=("-O", "qcow2", "-c", "-o", "compression_type=zstd"),
        compressed=True,
        hydra_type="qcow2-image",
        note="zstd; readers before QEMU 5.1 know only zlib",
    ),
    Format(
        key="vdi",
        title="VDI",
        summary="VirtualBox",
        extension="vdi",
        qemu_img=("-O", "vdi"),
        compressed=False,
        hydra_type="vdi-image",
        size_multiple=MIB,
    ),
    Format(
        key="vpc",
        title="VHD",
        summary="Azure, Hyper-V and Virtual PC",
        extension="vhd",
        qemu_img=("-O", "vpc", "-o", "force_size=on"),
        compressed=False,
        hydra_type="vpc-image",
        size_multiple=MIB,
        note="Azure takes only whole MiB; the exact size is kept, not rounded to cylinders",
    ),
)

FORMATS = {format_.key: format_ for format_ in _TABLE}
