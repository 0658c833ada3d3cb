"""The documents of a container image: indexes, manifests and configurations, checked and decoded.

Source: the OCI image specification 1.1 (descriptor, image-index, manifest, image-layout), and
Docker's image specification 1.2 for what `docker save` writes.
"""

from __future__ import annotations

import hashlib
import re
from typing import TypeVar

import msgspec

from engine.manifest.oci.errors import BadImage
from engine.manifest.oci.image import Config, Platform
from engine.manifest.oci.store import Store
from engine.problem import quote
from engine.units import in_bytes

_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")
_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)

Decoded = TypeVar("Decoded")


class StatedPlatform(msgspec.Struct, frozen=True):
    """What an index says of an image's platform (image-spec, image-index.md)."""

    architecture: str = ""
    os: str = ""
    variant: str = ""


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """A reference to a blob (image-spec, descriptor.md)."""

    digest: str
    size: int
    media_type: str = ""
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    platform: StatedPlatform | None = None


class ImageIndex(msgspec.Struct, frozen=True):
    """The images of a layout, or one image for several platforms."""

    manifests: list[Descriptor] | None = None


class ImageManifest(msgspec.Struct, frozen=True):
    """The configuration and the layers of one image."""

    config: Descriptor
    layers: list[Descriptor] | None = None


class Layout(msgspec.Struct, frozen=True, rename="camel"):
    """The file `oci-layout`."""

    image_layout_version: str


class Saved(msgspec.Struct, frozen=True, rename="pascal"):
    """One image of `docker save`."""

    config: str
    layers: list[str] | None = None
    repo_tags: list[str] | None = None


def is_artifact(manifest: ImageManifest) -> bool:
    """Whether a manifest is of something else than an image, such as a chart or a signature."""
    return manifest.config.media_type not in {*_CONFIGS, ""}


def platform_of(config: Config) -> Platform:
    """Returns the platform that an image's own configuration names."""
    return Platform(config.os, config.architecture, config.variant)


def saved_config(store: Store, path: str) -> Config:
    """Returns the configuration of a saved image, whose name is its sum."""
    data = store.document(path_of(path))
    stem = path.rpartition("/")[2].removesuffix(".json")
    if re.fullmatch("[0-9a-f]{64}", stem) and hashlib.sha256(data).hexdigest() != stem:
        raise BadImage(f"{quote(path)} is damaged: its content does not have the sum in its name")
    return decoded(data, Config, path)


def path_of(text: str) -> bytes:
    """Returns a path of a `docker save` as the store knows it."""
    return text.encode(errors="surrogateescape")


def blob_path(digest: str) -> bytes:
    """Returns where the blob of a digest lies in a layout."""
    if not _DIGEST.fullmatch(digest):
        raise BadImage(f"{quote(digest)} is not a digest of sha256 or sha512")
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}".encode()


def read_document(store: Store, descriptor: Descriptor) -> bytes:
    """Returns a document, once its size and sum are right."""
    data = store.document(blob_path(descriptor.digest))
    algorithm, _, value = descriptor.digest.partition(":")
    if len(data) != descriptor.size or hashlib.new(algorithm, data).hexdigest() != value:
        raise BadImage(
            f"{descriptor.digest} is damaged: it has {in_bytes(len(data))} of "
            f"{descriptor.size:,}, or another sum"
        )
    return data


def decoded(data: bytes, kind: type[Decoded], what: str) -> Decoded:
    """Returns what a document says.

    Raises:
        BadImage: It is not JSON, or not of that kind.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadImage(f"{quote(what)} cannot be read: {error}") from error
