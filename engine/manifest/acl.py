"""POSIX access control lists in the kernel's form, where a mode is changed under them."""

from __future__ import annotations

import struct

ACCESS = b"system.posix_acl_access"

_VERSION = 2
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
# Tags of linux/posix_acl.h.
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOBODY = 2**32 - 1
_TAGS = {"user": (_USER_OBJ, _USER), "group": (_GROUP_OBJ, _GROUP), "mask": (_MASK, _MASK),
         "other": (_OTHER, _OTHER)}  # fmt: skip


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


def acl_of_text(text: bytes) -> bytes:
    """Returns the kernel's form of a list in long text form, as archives hold it (acl(5)).

    Entries stand between commas or line ends; who is meant is a number, or a name followed by
    its number as a fourth field (star's form).

    Raises:
        ValueError: An entry is malformed, or names someone without a number.
    """
    entries = []
    for line in text.decode("utf-8", "replace").replace(",", "\n").splitlines():
        item = line.partition("#")[0].strip()
        if not item:
            continue
        fields = item.split(":")
        if len(fields) < 3 or fields[0] not in _TAGS or not set(fields[2]) <= set("rwx-"):
            raise ValueError(f"{item!r} is not an entry of an access list")
        owner, named = _TAGS[fields[0]]
        bits = sum(value for letter, value in (("r", 4), ("w", 2), ("x", 1)) if letter in fields[2])
        who = fields[3] if len(fields) > 3 else fields[1]
        if fields[1] and not who.isdecimal():
            raise ValueError(f"{item!r} has no number for the name")
        entries.append((named, bits, int(who)) if fields[1] else (owner, bits, _NOBODY))
    packed = b"".join(_ENTRY.pack(*entry) for entry in sorted(entries))
    return _HEADER.pack(_VERSION) + packed
