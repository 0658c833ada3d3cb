"""Digests of what goes in are those of the bytes that were written, read once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.filesystems.ext4.geometry import geometry
from engine.filesystems.ext4.writer import fill
from engine.manifest.datasums import DataSums
from engine.manifest.manifest import Manifest
from engine.manifest.scan import scan
from engine.provenance.inputs import of_sources, read_sums
from engine.spec.load import loads
from engine.spec.resolve import resolve
from tests.engine.filesystems.ext4 import dumpe2fs

MIB = 1 << 20


def tree(folder: Path) -> Manifest:
    """Scans files of every kind: empty, small, of several reads, with holes, of two names."""
    folder.mkdir()
    (folder / "empty").touch()
    (folder / "small").write_bytes(b"small")
    (folder / "large").write_bytes(bytes(range(256)) * (3 * MIB // 256) + b"end")
    (folder / "small-again").hardlink_to(folder / "small")
    with (folder / "holes").open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(4 * MIB)
        file.write(b"data")
    text = f"schema = 1\n[[contents]]\nsource = {str(folder)!r}\ntarget = '/'\n"
    settings, _ = resolve(loads(text), Path("/"), {})
    return scan(settings).volumes["root"]


def test_sums_of_what_is_written_are_those_of_the_files(tmp_path: Path) -> None:
    manifest = tree(tmp_path / "tree")
    image = tmp_path / "image"
    dumpe2fs.make(image, geometry(64 * MIB))
    sums = DataSums()
    fill(image, dumpe2fs.OFFSET, manifest, epoch=1, observer=sums)
    found = sums.of(manifest)
    by_path = {entry.path: found[id(entry)] for entry in manifest if id(entry) in found}
    holes = by_path.pop(b"holes")
    assert by_path == {
        name: hashlib.sha256((tmp_path / "tree" / name.decode()).read_bytes()).digest()
        for name in (b"empty", b"small", b"large")
    }
    assert found == read_sums(manifest).of(manifest)
    assert holes != hashlib.sha256().digest()


def test_the_digest_of_a_folder_is_that_of_sha256sum_s_lines(tmp_path: Path) -> None:
    manifest = tree(tmp_path / "tree")
    sources = {id(e.source): e.source for e in manifest if e.source is not None}
    sums = read_sums(manifest).of(manifest)
    digest = of_sources(manifest, sums, sources.values())
    lines = "".join(
        f"{sums[id(entry)].hex()}  {entry.path.decode()}\n"
        for entry in manifest
        if id(entry) in sums
    )
    assert digest.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert digest.entries == 4
