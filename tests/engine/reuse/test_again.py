"""What a look at a few changes tells is what a scan of everything tells, to the last field."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import shutil
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from engine.filesystems.table import figures
from engine.manifest.archive import ArchiveSource
from engine.manifest.entry import Entry, Source
from engine.manifest.folder import FolderSource
from engine.manifest.manifest import Manifest
from engine.manifest.memory import original
from engine.manifest.oci.source import ImageSource
from engine.plan.model import Plan
from engine.planning import plan_spec
from engine.provenance.inputs import of_filesystem, of_sources, read_sums
from engine.reuse import brought, looking, sources
from engine.reuse.again import Again, look_again
from engine.reuse.keep import keep
from engine.reuse.kept import Kept
from engine.reuse.looking import Look
from engine.reuse.record import NEVER, ArchiveRecord, Record, SourceRecord
from engine.reuse.remembered import Remembered
from engine.reuse.sources import seen
from engine.spec.load import load
from tests.support.containers import Made, hard_link, layer, layout, member, symlink

ALONE = """\
schema = 1
name = "demo"
layout.table = "gpt"
layout.filesystem = "ext3"
contents = [{ source = "tree", target = "/" }]
[[volume]]
id = "root"
"""
MANY = """\
schema = 1
name = "demo"
[[contents]]
source = "tree"
target = "/"
exclude = ["*.o", "/dir1/cache"]
[[contents]]
source = "over"
target = "/dir0"
user = "7"
group = "8"
[[contents]]
source = "single"
target = "/opt/app/single"
mode = "0640"
[[contents]]
source = "esp"
target = "/"
volume = "esp"
[[volume]]
id = "data"
mount = "/srv"
format = "ext4"
"""
LINKED = MANY.replace('target = "/dir0"', 'target = "/lib/dir0"').replace('"ext4"', '"ext2"')
PACKED = """\
schema = 1
name = "demo"
[[contents]]
source = "base.tar.gz"
target = "/"
extract = true
exclude = ["*.o"]
[[contents]]
source = "layout"
target = "/opt/box"
extract = "oci"
service = "box"
[[contents]]
source = "tree"
target = "/"
[[contents]]
source = "over"
target = "/etc"
user = "7"
group = "8"
[[contents]]
source = "esp"
target = "/"
volume = "esp"
[[volume]]
id = "data"
mount = "/srv"
format = "ext4"
"""
NAMED = MANY.replace('user = "7"\ngroup = "8"', 'user = "app"\ngroup = "staff"').replace(
    'mode = "0640"', 'user = "app"\ngroup = "root"'
)
SPECS = {"named": NAMED, "alone": ALONE, "many": MANY, "linked": LINKED, "packed": PACKED}


def make(folder: Path, spec: str, draw: random.Random) -> Path:
    tree, over = folder / "tree", folder / "over"
    for number in range(24):
        place = tree / f"dir{number % 3}" / ("deep" if number % 2 else ".")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file{number}").write_bytes(draw.randbytes(draw.choice([0, 5, 9000])))
    (tree / "dir1" / "cache").mkdir()
    (tree / "dir1" / "cache" / "left-out").write_bytes(b"1")
    (tree / "dir2" / "left-out.o").write_bytes(b"1")
    (tree / "srv" / "below").mkdir(parents=True)
    (tree / "srv" / "served").write_bytes(draw.randbytes(50))
    (tree / "srv" / "below" / "file").write_bytes(draw.randbytes(50))
    with (tree / "holes").open("wb") as file:
        file.truncate(1 << 18)
        file.seek(1 << 17)
        file.write(draw.randbytes(9000))
    (tree / "link").symlink_to("dir0/file0")
    (tree / "usr" / "lib" / "dir0").mkdir(parents=True)
    (tree / "lib").symlink_to("usr/lib")
    os.link(tree / "dir1" / "deep" / "file1", tree / "same")
    os.link(tree / "dir0" / "deep" / "file3", folder / "outside")
    (tree / "etc").mkdir()
    (tree / "etc" / "accounts").write_text("root:x:0:0::/:\napp:x:1007:1008::/:\n")
    (tree / "etc" / "passwd").symlink_to("accounts")
    (tree / "etc" / "group").write_text("root:x:0:\nstaff:x:50:\n")
    (over / "deep").mkdir(parents=True)
    (over / "deep" / "over").write_bytes(b"over")
    (over / "more").mkdir()
    (over / "more" / "file").write_bytes(b"more")
    (folder / "single").write_bytes(b"single")
    (folder / "esp").mkdir()
    (folder / "esp" / "loader.efi").write_bytes(draw.randbytes(70))
    pack(folder, draw)
    path = folder / "demo.toml"
    path.write_text(spec)
    return path


def pack(folder: Path, draw: random.Random) -> None:
    """Makes an archive of files beside the tree's, and a container image."""
    members = [
        member("etc/"), member("etc/shadow", data=b"root:x:0:0::/:/bin/sh\n", mode=0o600),
        member("etc/left-out.o", data=b"1"), hard_link("etc/again", "etc/shadow"),
        symlink("etc/link", "shadow"), member("dir0/", mode=0o700, uid=3),
        member("dir0/packed", data=draw.randbytes(draw.choice([0, 7, 9000])), uid=5, gid=6),
        member("srv/packed", data=draw.randbytes(9)), hard_link("srv/again", "dir0/packed"),
    ]  # fmt: skip
    (folder / "base.tar.gz").write_bytes(gzip.compress(layer(*members), mtime=0))
    below = layer(member("bin/"), member("bin/run", data=b"run", mode=0o755))
    above = layer(member("bin/more", data=draw.randbytes(70)), hard_link("bin/two", "bin/run"))
    layout(folder / "layout", ("", Made([below, above], {"Entrypoint": ["/bin/run"]})))


