"""Finds the image that is meant among those that a store holds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from engine.manifest.findings import Edit
from engine.manifest.oci.errors import BadImage
from engine.manifest.oci.image import (
    MOST_LAYERS,
    Config,
    ContainerImage,
    Layer,
    Platform,
    Process,
)
from engine.manifest.oci.recognise import INDEX, LAYOUT, OLD_SAVED, SAVED
from engine.manifest.oci.store import Store
from engine.problem import quote

DEFAULT_PLATFORM = Platform("linux", "amd64")
"""Taken where an image is there for several platforms and none is named: the same everywhere."""

_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")
_MOST_MANIFESTS = 4096
_MOST_DEPTH = 4
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_ATTESTATION = ("vnd.docker.reference.type", "attestation-manifest")
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_SHOWN = 8

Document = TypeVar("Document")


class _Platform(msgspec.Struct, frozen=True):
    architecture: str = ""
    os: str = ""
    variant: str = ""


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """A reference to a blob (image-spec, descriptor.md)."""

    digest: str
    size: int
    media_type: str = ""
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    platform: _Platform | None = None


class _Index(msgspec.Struct, frozen=True):
    manifests: list[_Descriptor] | None = None


class _Manifest(msgspec.Struct, frozen=True):
    config: _Descriptor
    layers: list[_Descriptor] | None = None


class _Layout(msgspec.Struct, frozen=True, rename="camel"):
    image_layout_version: str


class _Saved(msgspec.Struct, frozen=True, rename="pascal"):
    """One image of `docker save`."""

    config: str
    layers: list[str] | None = None
    repo_tags: list[str] | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An image that may be meant: from an index, or from a `docker save`."""

    names: tuple[str, ...]
    platform: Platform
    descriptor: _Descriptor | None = None
    saved: _Saved | None = None

    @property
    def key(self) -> str:
        """What makes it the same image under two names."""
        if self.descriptor is not None:
            return self.descriptor.digest
        return self.saved.config if self.saved is not None else ""


def choose(store: Store, image: str = "", platform: str = "") -> ContainerImage:
    """Returns the image that is meant.

    Args:
        store: Where it is.
        image: A name, a tag, or the beginning of a digest; needed where there are several.
        platform: As in "linux/arm64"; needed where there are several, none for linux/amd64.

    Raises:
        BadImage: There is none, or more than one, or it is damaged.
    """
    candidates = _named(_candidates(store), image)
    candidates = _for_platform(candidates, platform)
    present = [each for each in candidates if _is_there(store, each)]
    if candidates and not present:
        raise BadImage(
            f"the image for {candidates[0].platform} is named in the index, but not there",
            "save it again for that platform (docker pull --platform), or name another",
            code="image-incomplete",
            key="platform" if platform else "source",
        )
    if len(present) > 1:
        listed = _listed(name for each in present for name in each.names[:1] or (each.key,))
        raise BadImage(
            f"holds {len(present)} images: {listed}",
            "name one of them in `image`",
            code="image-ambiguous",
            key="image",
        )
    return _image(store, present[0])


def _candidates(store: Store) -> list[_Candidate]:
    """Returns every image of a store, each once."""
    found: list[_Candidate] = []
    if store.has(INDEX):
        if store.has(LAYOUT):
            version = _decoded(store.document(LAYOUT), _Layout, "oci-layout").image_layout_version
            if not version.startswith("1."):
                raise BadImage(
                    f"is an OCI layout of version {quote(version)}, and 1.0.0 is the one known",
                    "make it again with a tool that writes OCI layouts of today",
                )
        index = _decoded(store.document(INDEX), _Index, "index.json")
        found = _from_index(store, index, (), _MOST_DEPTH)
    elif store.has(SAVED):
        for saved in _decoded(store.document(SAVED), list[_Saved], "manifest.json"):
            config = _config(store, saved.config)
            found.append(_Candidate(tuple(saved.repo_tags or ()), _platform(config), saved=saved))
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
    merged: dict[str, _Candidate] = {}
    for each in found:
        known = merged.get(each.key)
        names = dict.fromkeys((*(known.names if known else ()), *each.names))
        merged[each.key] = replace(each, names=tuple(names))
    if not merged:
        raise BadImage("is a container layout without an image in it", "save an image into it")
    return list(merged.values())


