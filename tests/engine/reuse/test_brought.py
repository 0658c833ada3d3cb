"""What an archive brought is what it brings, and is believed only while it is what it was."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from engine.manifest.content import part_of
from engine.manifest.entry import Entry, Source, SourceChanged, identity
from engine.manifest.lookup import stream
from engine.manifest.part import Part
from engine.manifest.progress import Ticker
from engine.reuse import brought, maker
from engine.reuse.record import ArchiveRecord
from engine.spec.settings import ContentSettings, Settings
from tests.engine.manifest.support import settings
from tests.support.containers import (
    Made,
    archived,
    hard_link,
    layer,
    layout,
    member,
    saved,
    symlink,
)

Extract = Literal[True, "oci"]

BELOW = layer(
    member("bin/"), member("bin/run", data=b"run", mode=0o755), member("etc/gone", data=b"1"),
    member("deep/er/file", data=bytes(70_000)), symlink("link", "bin/run"),
)  # fmt: skip
ABOVE = layer(
    member("bin/more", data=b"more", uid=7, gid=8), hard_link("bin/two", "bin/run"),
    member("etc/.wh.gone"),
)  # fmt: skip
IMAGE = Made([BELOW, ABOVE], {"Entrypoint": ["/bin/run"], "Env": ["A=b"]})


def sparse(folder: Path) -> Path:
    with (folder / "holes").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 18)
        file.write(b"data")
    os.system(f"tar -C {folder} --sparse -cf {folder}/sparse.tar holes")
    return folder / "sparse.tar"


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


FORMS: dict[str, tuple[Extract, Callable[[Path], Path]]] = {
    "tar": (True, lambda folder: written(folder / "a.tar", BELOW)),
    "tar.gz": (True, lambda folder: written(folder / "a.tar.gz", gzip.compress(BELOW))),
    "tar with holes": (True, sparse),
    "OCI layout": ("oci", lambda folder: layout(folder / "image", ("one", IMAGE))),
    "OCI archive": ("oci", lambda folder: archived(layout(folder / "image", ("", IMAGE)), "+gzip")),
    "docker save": ("oci", lambda folder: archived(saved(folder / "image", ("one", IMAGE)))),
}  # fmt: skip


def content_of(path: Path, extract: Extract) -> ContentSettings:
    return ContentSettings(
        index=0, source=path, target=b"/opt/it", extract=extract,
        service="box" if extract == "oci" else "",
    )  # fmt: skip


def read(wanted: Settings) -> Part:
    return part_of(wanted, wanted.contents[0], Ticker())


def kept(wanted: Settings, part: Part) -> tuple[list[ArchiveRecord], list[msgspec.Raw]]:
    sources = {id(one.source): one.source for one in part.entries if one.source is not None}
    found = brought.keep(wanted, [(one, "contents[0]") for one in sources.values()])
    return [one for _, one, _ in found], [msgspec.Raw(one) for _, _, one in found]


def known(wanted: Settings, last: tuple[list[ArchiveRecord], list[msgspec.Raw]]) -> list[Part]:
    return [part for _, part in brought.known(wanted, *last)]


def told(entry: Entry) -> tuple[object, ...]:
    source: Source | None = entry.source
    return (
        entry.path, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.target,
        entry.rdev, entry.xattrs, entry.extents, entry.link_to and entry.link_to.path,
        entry.stamp, source and (type(source), source.describe(entry)),
        identity(entry) if entry.is_regular else None,
    )  # fmt: skip


def says(part: Part) -> tuple[object, ...]:
    return (
        replace(part, entries=[], heads={}, also=()), list(map(told, part.entries)),
        sorted(one.path for one in part.heads.values()), list(map(says, part.also)),
    )  # fmt: skip


def settle() -> None:
    time.sleep(0.03)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_known_is_what_would_be_read(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract, make = FORMS[form]
    wanted = settings(content_of(make(tmp_path), extract))
    settle()
    part = read(wanted)
    last = kept(wanted, part)
    with monkeypatch.context() as unread:
        unread.setattr(os, "open", refusing(os.open, tmp_path))
        (again,) = known(wanted, last)
    assert says(again) == says(part)
    data = [(entry.path, at, bytes(piece)) for entry, at, piece in stream(part.entries)]
    assert [(entry.path, at, bytes(piece)) for entry, at, piece in stream(again.entries)] == data
    assert kept(wanted, again) == last


def refusing(real: Callable[..., int], folder: Path) -> Callable[..., int]:
    def opened(path: object, *rest: object, **named: object) -> int:
        assert not os.fsdecode(path).startswith(f"{folder}/")  # type: ignore[arg-type]
        return real(path, *rest, **named)

    return opened


def touch(path: Path) -> None:
    os.utime(path)


def others(folder: Path, part: str) -> Path:
    return next(one for one in folder.rglob("*") if part in str(one) and one.is_file())


def swapped(path: Path) -> None:
    """Puts another file with the same bytes and time in its place."""
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("tar.gz", touch),
        ("tar.gz", lambda path: path.write_bytes(path.read_bytes())),
        ("tar.gz", swapped),
        ("tar.gz", lambda path: path.unlink()),
        ("OCI layout", lambda path: touch(path / "index.json")),
        ("OCI layout", lambda path: touch(path / "oci-layout")),
        ("OCI layout", lambda path: touch(others(path, "blobs"))),
        ("OCI layout", lambda path: (path / "manifest.json").write_text("[]")),
        ("OCI layout", lambda path: (path / "blobs" / "sha256" / "more").write_text("")),
        ("OCI layout", lambda path: path.rename(path.with_name("away"))),
        ("docker save", swapped),
    ],
)
def test_what_changed_is_read(tmp_path: Path, form: str, change: Callable[[Path], object]) -> None:
    extract, make = FORMS[form]
    path = make(tmp_path)
    wanted = settings(content_of(path, extract))
    settle()
    last = kept(wanted, read(wanted))
    assert known(wanted, last)
    change(path)
    assert not known(wanted, last)


def test_another_link_is_another_archive(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(tmp_path / name, BELOW)
    (tmp_path / "link").symlink_to("one")
    wanted = settings(content_of(tmp_path / "link", True))
    settle()
    last = kept(wanted, read(wanted))
    assert known(wanted, last)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("two")
    assert not known(wanted, last)


def test_what_had_just_changed_is_not_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar", BELOW)
    os.utime(path)
    assert kept(settings(content_of(path, True)), read(settings(content_of(path, True)))) == (
        [],
        [],
    )


def test_what_there_is_to_say_is_said_again(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar", layer(member("a", data=b"1"), member("../out", data=b"2")))
    settle()
    wanted = settings(content_of(path, True))
    assert kept(wanted, read(wanted)) == ([], [])


def test_another_entry_of_the_spec_or_program_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.tar", BELOW)
    settle()
    wanted = settings(content_of(path, True))
    last = kept(wanted, read(wanted))
    assert not known(settings(replace(content_of(path, True), exclude=("bin",))), last)
    assert not known(settings(replace(content_of(path, True), mode="0644")), last)
    written(tmp_path / "b.tar", ABOVE)
    later = settings(content_of(tmp_path / "b.tar", True), content_of(path, True))
    assert [part.origin for part in known(later, last)] == [str(path)]
    monkeypatch.setattr(maker, "program", lambda: "another")
    assert not known(wanted, last)


def test_data_of_what_changed_since_is_refused(tmp_path: Path) -> None:
    for form in ("tar.gz", "OCI layout", "docker save"):
        extract, make = FORMS[form]
        folder = tmp_path / form.replace(" ", "")
        folder.mkdir()
        path = make(folder)
        wanted = settings(content_of(path, extract))
        settle()
        (again,) = known(wanted, kept(wanted, read(wanted)))
        for one in [path, *path.rglob("*")]:
            touch(one)
        with pytest.raises(SourceChanged):
            list(stream(again.entries))


def test_random_archives_come_back(tmp_path: Path) -> None:
    draw = random.Random(1)
    for number in range(20):
        path = tmp_path / f"{number}.tar"
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as tar:
            names = ["a", "b/c", "b/d", "b", "e/f/g", "b/c"]
            for at in range(draw.randrange(1, 9)):
                info = tarfile.TarInfo(draw.choice(names) + draw.choice(["", "x", f"{at}"]))
                info.type = draw.choice(
                    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE,
                     tarfile.CHRTYPE, tarfile.FIFOTYPE]
                )  # fmt: skip
                info.linkname = draw.choice(names) if info.type in b"12" else ""
                info.mode, info.uid = draw.choice([0o644, 0o4755]), draw.randrange(9)
                info.devmajor, info.devminor = draw.randrange(9), draw.randrange(9)
                if draw.random() < 0.3:
                    info.pax_headers = {"SCHILY.xattr.user.note": "x" * draw.randrange(1, 9)}
                data = draw.randbytes(draw.randrange(2000)) if info.type == b"0" else b""
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        path.write_bytes(whole.getvalue())
    settle()
    count = 0
    for number in range(20):
        wanted = settings(content_of(tmp_path / f"{number}.tar", True))
        part = read(wanted)
        for again in known(wanted, kept(wanted, part)):
            count += 1
            assert says(again) == says(part)
    assert count >= 5
