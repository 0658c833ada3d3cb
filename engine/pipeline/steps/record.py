"""What describes the outputs: manifest.json, lists of digests, hydra-build-products."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from engine.pipeline.packing import DIGESTS, digests
from engine.pipeline.staging import Staging
from engine.pipeline.work import Work
from engine.plan.as_json import to_json
from engine.plan.outputs import HYDRA, MANIFEST
from engine.provenance import sums
from engine.tools.failure import StepFailed


async def record(work: Work) -> None:
    """Writes the first two, and the third where it is wanted or a hook began it.

    Raises:
        StepFailed: The image is gone (a hook removed it).
    """
    plan, staging = work.plan, work.staging
    image = plan.outputs[0]
    if not (staging.folder / image).is_file():
        raise StepFailed(
            f"{image} is gone before it could be moved into place",
            "`hooks.after_build` may change DISK_IMAGE, but must leave it there",
        )
    announced = _hook_lines(staging)
    if HYDRA in plan.writes or announced:
        kind = plan.output.format.hydra_type
        lines = f"file {kind} {staging.outdir / image}\n{announced}"
        staging.write(HYDRA, lines.encode("utf-8", "surrogateescape"))
    described = msgspec.json.encode(_manifest(work))
    written = staging.write(MANIFEST, msgspec.json.format(described, indent=1) + b"\n")
    _write_sums(work, {MANIFEST: written})


def _write_sums(work: Work, described: dict[str, Path]) -> None:
    """Writes the lists of digests; the last, SHA256SUMS, has the digest of the other as well."""
    for form in reversed(sums.FORMS):
        found = {
            name: digest
            for name, artifact in work.artifacts.items()
            if (digest := getattr(artifact, form.algorithm)) is not None
        }
        if form.algorithm in work.plan.sums.others:
            for name, path in described.items():
                found |= {name: _digest(work, path, form.algorithm)}
        if found:
            described[form.name] = work.staging.write(form.name, sums.dumps(found, form))


def _digest(work: Work, path: Path, kind: str) -> str:
    return digests(path, (kind,), lambda done, total: None, work.cancelled)[kind]


def _manifest(work: Work) -> dict[str, Any]:
    """Returns what manifest.json holds."""
    plan = work.plan
    tools = dict(work.reuse.versions or {})
    if plan.output.compress == "zst":
        tools["libzstd"] = ".".join(str(part) for part in zstandard.ZSTD_VERSION)
    if plan.output.compress == "gz" or plan.output.format.wrap == "gce":
        tools["zlib"] = zlib.ZLIB_RUNTIME_VERSION
    named = {f"contents[{content.index}]": content for content in plan.contents}
    return {
        "schema": 1,
        "plan": to_json(plan),
        "tools": tools,
        "inputs": {
            "filesystems": {role: asdict(all_) for role, all_ in work.inputs.filesystems.items()},
            "contents": [
                {
                    "path": path,
                    "source": str(named[path].source),
                    "target": named[path].target.decode("utf-8", "replace"),
                    **asdict(digest),
                }
                for path, digest in sorted(work.inputs.contents.items())
                if path in named
            ],
        },
        "proofs": [asdict(verdict) for verdict in work.proofs],
        "outputs": [
            {
                "path": name,
                "bytes": artifact.bytes,
                **{kind: text for kind in DIGESTS if (text := getattr(artifact, kind))},
            }
            for name, artifact in sorted(work.artifacts.items())
        ],
    }


def _hook_lines(staging: Staging) -> str:
    """Returns the products that a hook announced, under the names they are about to get."""
    try:
        text = (staging.folder / HYDRA).read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    return text.replace(str(staging.folder), str(staging.outdir))
