"""What a manifest takes, against what `mke2fs -d` and the writer really allocate."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings

from engine.filesystems.ext4.format import EXT2, EXT3, EXT4, FORMATS, ExtFormat
from engine.filesystems.ext4.geometry import geometry
from engine.filesystems.ext4.measure import Need, measure
from engine.filesystems.ext4.mke2fs import mke2fs_argv
from engine.filesystems.ext4.writer import fill
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from tests.engine.filesystems.ext4 import dumpe2fs
from tests.engine.filesystems.ext4.trees import (
    device,
    directory,
    file,
    files,
    link,
    manifest,
    manifests,
    symlink,
)
from tests.support.tools import run_tool

MIB = 1 << 20


def staged(folder: Path, seed: int) -> list[Entry]:
    """Makes a folder of small directories; returns its entries."""
    chance = random.Random(seed)
    entries: list[Entry] = []
    for number in range(60):
        name = b"directory%d" % number
        (folder / os.fsdecode(name)).mkdir()
        entries.append(directory(name))
        for at in range(chance.randrange(30)):
            path = name + b"/" + b"n" * chance.randrange(1, 100) + b"%d" % at
            place = os.fsencode(folder) + b"/" + path
            kind = chance.randrange(4)
            if kind == 0:
                target = b"t" * chance.randrange(1, 300)
                Path(os.fsdecode(place)).symlink_to(os.fsdecode(target))
                entries.append(symlink(path, target))
            elif kind == 1 and entries[-1].is_regular and entries[-1].link_to is None:
                os.link(os.fsencode(folder) + b"/" + entries[-1].path, place)
                entries.append(link(path, entries[-1]))
            else:
                size = chance.choice([0, 1, 4096, 4097, 100_000, chance.randrange(2_000_000)])
                Path(os.fsdecode(place)).write_bytes(b"x" * size)
                entries.append(file(path, size))
    return entries


@pytest.mark.parametrize("ext", FORMATS.values(), ids=lambda ext: str(ext.name))
def test_agrees_with_mke2fs_about_small_directories(ext: ExtFormat, tmp_path: Path) -> None:
    """Where directories are one block and linear, another writer takes exactly as much."""
    folder, image = tmp_path / "tree", tmp_path / "image"
    folder.mkdir()
    need = measure(manifest(staged(folder, 7)), ext)
    layout = geometry(400 * MIB, ext=ext)
    argv = mke2fs_argv(str(image), layout, offset=0, uuid=dumpe2fs.UUID, label="root")
    image.touch()
    os.truncate(image, 400 * MIB)
    filled = [*argv[:-2], "-d", str(folder), *argv[-2:]]
    run_tool(filled, epoch=0, check=True, capture_output=True)
    fields = dumpe2fs.header(image, offset=0)
    assert layout.free_blocks - int(fields["Free blocks"]) == need.blocks
    assert layout.free_inodes - int(fields["Free inodes"]) == need.inodes


@pytest.mark.parametrize("ext", [EXT2, EXT3], ids=lambda ext: str(ext.name))
@settings(max_examples=8, deadline=None)
@given(contents=manifests())
def test_agrees_with_the_writer_about_old_formats(
    contents: Manifest, ext: ExtFormat, tmp_path_factory: pytest.TempPathFactory
) -> None:
    image = tmp_path_factory.getbasetemp() / f"measure.{ext.name}"
    layout = geometry(200 * MIB, ext=ext)
    dumpe2fs.make(image, layout)
    fill(image, dumpe2fs.OFFSET, contents, epoch=1)
    need = measure(contents, ext)
    free_blocks, free_inodes = dumpe2fs.free(image)
    assert layout.free_blocks - free_blocks == need.blocks
    assert layout.free_inodes - free_inodes == need.inodes
    dumpe2fs.check(image)
    image.unlink()


def test_counts_each_kind() -> None:
    first = file(b"a", 5000)
    need = measure(
        manifest(
            [
                first,
                link(b"b", first),
                symlink(b"fast", b"t" * 59),
                symlink(b"slow", b"t" * 60),
                device(b"null"),
                directory(b"folder"),
                file(b"folder/sparse", 1 << 40, ((0, 1), (1 << 39, 8193))),
                file(b"folder/labelled", 0, xattrs=((b"user.a", b"v" * 200),)),
            ]
        )
    )
    assert need == Need(
        inodes=7,
        data_blocks=2 + 1 + 3,
        directory_blocks=1,
        symlink_blocks=1,
        xattr_blocks=1,
        breakable_blocks=need.breakable_blocks,
        data_bytes=5000 + 8194,
    )
    assert need.blocks == 6 + 1 + 1 + 1


def test_root_and_lost_found_have_their_blocks_already() -> None:
    assert measure(manifest([directory(b"lost+found")])) == Need()
    in_root = manifest(file(b"%08d" % number, 0) for number in range(1000))
    in_lost_found = manifest(files(b"lost+found", 1000))
    in_folder = manifest(files(b"folder", 1000))
    blocks = measure(in_folder).directory_blocks
    assert measure(in_root).directory_blocks == blocks - 1
    assert measure(in_lost_found).directory_blocks == blocks - 4


def test_large_files_take_a_tree() -> None:
    assert measure(manifest([file(b"f", 512 * MIB)])).extent_blocks == 0
    assert measure(manifest([file(b"f", 512 * MIB + 1)])).extent_blocks == 1
    assert measure(manifest([file(b"f", 90 * MIB)])).breakable_blocks == 0
    assert measure(manifest([file(b"f", 100 * MIB)])).breakable_blocks == 1
    assert measure(manifest([file(b"f", 100 * MIB)]), EXT3).extent_blocks == 26


def test_is_computed_once() -> None:
    contents = manifest(files(b"d", 10))
    assert measure(contents) is measure(contents)
    assert measure(contents, EXT4) is not measure(contents, EXT2)


@pytest.mark.parametrize(
    ("entries", "ext", "reason"),
    [
        ([file(b"n" * 256, 0)], EXT4, "a name of 256 bytes, 255 at most"),
        ([symlink(b"s", b"t" * 4096)], EXT4, "a link target of 4,096 bytes, 4,095 at most"),
        ([file(b"f", 1 << 44)], EXT4, "17,592,186,044,416 bytes, 17,592,186,040,320 at most"),
        ([file(b"f", 1 << 41)], EXT3, "2,199,023,255,552 bytes, 2,194,728,287,744 at most"),
        (
            [file(b"f", 0, xattrs=((b"user.a", b"v" * 4100),))],
            EXT4,
            "extended attributes larger than a block",
        ),
        ([file(b"lost+found", 0)], EXT4, "e2fsck needs a directory of this name"),
    ],
)
def test_names_what_cannot_be_written(entries: list[Entry], ext: ExtFormat, reason: str) -> None:
    (found,) = measure(manifest(entries), ext).unwritable
    assert (found.entry, found.reason) == (entries[0], reason)


@pytest.mark.parametrize(("ext", "limit"), [(EXT4, 65_000), (EXT2, 32_000)])
def test_links_have_a_limit(ext: ExtFormat, limit: int) -> None:
    first = file(b"a", 0)
    links = [link(b"b%d" % number, first) for number in range(limit)]
    assert measure(manifest([first, *links[:-1]]), ext).unwritable == ()
    (found,) = measure(manifest([first, *links]), ext).unwritable
    assert found.reason == f"more than {limit} names of one file"
