"""What the outputs of a plan are called."""

from __future__ import annotations

from engine.plan.model import Plan
from engine.plan.outputs import outputs

MANIFEST = "manifest.json"
HYDRA = "nix-support/hydra-build-products"


def image_name(plan: Plan) -> str:
    """Returns the file name of the image."""
    return outputs(plan.settings)[0]
