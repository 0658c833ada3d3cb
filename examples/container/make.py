#!/usr/bin/env python3
"""Makes image.tar beside this file: a container image of two layers, from nothing.

It stands for what `docker save IMAGE -o image.tar` or `skopeo copy docker://IMAGE
oci-archive:image.tar` leave; the second layer deletes a file of the first.
"""

import hashlib
import io
import json
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
OCI = "application/vnd.oci.image"
blobs: dict[str, bytes] = {}


def archive(*files: tuple[str, bytes, int]) -> bytes:
    """Returns a tar archive of files: name, content, permissions."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, mode in files:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def blob(content: bytes, kind: str) -> dict[str, object]:
    """Stores content by its sum; returns what refers to it."""
    digest = hashlib.sha256(content).hexdigest()
    blobs[f"blobs/sha256/{digest}"] = content
    return {"mediaType": f"{OCI}.{kind}", "digest": f"sha256:{digest}", "size": len(content)}


layers = [
    archive(
        ("bin/greet", b"#!/bin/sh\necho $GREETING\n", 0o755),
        ("etc/motd", b"from the first layer\n", 0o644),
    ),
    archive(("etc/.wh.motd", b"", 0o644), ("etc/greeting", b"from the second layer\n", 0o644)),
]
config = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Entrypoint": ["/bin/greet"], "Env": ["GREETING=hello"]},
    "rootfs": {
        "type": "layers",
        "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers],
    },
}
manifest = {
    "schemaVersion": 2,
    "config": blob(json.dumps(config).encode(), "config.v1+json"),
    "layers": [blob(layer, "layer.v1.tar") for layer in layers],
}
index = {
    "schemaVersion": 2,
    "manifests": [
        {
            **blob(json.dumps(manifest).encode(), "manifest.v1+json"),
            "annotations": {"org.opencontainers.image.ref.name": "greet:1"},
        }
    ],
}
documents = {"oci-layout": {"imageLayoutVersion": "1.0.0"}, "index.json": index}
files = {name: json.dumps(document).encode() for name, document in documents.items()} | blobs
(HERE / "image.tar").write_bytes(archive(*((name, body, 0o644) for name, body in files.items())))
