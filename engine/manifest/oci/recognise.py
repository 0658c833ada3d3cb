"""Tells a container image from a tree of files that is meant to be copied."""

from __future__ import annotations

import glob
import lzma
import os
import re
import tarfile
import zlib
from itertools import islice

from engine.manifest.archive import Reader
from engine.manifest.findings import Edit, Findings, shown
from engine.manifest.tar import Member
from engine.problem import Severity

LAYOUT, INDEX, SAVED = b"oci-layout", b"index.json", b"manifest.json"
OLD_SAVED = b"repositories"
"""What `docker save` of before Docker 1.10 has in the place of a manifest."""
FIX = Edit("Apply the image's layers", "extract", "oci")

_LAYERS = (b'"Layers"', b'"application/vnd.docker.distribution.', b'"application/vnd.oci.image.')
"""What a manifest.json has that is one: of `docker save`, or of the `dir:` transport."""
_LAYER = b"*/layer.tar"
_FEW = 8
_MEMBER = re.compile(
    r"(\./)?(blobs/sha(256|512)/[0-9a-f]{64}|oci-layout$|[0-9a-f]{64}(/layer\.tar|/VERSION|\.json|\.tar)$)"
)
"""Names in an OCI layout, and in what `docker save` of any version makes."""
_MOST = 1 << 20
"""Bytes of a manifest.json that are looked into; real ones have a few hundred."""


def is_image_folder(path: bytes) -> bool:
    """Whether a folder is an OCI layout, an unpacked `docker save`, or one of `dir:`."""
    if all(os.path.isfile(os.path.join(path, name)) for name in (LAYOUT, INDEX)):
        return True
    saved = os.path.join(path, SAVED)
    if not os.path.isfile(saved):
        return os.path.isfile(os.path.join(path, OLD_SAVED)) and bool(
            glob.glob(os.path.join(glob.escape(path), b"*", b"layer.tar"))
        )
    try:
        fd = os.open(saved, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _is_manifest(os.pread(fd, _MOST, 0))
        finally:
            os.close(fd)
    except OSError:
        return False


def is_image_archive(path: bytes) -> bool:
    """Whether the first members of an archive are those of a container image.

    It looks at a few only, so as to answer at once; a no is not certain.
    """
    try:
        with tarfile.open(os.fsdecode(path), "r:*") as archive:
            return any(_MEMBER.match(member.name) for member in islice(archive, _FEW))
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return False


class Recogniser:
    """Sees the members of an archive go by, and whether they are those of an image."""

    def __init__(self) -> None:
        self.found = False
        self._seen: set[bytes] = set()

    def look(self, member: Member, source: Reader) -> None:
        """Takes one member; `source` stands where its data begins."""
        name = member.name.removeprefix(b"./")
        if name.endswith(b"/layer.tar") and name.count(b"/") == 1:
            name = _LAYER
        if member.kind != b"0" or name not in {LAYOUT, INDEX, SAVED, OLD_SAVED, _LAYER}:
            return
        self._seen.add(name)
        saved = name == SAVED and _is_manifest(source.read(min(member.size, _MOST)))
        whole = {LAYOUT, INDEX} <= self._seen or {OLD_SAVED, _LAYER} <= self._seen
        self.found = self.found or saved or whole


def _is_manifest(document: bytes) -> bool:
    return any(word in document for word in _LAYERS)


def report(path: bytes, findings: Findings, severity: Severity = "error") -> None:
    """Says that a source is a container image, and what unpacks it."""
    findings.add(
        "is-container-image",
        f"{shown(path)} is a container image, not a root file system: its layers would be in the"
        " image as they are",
        'set extract = "oci" to have them applied',
        key="extract",
        severity=severity,
        fix=FIX,
    )
