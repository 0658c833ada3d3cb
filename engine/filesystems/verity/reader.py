"""Reads dm-verity hash trees, whoever made them, and holds data against them.

Source: as for `tree`; nothing is taken from there, so that one is the witness of the other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from engine.image.reading import BadFilesystem, Window
from engine.units import in_bytes

_SIGNATURE = b"verity\0\0"
_SIZE = 512
_MOST_LEVELS = 63
_HEAD = 512
_SIGNED = re.compile(rb'\s*\{[^\0]*"(?:rootHash|certificateFingerprint|signature)"')
"""How a signature begins, in whatever order its fields come."""
_LARGEST_SIGNATURE = 1 << 16
_ALGORITHMS = {"sha1", "sha256", "sha512"}


class HashTree:
    """The hash tree in a window of a disk.

    Attributes:
        algorithm: Of the digests, as the kernel names it.
        data_block_size: Bytes of a block of what it is of.
        data_blocks: How many of these there are.
        levels: First byte and blocks of each level, the lowest first.
    """

    type = "verity"
    label = ""
    clean = True
    free = 0

    def __init__(self, window: Window) -> None:
        self._window = window
        raw = window.read(0, _SIZE)
        signature, version, kind, identifier, name, data_block, block, blocks, length, salt = (
            struct.unpack_from("<8sII16s32sIIQH6x256s", raw)
        )
        if signature != _SIGNATURE:
            raise BadFilesystem("no verity superblock")
        if version != 1 or kind > 1:
            raise BadFilesystem(f"verity superblock: version {version}, hashes of type {kind}")
        for size in (data_block, block):
            if size < 512 or size > 1 << 19 or size & size - 1:
                raise BadFilesystem(f"verity superblock: blocks of {size} bytes")
        if length > len(salt):
            raise BadFilesystem(f"verity superblock: a salt of {in_bytes(length)}")
        if not blocks:
            raise BadFilesystem("verity superblock: a tree of no data")
        self.salt: bytes = salt[:length]
        self.salted_first = kind == 1
        self.uuid = str(uuid.UUID(bytes=identifier))
        self.algorithm = name.partition(b"\0")[0].decode("ascii", "replace")
        if self.algorithm not in _ALGORITHMS:
            raise BadFilesystem(f"verity superblock: the algorithm {self.algorithm!r}")
        self.block_size: int = block
        self.data_block_size: int = data_block
        self.data_blocks: int = blocks
        self.digest_size = hashlib.new(self.algorithm).digest_size
        # A digest has a power of two of bytes, so that none crosses a block.
        self._slot = 1 << (self.digest_size - 1).bit_length()
        self.levels = self._levels()
        self.size = max(block, _SIZE) + sum(count for _, count in self.levels) * block
        self.room = min(self.size, window.size)

    def _levels(self) -> list[tuple[int, int]]:
        per_block = self.block_size // self._slot
        counts: list[int] = []
        count = self.data_blocks
        while count > 1 and len(counts) < _MOST_LEVELS:
            count = -(-count // per_block)
            counts.append(count)
        places = []
        at = max(self.block_size, _SIZE)
        for count in reversed(counts):
            places.append((at, count))
            at += count * self.block_size
        return places[::-1]

    @property
    def data_bytes(self) -> int:
        """Bytes of what the tree is of."""
        return self.data_blocks * self.data_block_size

    def root(self) -> str:
        """Returns the digest of the topmost block, which is the root hash of a sound tree.

        Raises:
            BadFilesystem: There are no levels: the root hash is that of the data.
        """
        if not self.levels:
            raise BadFilesystem("a tree of one block has no level to be hashed")
        return self._digest(self._window.read(self.levels[-1][0], self.block_size)).hex()

    def damaged(
        self,
        data: Window,
        root_hash: str,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[str]:
        """Yields what does not agree, as sentences: the root hash, blocks of the tree, of data.

        Args:
            data: What the tree is of.
            root_hash: What the topmost digest must be, in hexadecimal.
            cancelled: Asked before every block.

        Raises:
            BadImage: The tree or the data is shorter than it says.
        """
        wanted: Iterator[bytes] = iter((bytes.fromhex(root_hash),))
        for number, (at, count) in reversed(list(enumerate(self.levels))):
            for index in range(count):
                if cancelled():
                    return
                block = self._window.read(at + index * self.block_size, self.block_size)
                if self._digest(block) != next(wanted):
                    what = "the root hash is another" if number + 1 == len(self.levels) else (
                        f"block {index} of level {number} of the tree is damaged"
                    )  # fmt: skip
                    yield what
            wanted = self._stored(at, count)
        size = self.data_block_size
        for index, digest in enumerate(islice(wanted, self.data_blocks)):
            if cancelled():
                return
            if self._digest(data.read(index * size, size)) != digest:
                yield f"block {index} of the data is damaged"

    def _stored(self, at: int, count: int) -> Iterator[bytes]:
        """Yields the digests in the blocks of a level."""
        for index in range(count):
            block = self._window.read(at + index * self.block_size, self.block_size)
            for start in range(0, self.block_size, self._slot):
                yield block[start : start + self.digest_size]

    def _digest(self, block: bytes) -> bytes:
        parts = (self.salt, block) if self.salted_first else (block, self.salt)
        return hashlib.new(self.algorithm, b"".join(parts)).digest()

    def figures(self) -> Mapping[str, int]:
        return {
            "blocks": self.size // self.block_size, "data_blocks": self.data_blocks,
            "data_block_size": self.data_block_size,
        }  # fmt: skip

    def header(self) -> Mapping[str, object]:
        return {
            "uuid": self.uuid, "algorithm": self.algorithm, "salt": self.salt.hex(),
            "block size": self.block_size, "data block size": self.data_block_size,
            "data blocks": self.data_blocks, "salt in front": self.salted_first,
            "root hash": self.root() if self.levels else None,
        }  # fmt: skip

    def structures(self) -> Iterator[tuple[int, int, str]]:
        yield 0, self.block_size, "superblock of the hash tree"
        for number, (at, count) in enumerate(self.levels):
            yield at, count * self.block_size, f"level {number} of the hash tree"

    def unused(self) -> Iterator[tuple[int, int]]:
        if self._window.size > self.size:
            yield self.size, self._window.size - self.size


class Signature:
    """The signature of a root hash in a window of a disk.

    Attributes:
        root_hash: What is signed, in hexadecimal.
        fingerprint: SHA-256 of the certificate, in hexadecimal.
        signature: PKCS#7 in DER.
    """

    type = "verity-sig"
    label = uuid = ""
    clean = True
    free = 0
    block_size = 4096

    def __init__(self, window: Window) -> None:
        raw = window.read(0, min(window.size, _LARGEST_SIGNATURE))
        try:
            text, _, rest = raw.partition(b"\0")
            fields = json.loads(text)
            self.root_hash = bytes.fromhex(fields["rootHash"]).hex()
            self.fingerprint = bytes.fromhex(fields["certificateFingerprint"]).hex()
            self.signature = base64.b64decode(fields["signature"], validate=True)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadFilesystem(f"verity signature: {error!r}") from error
        self._window, self._used = window, len(text)
        self.size = self.room = len(raw)
        if any(rest):
            raise BadFilesystem("verity signature: something follows it")

    def figures(self) -> Mapping[str, int]:
        return {"blocks": -(-self.size // self.block_size)}

    def header(self) -> Mapping[str, object]:
        return {
            "root hash": self.root_hash, "certificate": self.fingerprint,
            "signature": self.signature.hex(),
        }  # fmt: skip

    def structures(self) -> Iterator[tuple[int, int, str]]:
        yield 0, self._used, "signature of the root hash"

    def unused(self) -> Iterator[tuple[int, int]]:
        yield self._used, self._window.size - self._used


def probe(window: Window) -> HashTree | Signature | None:
    """Returns the hash tree or the signature in a window, or None if there is none.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    if window.read(0, 8) == _SIGNATURE:
        return HashTree(window)
    if _SIGNED.match(window.read(0, _HEAD)):
        return Signature(window)
    return None
