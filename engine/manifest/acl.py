"""POSIX access control lists in the kernel's form, where a mode is changed under them."""

from __future__ import annotations

import struct

ACCESS = b"system.posix_acl_access"

_VERSION = 2
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
# Tags of linux/posix_acl.h.
_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x04, 0x10, 0x20


def chmod_acls(
    xattrs: tuple[tuple[bytes, bytes], ...], mode: int
) -> tuple[tuple[bytes, bytes], ...]:
    """Returns the attributes with an access list that agrees with `mode`, as chmod(2) leaves it.

    With a list, the group bits of a mode are its mask (acl(5)).
    """
    return tuple((name, _chmod(value, mode) if name == ACCESS else value) for name, value in xattrs)


def _chmod(value: bytes, mode: int) -> bytes:
    body = value[_HEADER.size :]
    if (
        len(value) < _HEADER.size
        or len(body) % _ENTRY.size
        or _HEADER.unpack_from(value)[0] != _VERSION
    ):
        return value
    entries = list(_ENTRY.iter_unpack(body))
    has_mask = any(tag == _MASK for tag, _, _ in entries)
    bits = {
        _USER_OBJ: mode >> 6 & 7,
        _MASK if has_mask else _GROUP_OBJ: mode >> 3 & 7,
        _OTHER: mode & 7,
    }
    changed = (_ENTRY.pack(tag, bits.get(tag, perm), who) for tag, perm, who in entries)
    return _HEADER.pack(_VERSION) + b"".join(changed)
