"""Finds the image that is meant among those that a store holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from engine.manifest.findings import Edit
from engine.manifest.oci.candidates import Candidate, candidates_of
from engine.manifest.oci.documents import (
    Descriptor,
    ImageManifest,
    blob_path,
    decoded,
    is_artifact,
    path_of,
    platform_of,
    read_document,
    saved_config,
)
from engine.manifest.oci.errors import BadImage
from engine.manifest.oci.image import MOST_LAYERS, Config, ContainerImage, Layer, Platform, Process
from engine.manifest.oci.store import Store
from engine.problem import quote

DEFAULT_PLATFORM = Platform("linux", "amd64")
"""Taken where an image is there for several platforms and none is named: the same everywhere."""

_SHOWN = 8


def choose(store: Store, image: str = "", platform: str = "") -> ContainerImage:
    """Returns the image that is meant.

    Args:
        store: Where it is.
        image: A name, a tag, or the beginning of a digest; needed where there are several.
        platform: As in "linux/arm64"; needed where there are several, none for linux/amd64.

    Raises:
        BadImage: There is none, or more than one, or it is damaged.
    """
    candidates = _named(candidates_of(store), image)
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


def _named(candidates: Sequence[Candidate], image: str) -> list[Candidate]:
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


def _for_platform(candidates: Sequence[Candidate], text: str) -> list[Candidate]:
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


def _is_there(store: Store, candidate: Candidate) -> bool:
    return candidate.descriptor is None or store.has(blob_path(candidate.descriptor.digest))


def _image(store: Store, candidate: Candidate) -> ContainerImage:
    """Reads the manifest and configuration of an image."""
    if candidate.descriptor is not None:
        descriptor = candidate.descriptor
        manifest = decoded(read_document(store, descriptor), ImageManifest, descriptor.digest)
        if is_artifact(manifest):
            kind = quote(manifest.config.media_type)
            raise BadImage(f"{descriptor.digest} is not an image but an artifact of type {kind}")
        data = read_document(store, manifest.config)
        config = decoded(data, Config, manifest.config.digest)
        digest = descriptor.digest
        blobs = manifest.layers or []
        names: list[tuple[bytes, str, int | None]] = [
            (blob_path(each.digest), each.digest, each.size) for each in blobs
        ]
        for each, (name, _, _) in zip(blobs, names, strict=True):
            _assert_readable(store, each, name)
    else:
        saved = candidate.saved
        assert saved is not None
        config = saved_config(store, saved.config)
        data = store.document(path_of(saved.config))
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        names = [(path_of(name), "", None) for name in saved.layers or ()]
        for name, _, _ in names:
            if not store.has(name):
                raise _lacks(name)
    diff_ids = config.rootfs.diff_ids or []
    if len(diff_ids) != len(names):
        raise BadImage(f"has {len(names)} layers, and its configuration names {len(diff_ids)}")
    if len(names) > MOST_LAYERS:
        raise BadImage(f"has {len(names)} layers; {MOST_LAYERS} are the most that are taken")
    for diff_id in diff_ids:
        blob_path(diff_id)
    layers = tuple(
        Layer(name, sum_, size, diff_id)
        for (name, sum_, size), diff_id in zip(names, diff_ids, strict=True)
    )
    process = config.config or Process()
    return ContainerImage(candidate.names, digest, platform_of(config), layers, process)


def _assert_readable(store: Store, layer: Descriptor, name: bytes) -> None:
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


def _listed(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - _SHOWN} more" if len(distinct) > _SHOWN else ""
    return ", ".join(quote(name)[1:-1] for name in distinct[:_SHOWN]) + more
