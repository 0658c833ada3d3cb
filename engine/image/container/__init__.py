"""Image containers: the disk inside a raw, qcow2, VDI or VHD file, read without QEMU."""

from __future__ import annotations

from engine.image.container.disk import BadImage, Disk, open_disk, open_file

__all__ = ["BadImage", "Disk", "open_disk", "open_file"]
