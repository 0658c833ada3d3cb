"""The mke2fs command line: the one place that knows its options.

Nothing is left to the machine's mke2fs.conf or to a newer e2fsprogs' defaults: features, inode
size and count, reserve and identifiers are all given here; an empty configuration and the time
are in the environment of every tool (`engine.tools.environment`). With the geometry's default
inode count and 5 % reserve the bytes are those of a plain `mkfs.ext4 -b 4096` of e2fsprogs 1.47.0.
Newer features (orphan_file, metadata_csum_seed) are left out, as older kernels and boot loaders
refuse them.
"""

from __future__ import annotations

from engine.filesystems.ext4.geometry import Geometry


def mke2fs_argv(
    image: str,
    geometry: Geometry,
    *,
    offset: int,
    uuid: str,
    label: str,
    reserved_percent: int = 0,
) -> tuple[str, ...]:
    """Returns the command that makes an empty file system inside an image.

    The image must be at least `offset` and the file system's bytes long, and hold zeros there:
    inode tables and journal are taken for zeroed, which keeps a sparse image sparse.

    Args:
        image: Path of the image file.
        geometry: Its shape; made with the same `reserved_percent`.
        offset: Bytes from the start of the image to the file system.
        uuid: Also seeds the directory hashes, so that the bytes depend on nothing else.
        label: At most 16 bytes.
        reserved_percent: Share of the blocks kept for the superuser.
    """
    features = [
        feature
        for feature in geometry.ext.features
        if feature != "has_journal" or geometry.journal_blocks
    ]
    extended = (
        f"offset={offset},hash_seed={uuid},root_owner=0:0,"
        "lazy_itable_init=0,assume_storage_prezeroed=1,nodiscard"
    )
    return (
        "mke2fs", "-q", "-F", "-T", "default",
        "-b", str(geometry.block_size),
        "-I", "256",
        "-N", str(geometry.requested_inodes),
        "-m", str(reserved_percent),
        "-O", ",".join(["none", *features]),
        "-U", uuid,
        "-L", label,
        "-E", extended,
        image,
        str(geometry.requested_blocks),
    )  # fmt: skip