class Last:
    """What the last build would have left."""

    def __init__(self, spec: Path) -> None:
        self.spec = load(spec)
        self.plan = self.planned(None)
        self.settings = self.plan.settings
        self.known = parts_of(self.plan)
        self.kept = tuple(kept_of(self.plan))
        self.record = Record(
            outdir="", spec="", design="", image="", outputs=(), volumes=(), tree={},
            archives=tuple(one for _, one, _ in self.known),
            sources=seen_by(self.plan), machine=(), versions={}, program="", items=(),
        )  # fmt: skip

    def planned(self, again: Again | None) -> Plan:
        look = (lambda settings: again.scanned) if again is not None else None
        return plan_spec(self.spec.spec, base=self.spec.base, look=look)

    def again(self, most: int = 1000) -> Again | None:
        found = Look(self.record.sources, most).all()
        if found is None:
            return None
        known = [entries for _, _, entries in self.known]
        return look_again(self.record, self.kept, found, self.settings, known)


def manifests(plan: Plan) -> dict[str, Manifest]:
    return {one.id: one.filesystem.manifest for one in plan.volumes if one.filesystem is not None}


def parts_of(plan: Plan) -> list[tuple[Source, ArchiveRecord, bytes]]:
    return brought.keep(plan.settings, sources.in_manifests(manifests(plan).values()))


def finder(sums: Mapping[int, bytes]) -> Callable[[Entry], bytes | None]:
    """Returns what finds the sum of an entry."""
    return lambda entry: sums.get(id(entry))


def kept_of(plan: Plan) -> list[Kept]:
    """Returns what is kept, and nothing where an archive had just changed."""
    found = []
    archives = {id(source): at for at, (source, _, _) in enumerate(parts_of(plan))}
    if len(archives) < sum(bool(one.extract) for one in plan.settings.contents):
        return []
    for name, manifest in manifests(plan).items():
        kept = keep(name, manifest, finder(read_sums(manifest).of(manifest)), archives)
        assert kept is not None
        found.append(kept)
    return found


def seen_by(plan: Plan) -> tuple[SourceRecord, ...]:
    return seen(plan, manifests(plan).values())


def told(entry: Entry) -> tuple[object, ...]:
    """Returns all that an entry says."""
    first = original(entry)
    origin: object = first.source
    if isinstance(first.source, FolderSource):
        origin = first.source.place(first.source.origin(first))
    elif isinstance(first.source, (ArchiveSource, ImageSource)):
        origin = type(first.source), dict(first.source.files)
    return (
        entry.path, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.target,
        entry.rdev, entry.xattrs, entry.extents,
        entry.link_to and entry.link_to.path, origin, first.stamp or 0,
    )  # fmt: skip


def kept_says(kept: Kept) -> tuple[object, ...]:
    """Returns what is kept, but for how sources are numbered."""
    return (
        kept.id, kept.fields, kept.lines.data, kept.lines.lengths, kept.stamps, kept.extents,
        kept.inserted, kept.made, kept.owned, kept.counts, kept.size, kept.holes, kept.needs,
        {one.where: (one.files, one.lines.data, one.lines.lengths, one.size)
         for one in kept.contents},
    )  # fmt: skip