def _from_index(
    store: Store, index: _Index, names: tuple[str, ...], depth: int
) -> list[_Candidate]:
    found: list[_Candidate] = []
    for descriptor in index.manifests or ():
        notes = descriptor.annotations or {}
        if notes.get(_ATTESTATION[0]) == _ATTESTATION[1]:
            continue
        own = (*names, *(notes[key] for key in _NAMES if key in notes))
        name = _blob(descriptor.digest)
        platform = descriptor.platform
        if descriptor.media_type in _INDEXES:
            if depth == 0:
                raise BadImage(f"has indexes in indexes, more than {_MOST_DEPTH} deep")
            if store.has(name):
                inner = _decoded(_document(store, descriptor), _Index, descriptor.digest)
                found += _from_index(store, inner, own, depth - 1)
        elif platform is None and store.has(name):
            manifest = _decoded(_document(store, descriptor), _Manifest, descriptor.digest)
            if not _is_artifact(manifest):
                data = _document(store, manifest.config)
                config = _decoded(data, Config, manifest.config.digest)
                found.append(_Candidate(own, _platform(config), descriptor=descriptor))
        elif platform is None:
            found.append(_Candidate(own, Platform(), descriptor=descriptor))
        elif (platform.os, platform.architecture) != ("unknown", "unknown"):
            said = Platform(platform.os, platform.architecture, platform.variant)
            found.append(_Candidate(own, said, descriptor=descriptor))
        if len(found) > _MOST_MANIFESTS:
            raise BadImage(f"names more than {_MOST_MANIFESTS} images")
    return found


def _named(candidates: Sequence[_Candidate], image: str) -> list[_Candidate]:
    """Returns the images of a name."""
    if not image:
        return list(candidates)
    exact = [each for each in candidates if image in each.names]
    fitting = exact or [
        each
        for each in candidates
        if any(image in _forms(name) for name in each.names)
        or (each.key.startswith(image) and image.startswith("sha"))
    ]
    if not fitting:
        names = list(dict.fromkeys(name for each in candidates for name in each.names))
        raise BadImage(
            f"holds no image {quote(image)}; there is {_listed(names) or 'one without a name'}",
            "name one that is there, or leave `image` out where there is one only",
            code="no-such-image",
            key="image",
            fix=Edit(f"Take {names[0]}", "image", names[0]) if len(names) == 1 else None,
        )
    return fitting


def _forms(name: str) -> set[str]:
    """Returns the shorter names that a name goes by: without registry, its tag alone."""
    forms = {name}
    rest = name
    while "/" in rest:
        rest = rest.partition("/")[2]
        forms.add(rest)
    forms |= {form.removesuffix(":latest") for form in forms}
    tag = rest.partition(":")[2]
    return forms | ({tag} if tag else set())


def _for_platform(candidates: Sequence[_Candidate], text: str) -> list[_Candidate]:
    """Returns the images for a platform, those of its best variant."""
    there = list(dict.fromkeys(each.platform for each in candidates))
    if text:
        wanted = parse_platform(text)
    elif len(there) == 1:
        wanted = there[0]
    else:
        wanted = DEFAULT_PLATFORM
    fitting = [each for each in candidates if each.platform.fits(wanted)]
    if not fitting:
        named = quote(str(wanted)) if text else f"{wanted}, the default,"
        raise BadImage(
            f"holds no image for {named}; there is {_listed(map(str, there))}",
            "name one of them in `platform`",
            code="no-such-platform",
            key="platform",
            fix=Edit(f"Take {there[0]}", "platform", str(there[0])) if len(there) == 1 else None,
        )
    if wanted.os != "linux":
        raise BadImage(f"is an image for {wanted}, and disk images are made of Linux ones")
    variants = sorted({each.platform.variant for each in fitting})
    # Of 32-bit ARM the newest, of others the one that every machine of the kind can run.
    best = variants[-1] if wanted.architecture == "arm" else variants[0]
    return [each for each in fitting if each.platform.variant == best]


def parse_platform(text: str) -> Platform:
    """Returns a platform of "OS/ARCHITECTURE[/VARIANT]" or of an architecture alone.

    Raises:
        BadImage: It is not one.
    """
    parts = text.split("/")
    if len(parts) == 1:
        parts = ["linux", *parts]
    if len(parts) > 3 or not all(parts):
        raise BadImage(
            f"{quote(text)} is not a platform",
            "write it as in linux/arm64 or linux/arm/v7",
            code="bad-platform",
            key="platform",
        )
    known = {"x86_64": "amd64", "aarch64": "arm64"}
    return Platform(parts[0], known.get(parts[1], parts[1]), parts[2] if len(parts) > 2 else "")


