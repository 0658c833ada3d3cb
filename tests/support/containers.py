"""Container images made from nothing: layers of members, an OCI layout or a `docker save`."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "+gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "+zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}
OCI = "application/vnd.oci.image"
EPOCH = 1_600_000_000


@dataclass
class Made:
    """An image: its layers as plain tar archives, from the lowest up, and what it says."""

    layers: Sequence[bytes]
    process: dict[str, Any] = field(default_factory=dict)
    architecture: str = "amd64"
    os: str = "linux"
    variant: str = ""

    def config(self) -> bytes:
        return json.dumps(
            {
                "architecture": self.architecture,
                "os": self.os,
                **({"variant": self.variant} if self.variant else {}),
                "config": self.process,
                "rootfs": {
                    "type": "layers",
                    "diff_ids": [f"sha256:{_sum(layer)}" for layer in self.layers],
                },
            }
        ).encode()


def member(
    name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", link: str = "", **fields: object
) -> tuple[tarfile.TarInfo, bytes]:
    """Returns a member; a name that ends in a slash is a directory."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if name.endswith("/") else kind
    info.mode = 0o755 if name.endswith("/") else 0o644
    info.linkname = link
    info.size = len(data)
    info.mtime = EPOCH
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, tarfile.SYMTYPE, link=target)


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, tarfile.LNKTYPE, link=target)


def layer(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Returns a layer as a plain tar archive."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return whole.getvalue()


def layout(folder: Path, *images: tuple[str, Made], packing: str = "+gzip") -> Path:
    """Makes an OCI layout of images by tag; those of one tag become one index."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    top: list[dict[str, Any]] = []
    for tag in dict.fromkeys(tag for tag, _ in images):
        of_tag = [made for name, made in images if name == tag]
        found = [_manifest(folder, made, packing) for made in of_tag]
        if len(found) > 1:
            body = {"schemaVersion": 2, "manifests": found}
            found = [_blob(folder, json.dumps(body).encode(), f"{OCI}.index.v1+json")]
        notes = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
        top.append({**found[0], **notes})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": top}))
    return folder


def saved(folder: Path, *images: tuple[str, Made]) -> Path:
    """Makes a folder as `docker save` of before version 25 archives it."""
    folder.mkdir()
    listed = []
    for tag, made in images:
        config = made.config()
        name = f"{_sum(config)}.json"
        (folder / name).write_bytes(config)
        layers = []
        for each in made.layers:
            place = folder / _sum(each)
            place.mkdir(exist_ok=True)
            (place / "layer.tar").write_bytes(each)
            layers.append(f"{_sum(each)}/layer.tar")
        listed.append({"Config": name, "RepoTags": [tag] if tag else None, "Layers": layers})
    (folder / "manifest.json").write_text(json.dumps(listed))
    return folder


def archived(folder: Path, packing: str = "") -> Path:
    """Returns an archive of a folder's content."""
    path = folder.with_name(f"{folder.name}.tar{packing}")
    subprocess.run(["tar", "-C", folder, "-cf", path, *sorted(_names(folder))], check=True)
    path.write_bytes(PACKERS[packing](path.read_bytes()))
    return path


def _names(folder: Path) -> Iterable[str]:
    return (path.name for path in folder.iterdir())


def _manifest(folder: Path, made: Made, packing: str) -> dict[str, Any]:
    config = _blob(folder, made.config(), f"{OCI}.config.v1+json")
    layers = [
        _blob(folder, PACKERS[packing](each), f"{OCI}.layer.v1.tar{packing}")
        for each in made.layers
    ]
    body = {"schemaVersion": 2, "config": config, "layers": layers}
    platform = {"architecture": made.architecture, "os": made.os}
    if made.variant:
        platform["variant"] = made.variant
    described = _blob(folder, json.dumps(body).encode(), f"{OCI}.manifest.v1+json")
    return {**described, "platform": platform}


def _blob(folder: Path, data: bytes, media_type: str) -> dict[str, Any]:
    (folder / "blobs" / "sha256" / _sum(data)).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{_sum(data)}", "size": len(data)}


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
