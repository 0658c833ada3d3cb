"""Says in one sentence what a window holds that no reader here knows."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from engine.image.container.disk import BadImage
from engine.image.reading import Window
from engine.image.signatures import SIGNATURES, Signature
from engine.problem import printable

_PIECE = 1 << 12
"""Bytes read at once: most magic numbers are in the first of them."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a window holds that is not read here.

    Attributes:
        signature: The row that it matches.
        label: "" for none, or where a row does not know.
        uuid: Likewise.
    """

    signature: Signature
    label: str = ""
    uuid: str = ""

    @property
    def what(self) -> str:
        """What it is, with its name."""
        name = f' "{printable(self.label)}"' if self.label else ""
        own = f" {self.uuid}" if self.uuid else ""
        return f"{self.signature.title}{name}{own}"

    @property
    def unread(self) -> str:
        """What it is, and that it is not read here."""
        return f"{self.what}, which is not read here"

    @property
    def sentence(self) -> str:
        """What it is, that it is not read here, and what would read it."""
        return f"{self.unread}: {self.signature.would}"


def identify(window: Window, rows: Sequence[Signature] = SIGNATURES) -> Foreign | None:
    """Returns what a window holds by its magic numbers, or None where no row matches.

    Raises:
        BadImage: The container is damaged there.
    """
    seen = _Seen(window)
    for row in rows:
        found = any(all(seen.has(at, magic) for at, magic in test) for test in row.tests)
        if found and (row.holds is None or _holds(row, window)):
            return Foreign(row, _label(seen, row), _uuid(seen, row))
    return None


class _Seen:
    """A window whose pieces are read once."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._pieces: dict[int, bytes] = {}

    def has(self, at: int, magic: bytes) -> bool:
        """Whether some bytes are at an offset, which counts from the end below 0."""
        return self.read(at if at >= 0 else self._window.size + at, len(magic)) == magic

    def read(self, at: int, length: int) -> bytes:
        """Returns what is there of a range."""
        if at < 0:
            return b""
        first, last = at // _PIECE, (at + length - 1) // _PIECE
        data = b"".join(self._piece(index) for index in range(first, last + 1))
        return data[at - first * _PIECE :][:length]

    def _piece(self, index: int) -> bytes:
        if index not in self._pieces:
            start = index * _PIECE
            length = max(min(_PIECE, self._window.size - start), 0)
            self._pieces[index] = self._window.read(start, length) if length else b""
        return self._pieces[index]


def _holds(row: Signature, window: Window) -> bool:
    assert row.holds is not None
    try:
        return row.holds(window)
    except BadImage:
        return False  # too small for it


def _label(seen: _Seen, row: Signature) -> str:
    if row.label is None:
        return ""
    at, length, encoding = row.label
    text = seen.read(at, length).decode(encoding, "replace").partition("\0")[0]
    return text.strip()


def _uuid(seen: _Seen, row: Signature) -> str:
    raw = b"" if row.uuid is None else seen.read(row.uuid, 16)
    return str(uuid.UUID(bytes=raw)) if len(raw) == 16 and any(raw) else ""
