"""The larger part of a record comes back item by item, and is not believed once it changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.manifest.entry import Entry
from engine.manifest.folder import FolderSource
from engine.manifest.manifest import Manifest
from engine.provenance.inputs import summed
from engine.reuse.details import Details, Rest, Writer
from engine.reuse.keep import keep
from engine.reuse.kept import Kept
from engine.reuse.part import Part
from engine.reuse.record import Unbelievable


def written(path: Path, *kept: Kept) -> Details:
    writer = Writer(Part(path))
    for one in kept:
        writer.keep(one)
    items = writer.finish(Rest(b"digests", {"root": b"places"}, [b"\x01", b"\xa1a"]))
    writer.part.install()
    return Details(path, items)


def test_it_comes_back(tmp_path: Path) -> None:
    source, other = FolderSource(b"/a"), FolderSource(b"/b", b"x")
    entries = [Entry(b"", 0o40755)]
    entries += [Entry(b"f%d" % at, 0o100644, size=at, source=source, stamp=at) for at in range(9)]
    entries += [Entry(b"x", 0o40755, source=other), Entry(b"x/g", 0o100644, source=other, stamp=1)]
    origins = {"contents[0]": (source,), "contents[1]": (other,)}
    sums = {id(entry): b"%032d" % at for at, entry in enumerate(entries) if entry.is_regular}
    kept = keep("root", Manifest(entries, origins=origins), lambda entry: sums.get(id(entry)))
    bare = keep("data", Manifest(entries[:1]), lambda entry: None)
    assert kept is not None
    assert bare is not None
    found = written(tmp_path / "record.kept", kept, bare)
    assert found.kept() == (kept, bare)
    assert (found.digests(), found.files()) == (b"digests", {"root": b"places"})
    assert [bytes(one) for one in found.brought()] == [b"\x01", b"\xa1a"]
    assert kept.summed == summed(Manifest(entries, origins=origins), sums)
    assert (tmp_path / "record.kept").stat().st_mode & 0o777 == 0o600
    assert written(tmp_path / "record.kept").kept() == ()


def test_an_item_is_believed_while_it_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "record.kept"
    found = written(path)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"!")
    assert found.digests() == b"digests"
    assert found.files() == {"root": b"places"}
    with pytest.raises(Unbelievable, match="damaged"):
        found.brought()
    path.write_bytes(data[:8])
    with pytest.raises(Unbelievable, match="damaged"):
        found.digests()
    path.unlink()
    with pytest.raises(Unbelievable, match="cannot be read"):
        found.digests()
    path.write_bytes(data)
    with pytest.raises(Unbelievable, match="damaged"):
        Details(path, ()).digests()


def test_what_is_not_wanted_goes(tmp_path: Path) -> None:
    writer = Writer(Part(tmp_path / "folder" / "record.kept"))
    writer.finish(Rest(b"digests", {}))
    writer.discard()
    writer.discard()
    assert list((tmp_path / "folder").iterdir()) == []
