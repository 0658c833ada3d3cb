"""What describes the outputs, and their move to the final names."""

from __future__ import annotations

from dataclasses import asdict

import msgspec

from engine.pipeline.failure import StepFailed
from engine.pipeline.staging import Staging
from engine.pipeline.steps.names import HYDRA, MANIFEST, image_name
from engine.pipeline.versions import versions
from engine.pipeline.work import Work
from engine.plan.render import to_json
from engine.spec.formats import FORMATS


async def publish(work: Work) -> None:
    """Writes manifest.json and hydra-build-products, then renames everything into place.

    Raises:
        StepFailed: The image is gone (a hook removed it).
    """
    plan, staging = work.plan, work.staging
    name = image_name(plan)
    if not (staging.folder / name).is_file():
        raise StepFailed(
            f"{name} is gone before it could be moved into place",
            "`hooks.after_build` may change DISK_IMAGE, but must leave it there",
        )
    kind = FORMATS[plan.settings.format].hydra_type
    lines = f"file {kind} {staging.outdir / name}\n" + _hook_lines(staging)
    staging.write(HYDRA, lines.encode("utf-8", "surrogateescape"))
    record = {
        "schema": 1,
        "plan": to_json(plan),
        "tools": await versions(work),
        "proofs": [asdict(verdict) for verdict in work.proofs],
        "outputs": [
            {"path": name, "bytes": artifact.bytes, "sha256": artifact.sha256}
            for name, artifact in sorted(work.artifacts.items())
        ],
    }
    staging.write(MANIFEST, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    staging.publish(last=(MANIFEST, HYDRA))


def _hook_lines(staging: Staging) -> str:
    """Returns the products that a hook announced, under the names they are about to get."""
    try:
        text = (staging.folder / HYDRA).read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    return text.replace(str(staging.folder), str(staging.outdir))