def the_same_as_a_scan(last: Last, again: Again) -> None:
    looked, scanned = last.planned(again), last.planned(None)
    assert looked.problems == scanned.problems
    for name, there in manifests(scanned).items():
        here = manifests(looked)[name]
        assert list(map(told, here)) == list(map(told, there))
        assert here.counts == there.counts
        assert here.holes == there.holes
        assert figures(here) == figures(there)
        data = read_sums(there).of(there)
        assert isinstance(here, Remembered)
        here.settle(read_sums(here.fresh).of(here.fresh))
        assert here.settled is not None
        assert here.digest == of_filesystem(there, data)
        assert here.digests == {
            where: of_sources(there, data, sources)
            for where, sources in there.origins.items()
            if where and sources
        }
        files = {entry.path: here.sums[id(entry)] for entry in here if id(entry) in here.sums}
        assert files == {entry.path: data[id(entry)] for entry in there if id(entry) in data}
        archives = {id(source): at for at, (source, _, _) in enumerate(parts_of(scanned))}
        wanted = keep(name, there, finder(data), archives)
        assert wanted is not None
        assert kept_says(here.settled) == kept_says(wanted)
    for one, other in zip(again.seen.sources, seen_by(scanned), strict=True):
        assert (one.folder, one.where, one.target) == (other.folder, other.where, other.target)
        assert one.names == other.names
        pairs = zip(
            memoryview(one.stamps).cast("q"), memoryview(other.stamps).cast("q"), strict=True
        )
        assert all(mine == theirs or NEVER in {mine, theirs} for mine, theirs in pairs)


Change = Callable[[Path, random.Random], object]


def anything(folder: Path, draw: random.Random) -> Path:
    return draw.choice(sorted(one for top in TOPS for one in (folder / top).rglob("*")))


def directory(folder: Path, draw: random.Random) -> Path:
    found = [one for top in TOPS for one in (folder / top).rglob("*")]
    places = [one for one in found if one.is_dir() and not one.is_symlink()]
    return draw.choice(sorted([*places, *(folder / top for top in TOPS)]))


def regular(folder: Path, draw: random.Random) -> Path:
    found = [one for top in (*TOPS, "single") for one in (folder, *(folder / top).rglob("*"))]
    files = [one for one in found if one.is_file() and not one.is_symlink()]
    return draw.choice(sorted({*files, folder / "single"} - {folder / "demo.toml"}))


