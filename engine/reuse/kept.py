"""The entries of a volume as a record keeps them, and what was computed of all of them.

So an update neither walks nor measures nor sums up again what stayed: it has the fields of each,
from which an entry is made, and a line for each, that of the digest of the volume
(`engine.provenance.inputs.line_of`), and changes those few whose entries changed.
"""

from __future__ import annotations

import msgspec

from engine.provenance.inputs import Digest, Summed
from engine.reuse.fields import Fields
from engine.reuse.lines import Lines

NOWHERE = -1
"""In place of a source: a directory that no source brings."""

BUILDER = -2
"""In place of a source: what the builder made."""


class From(msgspec.Struct, frozen=True, array_like=True, tag="folder"):
    """A folder that entries come from (`engine.manifest.folder.FolderSource`).

    Attributes:
        folder: Its path on the host.
        target: Path in the volume that it stands for.
        names: Paths in the folder of those entries to which that does not apply.
    """

    folder: bytes
    target: bytes
    names: dict[bytes, bytes]


class Unpacked(msgspec.Struct, frozen=True, array_like=True, tag="archive"):
    """An archive or a container image that entries come from.

    Attributes:
        number: Which of those that the record has (`engine.reuse.record.Seen.archives`).
    """

    number: int


class Content(msgspec.Struct, frozen=True, array_like=True):
    """What a content entry brings to a volume.

    Attributes:
        where: Its key path.
        sources: Numbers of its sources.
        files: Numbers of its entries with data, 4 bytes each.
        lines: Of these (`engine.provenance.inputs.sum_line`).
        size: Of their data.
    """

    where: str
    sources: tuple[int, ...]
    files: bytes
    lines: Lines
    size: int


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """One volume.

    Attributes:
        id: Of the volume.
        fields: Of its entries.
        lines: Of its entries.
        stamps: Of each, 8 bytes (`engine.manifest.folder.stamp_of`); 0 where it has none.
        origins: Of each, the number of its source, 4 bytes.
        sources: What is numbered so.
        contents: What came of each content entry.
        extents: Of entries with holes.
        inserted: Entries that the builder put in when all others were there.
        made: Data of those that have some.
        counts: `engine.manifest.manifest.Counts`.
        needs: By format, what was measured of them (`engine.filesystems.patching.Patcher.figures`).
        size: Of all data.
        holes: See `Manifest.holes`.
        owned: See `Manifest.owned`.
    """

    id: str
    fields: Fields
    lines: Lines
    stamps: bytes
    origins: bytes
    sources: tuple[From | Unpacked, ...]
    contents: tuple[Content, ...]
    extents: dict[int, tuple[tuple[int, int], ...]]
    inserted: tuple[int, ...]
    made: dict[int, bytes]
    counts: tuple[int, ...]
    needs: dict[str, tuple[int, ...]]
    size: int
    holes: str
    owned: dict[str, tuple[int, int]]

    @property
    def summed(self) -> Summed:
        """Digests of what it holds, as `engine.provenance.inputs.summed` returns them."""
        return Summed(
            Digest(len(self.fields), self.size, self.lines.sha256),
            {
                one.where: Digest(len(one.lines), one.size, one.lines.sha256)
                for one in self.contents
            },
        )
