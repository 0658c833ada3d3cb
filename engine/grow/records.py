"""The records beside an image that is made larger: its digests, and the manifest's lines on it.

Only records that were right of the image as it was are rewritten: none is made to vouch for what
it never described. What says more than sizes and digests (a bmap, an SBOM, a compressed copy) is
left alone, and named.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.inspect.image import open_image
from engine.pipeline.packing import digests
from engine.plan.outputs import MANIFEST
from engine.provenance import sums

_MOST = 64 << 20
"""Bytes of a record that is read."""
_STALE = (".bmap", ".spdx.json", ".zst", ".xz", ".gz")
"""What stands behind the image's name in files that describe it, or are it in another form."""

Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Records:
    """What was recorded of an image before it was changed.

    Attributes:
        lists: Digests of each list that names the image and was right of it.
        manifest: The manifest, where it names the image as it was; else None.
        wrong: Lists and manifests that are there and were not right of the image.
        stale: Files that describe the image as it was, and stay as they are.
    """

    lists: Mapping[sums.Form, Mapping[str, str]]
    manifest: dict[str, Any] | None
    wrong: tuple[str, ...]
    stale: tuple[str, ...]


def read(image: Path, stop: Stop) -> Records:
    """Returns the records beside an image; reads the image where a digest of it is recorded."""
    found = {form: listed for form in sums.FORMS if (listed := _listed(image, form))}
    named = {form: listed for form, listed in found.items() if image.name in listed}
    now = digests(image, (form.algorithm for form in named), _nobody, stop) if named else {}
    right = {
        form: listed for form, listed in named.items() if listed[image.name] == now[form.algorithm]
    }
    wrong = [form.name for form in named if form not in right]
    manifest = _manifest(image)
    if manifest is not None and (wrong or not right):
        wrong.append(MANIFEST)
        manifest = None
    there = (f"{image.name}{ending}" for ending in _STALE)
    stale = tuple(name for name in there if image.with_name(name).is_file())
    return Records(right, manifest, tuple(wrong), stale)


def write(image: Path, before: Records, stop: Stop) -> tuple[str, ...]:
    """Writes the records anew for the image as it is now; returns the names of those written.

    The lists come last, as they have the manifest's digest, and each takes its name at once.
    """
    if not before.lists:
        return ()
    now = digests(image, (form.algorithm for form in before.lists), _nobody, stop)
    if stop():
        return ()
    written = []
    manifest = image.with_name(MANIFEST)
    if before.manifest is not None:
        data = json.dumps(_larger(before.manifest, image, now), indent=1).encode() + b"\n"
        _replace(manifest, data)
        written.append(MANIFEST)
    for form in reversed(sums.FORMS):  # as the build wrote them: the first has all others' digests
        listed = before.lists.get(form)
        if listed is None:
            continue
        kind = form.algorithm
        fresh = {**listed, image.name: now[kind]}
        for name in written:
            if name in listed:
                fresh |= {name: digests(image.with_name(name), (kind,), _nobody, stop)[kind]}
        _replace(image.with_name(form.name), sums.dumps(fresh, form))
        written.append(form.name)
    return tuple(written)


def _larger(manifest: dict[str, Any], image: Path, now: Mapping[str, str]) -> dict[str, Any]:
    """Returns a manifest with the sizes and places of the image as it is.

    Its boots were those of another image, so they are left out; what the plan says of where the
    bytes go stays, and `grown` tells what has changed since.
    """
    plan = manifest["plan"]
    grown = {"from": plan["disk"]["bytes"], "to": image.stat().st_size}
    found = open_image(image)
    with found.disk:
        places = {part.number: part for part in found.table.partitions}
        sector = found.table.sector_size
    plan["disk"]["bytes"] = grown["to"]
    for partition in plan["partitions"]:
        place = places.get(partition["number"])
        if place is not None:
            partition |= {
                "start": place.start, "sectors": place.sectors, "bytes": place.sectors * sector,
            }  # fmt: skip
    for output in manifest["outputs"]:
        if output["path"] == image.name:
            output |= {"bytes": grown["to"], **{key: now[key] for key in now if key in output}}
    earlier = manifest.get("grown")
    return {**manifest, "proofs": [], "grown": [*(earlier or []), grown]}


def _listed(image: Path, form: sums.Form) -> Mapping[str, str]:
    with suppress(OSError, sums.BadSums):
        return sums.loads(_small(image.with_name(form.name)), form)
    return {}


def _manifest(image: Path) -> dict[str, Any] | None:
    """Returns the manifest of a build that made the image, whole enough to be rewritten."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        found = json.loads(_small(image.with_name(MANIFEST)))
        sizes = {output["path"]: output["bytes"] for output in found["outputs"]}
        int(found["plan"]["disk"]["bytes"])
        _ = [partition["number"] for partition in found["plan"]["partitions"]]
        if found["schema"] == 1 and sizes[image.name] == image.stat().st_size:
            return dict(found)
    return None


def _small(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST:
        return b""
    return path.read_bytes()


def _replace(path: Path, data: bytes) -> None:
    """Gives a file other bytes at once, or leaves it as it is."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _nobody(_done: int, _total: int) -> None:
    """Is told how far it is."""
