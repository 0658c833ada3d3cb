"""The images that a store holds, from an index or from a `docker save`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.manifest.findings import Edit
from engine.manifest.oci.documents import (
    Descriptor,
    ImageIndex,
    ImageManifest,
    Layout,
    Saved,
    blob_path,
    decoded,
    is_artifact,
    platform_of,
    read_document,
    saved_config,
)
from engine.manifest.oci.errors import BadImage
from engine.manifest.oci.image import Config, Platform
from engine.manifest.oci.recognise import INDEX, LAYOUT, OLD_SAVED, SAVED
from engine.manifest.oci.store import Store
from engine.problem import quote

_MOST_MANIFESTS = 4096
_MOST_DEPTH = 4
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_ATTESTATION = ("vnd.docker.reference.type", "attestation-manifest")
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that may be meant: from an index, or from a `docker save`."""

    names: tuple[str, ...]
    platform: Platform
    descriptor: Descriptor | None = None
    saved: Saved | None = None

    @property
    def key(self) -> str:
        """What makes it the same image under two names."""
        if self.descriptor is not None:
            return self.descriptor.digest
        return self.saved.config if self.saved is not None else ""


def candidates_of(store: Store) -> list[Candidate]:
    """Returns every image of a store, each once."""
    found: list[Candidate] = []
    if store.has(INDEX):
        if store.has(LAYOUT):
            version = decoded(store.document(LAYOUT), Layout, "oci-layout").image_layout_version
            if not version.startswith("1."):
                raise BadImage(
                    f"is an OCI layout of version {quote(version)}, and 1.0.0 is the one known",
                    "make it again with a tool that writes OCI layouts of today",
                )
        index = decoded(store.document(INDEX), ImageIndex, "index.json")
        found = _from_index(store, index, (), _MOST_DEPTH)
    elif store.has(SAVED):
        for saved in decoded(store.document(SAVED), list[Saved], "manifest.json"):
            config = saved_config(store, saved.config)
            found.append(Candidate(tuple(saved.repo_tags or ()), platform_of(config), saved=saved))
    else:
        old = store.has(OLD_SAVED)
        raise BadImage(
            "is a `docker save` of before Docker 1.10, whose format has no sums"
            if old
            else "is not a container image: it has neither an index.json nor a manifest.json",
            "load it into a Docker of today and save it again"
            if old
            else "extract = true unpacks an archive of a root file system (docker export)",
            code="no-container-image",
            key="extract",
            fix=None if old else Edit("Unpack it as a plain archive", "extract", True),
        )
    merged: dict[str, Candidate] = {}
    for each in found:
        known = merged.get(each.key)
        names = dict.fromkeys((*(known.names if known else ()), *each.names))
        merged[each.key] = replace(each, names=tuple(names))
    if not merged:
        raise BadImage("is a container layout without an image in it", "save an image into it")
    return list(merged.values())


def _from_index(
    store: Store, index: ImageIndex, names: tuple[str, ...], depth: int
) -> list[Candidate]:
    found: list[Candidate] = []
    for descriptor in index.manifests or ():
        notes = descriptor.annotations or {}
        if notes.get(_ATTESTATION[0]) == _ATTESTATION[1]:
            continue
        own = (*names, *(notes[key] for key in _NAMES if key in notes))
        name = blob_path(descriptor.digest)
        platform = descriptor.platform
        if descriptor.media_type in _INDEXES:
            if depth == 0:
                raise BadImage(f"has indexes in indexes, more than {_MOST_DEPTH} deep")
            if store.has(name):
                inner = decoded(read_document(store, descriptor), ImageIndex, descriptor.digest)
                found += _from_index(store, inner, own, depth - 1)
        elif platform is None and store.has(name):
            manifest = decoded(read_document(store, descriptor), ImageManifest, descriptor.digest)
            if not is_artifact(manifest):
                data = read_document(store, manifest.config)
                config = decoded(data, Config, manifest.config.digest)
                found.append(Candidate(own, platform_of(config), descriptor=descriptor))
        elif platform is None:
            found.append(Candidate(own, Platform(), descriptor=descriptor))
        elif (platform.os, platform.architecture) != ("unknown", "unknown"):
            said = Platform(platform.os, platform.architecture, platform.variant)
            found.append(Candidate(own, said, descriptor=descriptor))
        if len(found) > _MOST_MANIFESTS:
            raise BadImage(f"names more than {_MOST_MANIFESTS} images")
    return found