def _is_there(store: Store, candidate: _Candidate) -> bool:
    return candidate.descriptor is None or store.has(_blob(candidate.descriptor.digest))


def _image(store: Store, candidate: _Candidate) -> ContainerImage:
    """Reads the manifest and configuration of an image."""
    if candidate.descriptor is not None:
        descriptor = candidate.descriptor
        manifest = _decoded(_document(store, descriptor), _Manifest, descriptor.digest)
        if _is_artifact(manifest):
            kind = quote(manifest.config.media_type)
            raise BadImage(f"{descriptor.digest} is not an image but an artifact of type {kind}")
        data = _document(store, manifest.config)
        config = _decoded(data, Config, manifest.config.digest)
        digest = descriptor.digest
        blobs = manifest.layers or []
        names: list[tuple[bytes, str, int | None]] = [
            (_blob(each.digest), each.digest, each.size) for each in blobs
        ]
        for each, (name, _, _) in zip(blobs, names, strict=True):
            _assert_readable(store, each, name)
    else:
        saved = candidate.saved
        assert saved is not None
        config = _config(store, saved.config)
        data = store.document(_path(saved.config))
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        names = [(_path(name), "", None) for name in saved.layers or ()]
        for name, _, _ in names:
            if not store.has(name):
                raise _lacks(name)
    diff_ids = config.rootfs.diff_ids or []
    if len(diff_ids) != len(names):
        raise BadImage(f"has {len(names)} layers, and its configuration names {len(diff_ids)}")
    if len(names) > MOST_LAYERS:
        raise BadImage(f"has {len(names)} layers; {MOST_LAYERS} are the most that are taken")
    for diff_id in diff_ids:
        _blob(diff_id)
    layers = tuple(
        Layer(name, sum_, size, diff_id)
        for (name, sum_, size), diff_id in zip(names, diff_ids, strict=True)
    )
    process = config.config or Process()
    return ContainerImage(candidate.names, digest, _platform(config), layers, process)


def _assert_readable(store: Store, layer: _Descriptor, name: bytes) -> None:
    if "encrypted" in layer.media_type:
        raise BadImage(
            f"layer {layer.digest} is encrypted", "decrypt it first (skopeo copy --decryption-key)"
        )
    if store.has(name):
        return
    if layer.urls:
        raise BadImage(
            f"layer {layer.digest} is not in it, but to be had from {quote(layer.urls[0])} only",
            "fetch the image with its foreign layers, and save it again",
            code="image-incomplete",
        )
    raise _lacks(name)


def _lacks(name: bytes) -> BadImage:
    return BadImage(
        f"is incomplete: there is no {name.decode(errors='backslashreplace')} in it",
        "save it again; an image that was pulled for one platform has the layers of that one only",
        code="image-incomplete",
    )


def _is_artifact(manifest: _Manifest) -> bool:
    return manifest.config.media_type not in {*_CONFIGS, ""}


def _platform(config: Config) -> Platform:
    return Platform(config.os, config.architecture, config.variant)


def _config(store: Store, path: str) -> Config:
    """Returns the configuration of a saved image, whose name is its sum."""
    data = store.document(_path(path))
    stem = path.rpartition("/")[2].removesuffix(".json")
    if re.fullmatch("[0-9a-f]{64}", stem) and hashlib.sha256(data).hexdigest() != stem:
        raise BadImage(f"{quote(path)} is damaged: its content does not have the sum in its name")
    return _decoded(data, Config, path)


def _path(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _blob(digest: str) -> bytes:
    """Returns where the blob of a digest lies in a layout."""
    if not _DIGEST.fullmatch(digest):
        raise BadImage(f"{quote(digest)} is not a digest of sha256 or sha512")
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}".encode()


def _document(store: Store, descriptor: _Descriptor) -> bytes:
    """Returns a document, once its size and sum are right."""
    data = store.document(_blob(descriptor.digest))
    algorithm, _, value = descriptor.digest.partition(":")
    if len(data) != descriptor.size or hashlib.new(algorithm, data).hexdigest() != value:
        raise BadImage(
            f"{descriptor.digest} is damaged: it has {len(data)} bytes of {descriptor.size}, or"
            " another sum"
        )
    return data


def _decoded(data: bytes, kind: type[Document], what: str) -> Document:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadImage(f"{quote(what)} cannot be read: {error}") from error


def _listed(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - _SHOWN} more" if len(distinct) > _SHOWN else ""
    return ", ".join(quote(name)[1:-1] for name in distinct[:_SHOWN]) + more
