"""What the host says of names in an open directory, besides their status."""

from __future__ import annotations

import errno
import os

_UNSUPPORTED = {errno.ENOTSUP, errno.ENOSYS}
_NOT_FOR_US = {errno.ENODATA, errno.EPERM, errno.EACCES, *_UNSUPPORTED}

Attributes = tuple[tuple[bytes, bytes], ...]
"""Pairs of full name and value, sorted by name."""


def names_in(fd: int) -> list[bytes]:
    """Returns the names in an open directory, sorted by byte."""
    names = os.listdir(fd)
    if not names:
        return []
    # One conversion for all: a descriptor can only be listed as text.
    listed = os.fsencode("\0".join(names)).split(b"\0")
    listed.sort()
    return listed


def attributes_of(fd: int, name: bytes, device: int, unsupported: set[int]) -> Attributes:
    """Returns the extended attributes of a name that can be read, sorted by name.

    Args:
        fd: The directory.
        name: In it.
        device: That it is on.
        unsupported: Devices that have no attributes; gets this one if it has none.

    Raises:
        OSError: They cannot be read.
    """
    # There is no llistxattrat(2) to count on; this path cannot be led astray either.
    path = b"/proc/self/fd/%d/%s" % (fd, name)
    found = []
    try:
        for attribute in os.listxattr(path, follow_symlinks=False):
            try:
                value = os.getxattr(path, attribute, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NOT_FOR_US:
                    raise
                continue
            found.append((os.fsencode(attribute), value))
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        unsupported.add(device)
    return tuple(sorted(found))


def assert_readable(fd: int, name: bytes) -> None:
    """Raises PermissionError unless this process may read a file."""
    if not os.access(name, os.R_OK, dir_fd=fd, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def extents_of(fd: int, name: bytes, size: int) -> tuple[tuple[int, int], ...] | None:
    """Returns the data ranges of a file that takes less room than its size, None if dense."""
    file_fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    ranges: list[tuple[int, int]] = []
    try:
        at = 0
        while at < size:
            try:
                start = os.lseek(file_fd, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                    break
                if error.errno in {errno.EINVAL, *_UNSUPPORTED}:
                    return None
                raise
            at = min(os.lseek(file_fd, start, os.SEEK_HOLE), size)
            if start >= at:
                break
            ranges.append((start, at - start))
    finally:
        os.close(file_fd)
    return None if ranges == [(0, size)] else tuple(ranges)
