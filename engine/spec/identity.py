"""Identifiers: derived from one seed by role, so that a rebuilt image is the same image.

A role is "disk", "mbr-signature", or "partition", "filesystem" or "hash-seed", a slash and the id
of a volume ("partition/esp").

UUIDs are version 5 (RFC 9562): a hash of the seed and the role's name. Short identifiers (FAT
volume id, MBR disk signature) are the first 32 bits of such a UUID.
"""

from __future__ import annotations

import hashlib
import re
import uuid

NAMESPACE = uuid.UUID("7c0d2a8e-5b0f-4f0c-9c57-0d1f6a7b52e4")
"""Namespace of this program's seeds; it never changes, or every image would."""

ROOT_PARTITION_GUID = "F222513B-DED1-49FA-B591-20CE86A2FE7F"
"""The reference's default `rootGPUID`, which `rootFSUID` also has."""

REFERENCE_DISK_GUID = "97FD5997-F390-0B4A-A3F8-D106C1723AEA"
"""What sgdisk reads from the 35 characters that the reference gives as its disk GUID (measured)."""

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in its one full form: 36 characters, hyphens in their places."""
    return _UUID.fullmatch(text) is not None


def seed_for(name: str) -> str:
    """Returns the seed of an image that gives none: derived from its name alone."""
    return str(uuid.uuid5(NAMESPACE, name))


def random_seed() -> str:
    """Returns a fresh seed, for `identity.deterministic = false`."""
    return str(uuid.uuid4())


def derive(seed: str, role: str) -> uuid.UUID:
    """Returns the UUID that a seed gives to a role."""
    return uuid.uuid5(uuid.UUID(seed), role)


def derive_salt(seed: str, role: str) -> bytes:
    """Returns a role's 32 bytes of salt, such as of the hash tree of a volume ("verity/root")."""
    return hashlib.sha256(derive(seed, role).bytes).digest()


def derive_32(seed: str, role: str) -> int:
    """Returns a role's 32-bit identifier, never 0 (which means "none" in an MBR)."""
    return derive(seed, role).int >> 96 or 1
