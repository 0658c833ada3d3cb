"""What a build leaves in the output folder, by name: nothing else there is touched."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from engine.provenance.spdx import file_name as sbom_name
from engine.provenance.sums import FORMS
from engine.spec.formats import FORMATS, Format
from engine.spec.settings import Settings

EFI_VARIABLES = "efi-vars.fd"
MANIFEST = "manifest.json"
RECORD = "build.jsonl"
HYDRA = "nix-support/hydra-build-products"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlan:
    """What the finished image is, and what it and its companions are called.

    Attributes:
        stem: File stem of everything whose name follows the image's.
        format: The image's format.
        compress: "none", "zst", "xz" or "gz".
        keep_raw: The image stays beside the packed one.
        disk: File name of the disk: the image, or what will be wrapped into it.
        image: File name of the image itself, whether or not it stays.
        packed: File name of the compressed image, or None where none is wanted.
        block_map: File name of the block map, or None.
        sbom: File name of the bill of materials, where there is anything to say in it.
    """

    stem: str
    format: Format
    compress: str
    keep_raw: bool
    disk: str
    image: str
    packed: str | None
    block_map: str | None
    sbom: str


def output_plan(settings: Settings) -> OutputPlan:
    """Returns what the outputs of a spec are."""
    output = settings.output
    format_ = FORMATS[output.format]
    image = f"{output.stem}.{format_.extension}"
    return OutputPlan(
        stem=output.stem,
        format=format_,
        compress=output.compress,
        keep_raw=output.keep_raw,
        disk=f"{output.stem}.{format_.disk_suffix}",
        image=image,
        packed=None if output.compress == "none" else f"{image}.{output.compress}",
        block_map=f"{image}.bmap" if output.bmap else None,
        sbom=sbom_name(output.stem),
    )


def outputs(settings: Settings) -> tuple[str, ...]:
    """Returns the file names of the image and what goes with it, the image first.

    What only describes them (manifest.json, SHA256SUMS, the bill of materials) is not among them.
    """
    planned = output_plan(settings)
    names = (
        planned.image if planned.keep_raw else None,
        planned.packed,
        planned.block_map,
        EFI_VARIABLES if settings.boot.efi_variables else None,
    )
    return tuple(name for name in names if name is not None)


def writes(
    settings: Settings, *, sbom: bool, hydra: bool, sums: Collection[str]
) -> tuple[str, ...]:
    """Returns every file that a build makes, the outputs first.

    Only what commands of the user's own add (`output.sign`, `hooks.after_build`) is not among
    them: what they call it is not known before they run.

    Args:
        settings: Of the spec.
        sbom: Whether a bill of materials is written.
        sums: Algorithms of the digests that are computed.
        hydra: Whether Nix asks for its products file, whatever the rules (`wants_products`).
    """
    return (
        *outputs(settings),
        *((sbom_name(settings.output.stem),) if sbom else ()),
        *(form.name for form in FORMS if form.algorithm in sums),
        MANIFEST,
        RECORD,
        *((HYDRA,) if hydra or settings.rules.hydra_products else ()),
    )
