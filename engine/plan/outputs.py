"""What a build leaves in the output folder, by name: nothing else there is touched."""

from __future__ import annotations

from engine.provenance.spdx import file_name as sbom_name
from engine.provenance.sums import NAME as SHA256SUMS
from engine.spec.formats import FORMATS
from engine.spec.settings import Settings

EFI_VARIABLES = "efi-vars.fd"
MANIFEST = "manifest.json"
RECORD = "build.jsonl"
HYDRA = "nix-support/hydra-build-products"


def image_name(settings: Settings) -> str:
    """Returns the file name of the image itself, whether or not it stays."""
    return f"{settings.output.stem}.{FORMATS[settings.output.format].extension}"


def disk_name(settings: Settings) -> str:
    """Returns the file name of the disk: the image, or what will be wrapped into it."""
    return f"{settings.output.stem}.{FORMATS[settings.output.format].disk_suffix}"


def packed_name(settings: Settings) -> str | None:
    """Returns the file name of the compressed image, if one is wanted."""
    return (
        None
        if settings.output.compress == "none"
        else f"{image_name(settings)}.{settings.output.compress}"
    )


def bmap_name(settings: Settings) -> str | None:
    """Returns the file name of the block map, if one is wanted."""
    return f"{image_name(settings)}.bmap" if settings.output.bmap else None


def outputs(settings: Settings) -> tuple[str, ...]:
    """Returns the file names of the image and what goes with it, the image first.

    What only describes them (manifest.json, SHA256SUMS, the bill of materials) is not among them.
    """
    names = (
        image_name(settings) if settings.output.keep_raw else None,
        packed_name(settings),
        bmap_name(settings),
        EFI_VARIABLES if settings.boot.efi_variables else None,
    )
    return tuple(name for name in names if name is not None)


def writes(settings: Settings, *, sbom: bool, hydra: bool) -> tuple[str, ...]:
    """Returns every file that a build makes, the outputs first.

    Only what commands of the user's own add (`output.sign`, `hooks.after_build`) is not among
    them: what they call it is not known before they run.

    Args:
        settings: Of the spec.
        sbom: Whether a bill of materials is written.
        hydra: Whether Nix asks for its products file, whatever the rules (`wants_products`).
    """
    return (
        *outputs(settings),
        *((sbom_name(settings.output.stem),) if sbom else ()),
        SHA256SUMS,
        MANIFEST,
        RECORD,
        *((HYDRA,) if hydra or settings.compat != "none" else ()),
    )
