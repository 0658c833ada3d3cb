"""Container images as sources: OCI image layouts and archives of `docker save`.

Source: OCI image-spec 1.1 (image-layout.md, image-index.md, manifest.md, config.md, layer.md);
Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""
