"""What the outputs of a plan are called, and when the image gets its name."""

from __future__ import annotations

from pathlib import Path

from engine.pipeline.work import Work
from engine.plan.model import Plan
from engine.plan.outputs import outputs

MANIFEST = "manifest.json"
HYDRA = "nix-support/hydra-build-products"


def image_name(plan: Plan) -> str:
    """Returns the file name of the image."""
    return outputs(plan.settings)[0]


def finish_image(work: Work) -> Path:
    """Gives a raw image its own name once every step that writes to it is over."""
    name = image_name(work.plan)
    if work.image.exists():
        return work.staging.complete(work.image, name)
    return work.staging.folder / name
