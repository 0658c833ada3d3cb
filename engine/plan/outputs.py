"""What a build leaves in the output folder, by name."""

from __future__ import annotations

from engine.spec.formats import FORMATS
from engine.spec.settings import Settings

EFI_VARIABLES = "efi-vars.fd"


def outputs(settings: Settings) -> tuple[str, ...]:
    """Returns the file names of the image and what goes with it, the image first."""
    image = f"{settings.stem}.{FORMATS[settings.format].extension}"
    return (image, EFI_VARIABLES) if settings.efi_variables else (image,)
