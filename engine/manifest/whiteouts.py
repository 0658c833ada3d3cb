"""Whiteouts: the names by which a layer of a container image says what it deletes.

Source: OCI image-spec, layer.md, "Whiteouts"; the AUFS names that Docker skips, its own archive
package (pkg/archive/whiteouts.go).
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.manifest.findings import Findings, shown

PREFIX = b".wh."
"""Before the name of what is deleted from the layers below."""
META_PREFIX = b".wh..wh."
"""Before names that mean something to the union file system itself."""
OPAQUE = b".wh..wh..opq"
"""In a directory of which nothing of the layers below is seen."""

_SHOWN = 3


def is_whiteout(path: bytes) -> bool:
    """Whether a path, or a directory in it, has a name that only a layer gives."""
    return path.startswith(PREFIX) or b"/" + PREFIX in path


def report(archive: bytes, found: Sequence[bytes], findings: Findings) -> None:
    """Says that an archive is a layer, which cannot be unpacked alone."""
    names = ", ".join(f"/{shown(path)}" for path in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    findings.add(
        "archive-is-a-layer",
        f"{shown(archive)} is one layer of a container image: {names}{more} would be files, where"
        " the layer means to delete what is below it",
        'name the whole image (docker save, skopeo copy) with extract = "oci"; or exclude .wh.*'
        " to take the layer without what it deletes",
    )
