"""Digests of files' data by their identity, so that a file that stayed as it is is not read again.

As git's index does it: a file whose device, inode, size, mtime and ctime are those of a file that
was hashed has its contents. The kernel moves ctime with every change, and nobody can set it; and no
file is kept that changed within a grain of time of being looked at
(`engine.manifest.folder.is_recent`).

A file of them holds a header, the identities, and the digests in the same order.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Mapping

from engine.manifest.datasums import DataSums
from engine.manifest.entry import Entry, identity
from engine.manifest.manifest import Manifest
from engine.packed import numbers

_SIZE = 32
_MAGIC = b"diskwright digests 1\n"
_NUMBER = struct.Struct("=q")
_WORD = _NUMBER.size
_FEW = 256
"""Digests that are looked for one by one."""


class BadDigests(ValueError):
    """The bytes are not digests of this program's, or of another Python's."""


class Digests:
    """SHA-256 by identity, of the data as `engine.provenance.inputs.DataSums` takes it.

    What was read from a file stays packed while only a few are asked for.
    """

    def __init__(self, known: Mapping[int, bytes] | None = None) -> None:
        self._known = dict(known or {})
        self._identities = self._digests = b""
        self._few = _FEW

    def __len__(self) -> int:
        return len(self._unpacked())

    def of(self, entry: Entry) -> bytes | None:
        """Returns the digest of a regular file's data, or None where it has to be read."""
        number = identity(entry)
        return None if number is None else self._of(number)

    def _of(self, number: int) -> bytes | None:
        if self._identities and number not in self._known:
            if not self._few:
                return self._unpacked().get(number)
            self._few -= 1
            at = _place(self._identities, number)
            return None if at is None else self._digests[at * _SIZE : (at + 1) * _SIZE]
        return self._known.get(number)

    def _unpacked(self) -> dict[int, bytes]:
        if self._identities:
            found = self._digests
            digests = (found[at : at + _SIZE] for at in range(0, len(found), _SIZE))
            packed = zip(numbers("q", self._identities), digests, strict=True)
            self._known = {**dict(packed), **self._known}
            self._identities = self._digests = b""
        return self._known

    def learn(self, entries: Iterable[Entry], sums: Mapping[int, bytes]) -> None:
        """Takes digests that were just computed.

        Args:
            entries: Regular files among them are taken, unless they changed shortly before.
            sums: By `id` of the entry, as `DataSums.of` gives them.
        """
        identities, digests = array("q"), []
        for entry in entries:
            digest = sums.get(id(entry))
            if digest is not None:
                number = identity(entry)
                if number is not None:
                    identities.append(number)
                    digests.append(digest)
        if self._known or self._identities:
            self._known.update(zip(identities, digests, strict=True))
        else:  # packed, these take a quarter
            self._identities, self._digests = identities.tobytes(), b"".join(digests)

    def joined(self, others: Digests) -> Digests:
        """Returns these and others."""
        return Digests({**self._unpacked(), **others._unpacked()})

    def known(self, manifest: Manifest) -> tuple[DataSums, list[Entry]]:
        """Returns the digests of a manifest's files, and the files that have to be read for theirs.

        The digests can take what is read: `DataSums.take`.
        """
        sums, missing = DataSums(), []
        for entry in manifest:
            if entry.is_regular and entry.link_to is None and entry.size:
                digest = self.of(entry)
                if digest is None:
                    missing.append(entry)
                else:
                    sums.adopt(entry, digest)
        return sums, missing

    def dumps(self) -> bytes:
        """Returns them for a file: 40 bytes each."""
        return b"".join(
            (
                _header(), self._identities, array("q", self._known).tobytes(),
                self._digests, *self._known.values(),
            )
        )  # fmt: skip

    @classmethod
    def loads(cls, data: bytes) -> Digests:
        """Returns what `dumps` made bytes of.

        Raises:
            BadDigests: They are something else, cut short, or of another kind of machine.
        """
        header = _header()
        if not data.startswith(header):
            raise BadDigests("these are not digests of this program on this machine")
        count, rest = divmod(len(data) - len(header), _WORD + _SIZE)
        if rest:
            raise BadDigests("the digests are cut short")
        found, start = cls(), len(header) + count * _WORD
        found._identities, found._digests = data[len(header) : start], data[start:]
        return found


def _place(identities: bytes, number: int) -> int | None:
    """Returns which of some packed identities is a number."""
    wanted = _NUMBER.pack(number)
    at = identities.find(wanted)
    while at > 0 and at % _WORD:  # parts of two of them
        at = identities.find(wanted, at + 1)
    return None if at < 0 else at // _WORD


def _header() -> bytes:
    """Identities are this Python's hashes of numbers, in this machine's order of bytes."""
    return _MAGIC + b"%d %s\n" % (hash((1, 2, 3)), sys.byteorder.encode())