def drop(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def instead(path: Path) -> None:
    drop(path)
    path.symlink_to(".")


def linked_over(path: Path, name: Path) -> None:
    """Puts another name of a file in the place of a file."""
    name.unlink()
    os.link(path, name)


def alone(path: Path) -> None:
    """Puts a file of the same bytes in the place of one of several names."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


def relinked(path: Path) -> None:
    path.unlink()
    path.symlink_to("else")


def fresh(folder: Path, draw: random.Random) -> Path:
    names = ["a", "new", "new.o", "file0", "deep", "zz", "served", "over", "cache", "more", "lib"]
    path = directory(folder, draw) / draw.choice(names)
    if os.path.lexists(path):
        path = path.with_name(f"{path.name}-{draw.randrange(99)}")
    return path


TOPS = ("tree", "over", "esp")
CHANGES: dict[str, Change] = {
    "data": lambda folder, draw: regular(folder, draw).write_bytes(draw.randbytes(9000)),
    "empty": lambda folder, draw: regular(folder, draw).write_bytes(b""),
    "grown": lambda folder, draw: (path := regular(folder, draw)).write_bytes(
        path.read_bytes() + draw.randbytes(7)
    ),
    "new": lambda folder, draw: fresh(folder, draw).write_bytes(draw.randbytes(9)),
    "folder": lambda folder, draw: fresh(folder, draw).mkdir(),
    "tree": lambda folder, draw: shutil.copytree(
        directory(folder, draw), folder / "aside", symlinks=True
    ).rename(fresh(folder, draw)),
    "removed": lambda folder, draw: drop(anything(folder, draw)),
    "renamed": lambda folder, draw: (path := anything(folder, draw)).rename(
        path.with_name(f"renamed{draw.randrange(99)}")
    ),
    "mode": lambda folder, draw: regular(folder, draw).chmod(draw.choice([0o600, 0o755])),
    "mode of a directory": lambda folder, draw: directory(folder, draw).chmod(
        draw.choice([0o711, 0o755, 0o700])
    ),
    "time": lambda folder, draw: os.utime(regular(folder, draw), ns=(0, draw.randrange(10**18))),
    "attribute": lambda folder, draw: os.setxattr(
        regular(folder, draw), "user.note", draw.randbytes(draw.randrange(1, 200))
    ),
    "hard link": lambda folder, draw: os.link(regular(folder, draw), fresh(folder, draw)),
    "symbolic link": lambda folder, draw: fresh(folder, draw).symlink_to(
        "x" * draw.choice([1, 90])
    ),
    "link instead": lambda folder, draw: instead(anything(folder, draw)),
    "holes": lambda folder, draw: os.truncate(regular(folder, draw), 1 << 17),
}  # fmt: skip


def settle(folder: Path) -> None:
    """Waits until nothing is recent, and has every file its blocks."""
    os.sync()
    time.sleep(0.03)
    assert folder.is_dir()


def rounds(folder: Path, name: str, seed: str, count: int) -> int:
    """Holds looks after some changes against scans; returns how often one told all."""
    draw = random.Random(seed)
    known = 0
    for number in range(count):
        place = folder / f"{number}"
        place.mkdir()
        spec = make(place, SPECS[name], draw)
        if draw.random() < 0.8:
            settle(place)
        last = Last(spec)
        for _ in range(draw.choice([1, 1, 2, 4])):
            CHANGES[draw.choice(sorted(CHANGES))](place, draw)
        again = last.again()
        if again is not None:
            known += 1
            the_same_as_a_scan(last, again)
    return known


@pytest.mark.parametrize("name", SPECS)
def test_random_changes_are_told_as_a_scan_tells_them(tmp_path: Path, name: str) -> None:
    rounds(tmp_path, name, name, 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"), [("alone", 20), ("many", 15), ("linked", 3), ("packed", 8), ("named", 15)]
)
def test_many_random_changes_are_told_as_a_scan_tells_them(
    tmp_path: Path, name: str, least: int
) -> None:
    assert rounds(tmp_path, name, f"more {name}", 60) >= least


Edit = Callable[[Path], object]


def last_of(folder: Path, words: str) -> Last:
    """Returns the record of a spec whose sources are old enough to be believed."""
    spec = make(folder, words, random.Random(1))
    settle(folder)
    return Last(spec)


def told_as_by_a_scan(folder: Path, last: Last) -> None:
    """Looks again after a change, which is to be told without a scan, as a scan tells it."""
    settle(folder)
    again = last.again()
    assert again is not None
    the_same_as_a_scan(last, again)


TOLD: dict[str, Edit] = {
    "a new file": lambda tree: (tree / "dir0" / "new").write_bytes(b"new"),
    "a new tree": lambda tree: shutil.copytree(tree / "dir0", tree / "dir1" / "copy"),
    "a new file that is left out": lambda tree: (tree / "dir1" / "cache" / "x").write_bytes(b"x"),
    "a new file in another volume": lambda tree: (tree / "srv" / "below" / "x").write_bytes(b"x"),
    "a removed file": lambda tree: (tree / "dir0" / "file0").unlink(),
    "a removed tree": lambda tree: shutil.rmtree(tree / "dir2" / "deep"),
    "a renamed directory": lambda tree: (tree / "dir2" / "deep").rename(tree / "dir2" / "other"),
    "a mode": lambda tree: (tree / "dir0" / "file0").chmod(0o600),
    "an attribute": lambda tree: os.setxattr(tree / "dir2" / "file2", "user.note", bytes(9)),
    "another link": lambda tree: relinked(tree / "link"),
    "other holes": lambda tree: os.truncate(tree / "holes", 2 << 18),
    "the data of a file with several names": lambda tree: (tree / "same").write_bytes(b"other"),
    "the mode of a file with several names": lambda tree: (tree / "same").chmod(0o600),
    "the time of a file with several names": lambda tree: os.utime(tree / "same", (1, 1)),
    "a file with a name outside": lambda tree: (tree / "dir0" / "deep" / "file3").chmod(0o600),
    "another name elsewhere": lambda tree: os.link(tree / "dir2/file2", tree.parent / "away"),
    "a file of another source": lambda tree: (tree.parent / "over/more/y").write_bytes(b"y"),
}  # fmt: skip


@pytest.mark.parametrize("what", TOLD)
def test_what_is_told_without_a_scan(tmp_path: Path, what: str) -> None:
    last = last_of(tmp_path, MANY)
    TOLD[what](tmp_path / "tree")
    told_as_by_a_scan(tmp_path, last)


SCANNED: dict[str, Edit] = {
    "an attribute of an inode with several names": lambda tree: os.setxattr(
        tree / "same", "user.note", b"1"
    ),
    "the data of what had no data": lambda tree: os.truncate(tree / "same", 0),
    "a name that is another file's now": lambda tree: linked_over(
        tree / "dir0" / "file0", tree / "same"
    ),
    "a name that is a file of its own now": lambda tree: alone(tree / "same"),
    "one more name": lambda tree: os.link(tree / "same", tree / "dir0" / "third"),
    "a name in another source": lambda tree: linked_over(
        tree / "dir0" / "file0", tree.parent / "over" / "more" / "file"
    ),
    "the first name of an inode": lambda tree: (tree / "dir1" / "deep" / "file1").unlink(),
    "another kind of entry": lambda tree: instead(tree / "dir0" / "file0"),
    "a path that another source has": lambda tree: (tree / "dir0" / "more").mkdir(),
    "what another source is below": lambda tree: shutil.rmtree(tree / "dir0"),
    "a mount point": lambda tree: shutil.rmtree(tree / "srv"),
    "the directory that others lie in": lambda tree: (tree / "opt").mkdir(),
    "what a container leaves": lambda tree: (tree / ".dockerenv").touch(),
    "a root that nobody may enter": lambda tree: tree.chmod(0o700),
    "what cannot be taken": lambda tree: os.mknod(tree / "s", stat.S_IFSOCK | 0o600),
    "a container's image": lambda tree: [
        (tree / name).write_bytes(b"{}") for name in ("oci-layout", "index.json")
    ],
    "a source that is gone": lambda tree: (tree.parent / "single").unlink(),
}  # fmt: skip


@pytest.mark.parametrize("what", SCANNED)
def test_what_only_a_scan_tells(tmp_path: Path, what: str) -> None:
    last = last_of(tmp_path, MANY)
    SCANNED[what](tmp_path / "tree")
    assert last.again() is None


def beside(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"new")


def test_a_file_with_names_in_two_volumes_is_told(tmp_path: Path) -> None:
    spec = make(tmp_path, MANY, random.Random(1))
    file, names = tmp_path / "tree" / "dir2" / "file2", ("srv/one", "srv/below/two", "three")
    file.write_bytes(b"first")
    for name in names:
        os.link(file, tmp_path / "tree" / name)
    settle(tmp_path)
    last = Last(spec)
    file.write_bytes(b"other")
    told_as_by_a_scan(tmp_path, last)


ACCOUNTS: dict[str, tuple[Edit, bool]] = {
    "a file of a named owner": (lambda tree: (tree.parent / "single").write_bytes(b"o"), True),
    "a new one": (lambda tree: (tree.parent / "over/more/y").write_bytes(b"y"), True),
    "a file beside the tables": (lambda tree: (tree / "etc" / "new").write_bytes(b"y"), True),
    "the table of users": (lambda tree: (tree / "etc/accounts").write_text("app:x:9:9:\n"), False),
    "the time of the table": (lambda tree: os.utime(tree / "etc" / "accounts"), False),
    "the table of groups": (lambda tree: (tree / "etc/group").write_text("staff:x:3:\n"), False),
    "no table of groups": (lambda tree: (tree / "etc" / "group").unlink(), False),
    "a link to another table": (lambda tree: relinked(tree / "etc" / "passwd"), False),
}  # fmt: skip


@pytest.mark.parametrize("what", ACCOUNTS)
def test_owners_by_name_are_known_while_the_tables_are(tmp_path: Path, what: str) -> None:
    spec = make(tmp_path, NAMED, random.Random(1))
    (tmp_path / "tree" / "else").write_text("app:x:1:1:\n")
    settle(tmp_path)
    last = Last(spec)
    edit, told = ACCOUNTS[what]
    edit(tmp_path / "tree")
    settle(tmp_path)
    again = last.again()
    assert (again is not None) == told
    if again is not None:
        the_same_as_a_scan(last, again)


def test_an_owner_that_goes_to_what_others_bring_takes_a_scan(tmp_path: Path) -> None:
    words = 'compat = "make-disk-image"\ncontents = [{ user = "7", group = "8", '
    spec = make(tmp_path, ALONE.replace("contents = [{ ", words), random.Random(1))
    settle(tmp_path)
    last = Last(spec)
    (tmp_path / "tree" / "dir0" / "file2").write_bytes(b"other")
    assert last.again() is None


BESIDE: dict[str, Edit] = {
    "a file's data": lambda tree: (tree / "dir0" / "file0").write_bytes(b"other"),
    "a new file": lambda tree: (tree / "dir0" / "new").write_bytes(b"new"),
    "a removed file": lambda tree: (tree / "dir0" / "file0").unlink(),
    "a removed directory": lambda tree: shutil.rmtree(tree / "dir2" / "deep"),
    "the mode of a directory that an archive brought first": lambda tree: (
        tree / "dir0"
    ).chmod(0o711),
}  # fmt: skip
REPACKED: dict[str, Edit] = {
    "another archive": lambda tree: (tree.parent / "base.tar.gz").write_bytes(b""),
    "an archive written again": lambda tree: (path := tree.parent / "base.tar.gz").write_bytes(
        path.read_bytes()
    ),
    "an archive that is gone": lambda tree: (tree.parent / "base.tar.gz").unlink(),
    "an archive's mode": lambda tree: (tree.parent / "base.tar.gz").chmod(0o600),
    "another blob": lambda tree: (tree.parent / "layout/blobs/sha256/0").write_bytes(b""),
    "another index": lambda tree: os.utime(tree.parent / "layout" / "index.json"),
    "another layer": lambda tree: os.utime(
        max((tree.parent / "layout/blobs/sha256").iterdir(), key=lambda one: one.stat().st_size)
    ),
    "a path that an archive brings": lambda tree: (tree / "dir0" / "packed").write_bytes(b""),
    "a directory that an archive brought": lambda tree: beside(tree / "opt" / "box" / "new"),
    "a path below a link of an archive": lambda tree: beside(tree / "etc" / "link" / "new"),
}  # fmt: skip


@pytest.mark.parametrize("what", BESIDE)
def test_what_is_told_beside_archives(tmp_path: Path, what: str) -> None:
    last = last_of(tmp_path, PACKED)
    BESIDE[what](tmp_path / "tree")
    told_as_by_a_scan(tmp_path, last)


@pytest.mark.parametrize("what", REPACKED)
def test_what_only_a_scan_tells_of_archives(tmp_path: Path, what: str) -> None:
    last = last_of(tmp_path, PACKED)
    REPACKED[what](tmp_path / "tree")
    assert last.again() is None


def test_two_processes_see_the_changes_that_one_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = last_of(tmp_path, MANY)
    for path in ("tree/dir0/file0", "tree/same", "over/more/file", "single"):
        (tmp_path / path).write_bytes(b"other")
    (tmp_path / "tree" / "dir2" / "file2").unlink()
    alone = Look(last.record.sources, 1000).all()
    assert alone is not None
    assert sum(map(len, alone)) == 7  # two of one inode, and a directory without a name
    monkeypatch.setattr(looking, "_WORTH_IT", 0)
    monkeypatch.setattr(looking, "_PIECE", 3)
    monkeypatch.setattr(looking, "may_fork", lambda: True)
    for here in (0, 1, 5):  # pieces at which this process looks before the other answers
        with contextlib.closing(Look(last.record.sources, 1000)) as look:
            for _ in range(here):
                look._step()
            assert look.anything()
            assert look.all() == alone
    with contextlib.closing(Look(last.record.sources, 1)) as look:
        assert look.all() is None


def test_the_other_process_may_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = last_of(tmp_path, MANY)
    (tmp_path / "tree" / "same").write_bytes(b"other")
    alone = Look(last.record.sources, 1000).all()
    monkeypatch.setattr(looking, "_WORTH_IT", 0)
    monkeypatch.setattr(looking, "_PIECE", 1)
    monkeypatch.setattr(looking, "may_fork", lambda: True)
    here, among = os.getpid(), looking.among

    def dying(
        folder: bytes, names: Sequence[bytes], stamps: Sequence[int], some: range,
        look: Callable[..., os.stat_result], most: int,
    ) -> list[int] | None:  # fmt: skip
        if os.getpid() != here and some.start < 20:
            os._exit(1)
        return among(folder, names, stamps, some, look, most)

    monkeypatch.setattr(looking, "among", dying)
    with contextlib.closing(Look(last.record.sources, 1000)) as look:
        assert look.all() == alone
