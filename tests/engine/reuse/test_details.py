"""The larger part of a record comes back item by item, and is not believed once it changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.manifest.entry import Entry
from engine.manifest.folder import FolderSource
from engine.manifest.manifest import Manifest
from engine.provenance.inputs import summed
from engine.reuse.details import Detailed, Details, write
from engine.reuse.keep import keep
from engine.reuse.part import Part
from engine.reuse.record import Unbelievable


def written(path: Path, detailed: Detailed) -> Details:
    part = Part(path)
    with part.open() as file:
        items = write(file, detailed)
    part.install()
    return Details(path, items)


def test_it_comes_back(tmp_path: Path) -> None:
    source, other = FolderSource(b"/a"), FolderSource(b"/b", b"x")
    entries = [Entry(b"", 0o40755)]
    entries += [Entry(b"f%d" % at, 0o100644, size=at, source=source, stamp=at) for at in range(9)]
    entries += [Entry(b"x", 0o40755, source=other), Entry(b"x/g", 0o100644, source=other, stamp=1)]
    origins = {"contents[0]": (source,), "contents[1]": (other,)}
    sums = {id(entry): b"%032d" % at for at, entry in enumerate(entries) if entry.is_regular}
    kept = keep("root", Manifest(entries, origins=origins), sums)
    bare = keep("data", Manifest(entries[:1]), {})
    assert kept is not None
    assert bare is not None
    detailed = Detailed(b"digests", {"root": b"places"}, (kept, bare), [b"\x01", b"\xa1a"])
    found = written(tmp_path / "record.kept", detailed)
    brought = [bytes(one) for one in found.brought()]
    assert Detailed(found.digests(), found.files(), found.kept(), brought) == detailed
    assert kept.summed == summed(Manifest(entries, origins=origins), sums)
    assert (tmp_path / "record.kept").stat().st_mode & 0o777 == 0o600
    bare_of_all = written(tmp_path / "record.kept", Detailed(b"", {}, ()))
    assert bare_of_all.kept() == ()


def test_an_item_is_believed_while_it_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "record.kept"
    found = written(path, Detailed(b"digests", {"root": b"places"}, ()))
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


def test_a_part_that_is_not_wanted_goes(tmp_path: Path) -> None:
    part = Part(tmp_path / "folder" / "record.kept")
    with part.open() as file:
        file.write(b"data")
    part.discard()
    part.discard()
    assert list((tmp_path / "folder").iterdir()) == []
