"""A digest of all that the outputs of a build follow from: the same, and they are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict

import msgspec

from engine.plan.as_json import to_json
from engine.plan.model import Plan
from engine.provenance.inputs import Digest
from engine.reuse import maker


def design(
    plan: Plan,
    filesystems: Mapping[str, Digest],
    contents: Mapping[str, Digest],
    versions: Mapping[str, str],
) -> str:
    """Returns the digest, 64 hexadecimal digits; "" where others take part.

    Others are commands of the user's own, and a kernel that fills a volume.

    Args:
        plan: As it was before anything was written.
        filesystems: Digests of what went in, by volume.
        contents: The same, by the key path of the content entry.
        versions: Of every tool of the plan.
    """
    if plan.settings.hooks.after_build or plan.boot.filler is not None:
        return ""
    described = to_json(plan)
    del described["problems"]
    described |= {
        "program": maker.program(),
        "tools": dict(versions),
        "sums": plan.sums,
        "contents": [
            (one.index, str(one.source), one.target.hex()) for one in plan.contents
        ],
        "filesystems": {name: asdict(one) for name, one in filesystems.items()},
        "inputs": {name: asdict(one) for name, one in contents.items()},
        "identity": plan.identity,
        "menu": [(one.heading, one.options) for one in plan.boot.menu],
        "proofs": (plan.boot.proofs, plan.boot.expect, plan.memory_mib),
        "code": hashlib.sha256(repr(plan.boot.code).encode()).hexdigest(),
        "firmware": _firmware(plan),
    }  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(described, order="sorted")).hexdigest()


def _firmware(plan: Plan) -> list[tuple[str, int, int]]:
    """Returns what the host says of the firmware that outputs are made of or proved with."""
    uefi = plan.boot.uefi
    if uefi is None:
        return []
    found = []
    for path in (uefi.code, uefi.variables):
        status = path.stat()
        found.append((str(path), status.st_size, status.st_mtime_ns))
    return found
