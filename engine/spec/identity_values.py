"""What a value of `[identity]` may be wrong about by itself."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

from engine.problem import Problem
from engine.spec.identity import is_uuid
from engine.spec.model import ImageSpec
from engine.spec.refusals import edit, error
from engine.spec.shape import show

MAX_EPOCH = 15_032_385_535
"""Last second that an ext4 inode of 256 bytes can hold (2446-05-10; kernel docs, ext4 inodes)."""
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{8}")
_UUIDS = ("seed", "disk_guid", "root_partition_guid", "root_filesystem_uuid")


def check(spec: ImageSpec) -> Iterator[Problem]:
    """Yields what is wrong with identifiers and the epoch."""
    for name in _UUIDS:
        text: str | None = getattr(spec.identity, name)
        if text:
            yield from _uuid(f"identity.{name}", text)
    signature = spec.identity.disk_signature
    if signature and not _SIGNATURE.fullmatch(signature):
        yield error(
            "bad-signature",
            "identity.disk_signature",
            f"{show(signature)} is not the signature of an MBR",
            "write 0x and eight hexadecimal digits, as in 0x1a2b3c4d",
        )
    epoch = spec.identity.source_date_epoch
    if epoch is not None and not 0 <= epoch <= MAX_EPOCH:
        yield error(
            "bad-epoch",
            "identity.source_date_epoch",
            f"is {epoch}, but must be 0 to {MAX_EPOCH} seconds since 1970",
        )


def _uuid(path: str, text: str) -> Iterator[Problem]:
    if not is_uuid(text):
        digits = re.sub(r"[^0-9A-Fa-f]", "", text)
        fix = None
        if len(digits) == 32 and re.fullmatch(r"\{?[0-9A-Fa-f-]+\}?", text.strip()):
            better = str(uuid.UUID(digits))
            fix = edit(f"Write it as {better}", (path, better))
        yield error(
            "bad-uuid",
            path,
            f"{show(text)} is not a UUID: it has {len(text)} characters, {len(digits)} of them "
            "hexadecimal digits",
            "a UUID has 36 characters: 8-4-4-4-12 hexadecimal digits with hyphens between",
            fix,
        )
    elif uuid.UUID(text).int == 0:
        yield error(
            "nil-uuid", path, "is the nil UUID, which a partition table reads as unused",
            "remove the key to have one derived", edit("Have one derived", (path, None)),
        )  # fmt: skip
