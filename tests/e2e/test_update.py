"""`build --update`: byte for byte what a build from nothing makes, whatever changed in between."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli import exits
from engine.cli.main import main
from engine.cli.standing import Standing
from engine.events import AnyEvent, Log, StepFinished, StepStarted
from engine.pipeline import shifting, takeover
from engine.pipeline.build import BuildResult, build
from engine.pipeline.falloc import movable
from engine.pipeline.staging import Staging
from engine.plan.outputs import RECORD
from engine.planning import plan_spec
from engine.reuse import maker
from engine.reuse.record import FileState, record_path, state_of
from engine.reuse.sources import asked
from engine.spec.load import load
from tests.support.containers import Made, hard_link, layer, layout, member
from tests.support.specs import plan_of

ROOT = Path(__file__).parents[2]
SPEC = """\
schema = 1
name = "demo"
[size]
disk = "96MiB"
boot = "33MiB"
[[contents]]
source = "tree"
target = "/"
[[contents]]
source = "esp"
target = "/"
volume = "esp"
[[volume]]
id = "data"
mount = "/srv"
format = "erofs"
size = "4MiB"
"""


class Built:
    """What one build said and did."""

    def __init__(
        self, result: BuildResult, events: list[AnyEvent], *, scanned: bool = True
    ) -> None:
        self.scanned = scanned
        self.status = result.status
        self.artifacts = result.artifacts
        self.notes = [event.text for event in events if isinstance(event, Log)]
        self.skipped = [
            event.id
            for event in events
            if isinstance(event, StepFinished) and event.status == "skipped"
        ]


def building(
    spec: Path, out: Path, *overrides: str, update: bool = True, force: bool = False
) -> Built:
    """Builds as the command does it, but for what stands without a plan."""
    events: list[AnyEvent] = []
    loaded = load(spec, overrides)
    again = None
    if update:
        with contextlib.closing(Standing(Namespace(output=out), loaded)) as standing:
            plan = plan_spec(
                loaded.spec, base=loaded.base, outdir=out, force=True, look=standing.look,
                known=standing.known,
            )  # fmt: skip
            again = standing.again
    else:
        plan = plan_spec(loaded.spec, base=loaded.base, outdir=out, force=True)
    result = asyncio.run(
        build(
            plan, events.append, outdir=out, update=update, force=force or not update,
            asked=asked(loaded.spec, loaded.base), seen=again.seen if again else None,
        )
    )  # fmt: skip
    return Built(result, events, scanned=again is None)


def contents(out: Path) -> dict[str, bytes]:
    """Returns every output but the events, which tell of times."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name != RECORD
    }


def states(out: Path) -> dict[str, FileState]:
    return {str(path): state_of(path.stat()) for path in out.rglob("*")}


def make_tree(folder: Path, draw: random.Random, files: int = 30) -> Path:
    tree = folder / "tree"
    for number in range(files):
        place = tree / f"dir{number % 5}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file{number}").write_bytes(draw.randbytes(draw.choice([0, 5, 4096, 30_000])))
    (tree / "srv").mkdir()
    (tree / "srv" / "served").write_bytes(draw.randbytes(9000))
    with (tree / "holes").open("wb") as file:
        file.truncate(1 << 20)
        for at in (0, 1 << 18, 1 << 19):
            file.seek(at)
            file.write(draw.randbytes(9000))
    (tree / "link").symlink_to("dir0/file0")
    os.link(tree / "dir1" / "file1", tree / "same")
    (folder / "esp").mkdir()
    (folder / "esp" / "loader.efi").write_bytes(draw.randbytes(70_000))
    spec = folder / "demo.toml"
    spec.write_text(SPEC)
    age(folder)
    return spec


def age(folder: Path) -> None:
    """Waits until nothing below a folder is recent any more."""
    time.sleep(0.04)
    assert folder.is_dir()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return make_tree(tmp_path, random.Random(1))


def the_same_as_cold(spec: Path, out: Path, *overrides: str) -> None:
    cold = out.parent / "cold"
    shutil.rmtree(cold, ignore_errors=True)
    assert building(spec, cold, *overrides, update=False).status == "ok"
    wanted = contents(cold)
    assert {name: data for name, data in contents(out).items() if name in wanted} == wanted


def test_nothing_to_do_leaves_every_output_alone(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = building(spec, out, update=False)
    before = states(out)
    again = building(spec, out)
    assert "nothing has changed: the outputs stay as they are" in again.notes
    assert again.artifacts == first.artifacts
    assert states(out) == before


def test_one_file_is_opened_and_the_rest_taken_over(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    building(spec, out, update=False)
    changed = tmp_path / "tree" / "dir2" / "file2"
    changed.write_bytes(b"changed")
    for path in (tmp_path / "tree").rglob("*"):  # until it has its blocks, it may have holes
        with path.open("rb") if path.is_file() else contextlib.nullcontext() as file:
            if file is not None:
                os.fsync(file.fileno())
    opened: list[str] = []
    real = os.open

    def noting(path: object, flags: int, *rest: object, **named: object) -> int:
        descriptor = real(path, flags, *rest, **named)  # type: ignore[arg-type]
        where = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if where.startswith(f"{tmp_path}/tree/") and stat.S_ISREG(os.fstat(descriptor).st_mode):
            opened.append(Path(where).name)
        return descriptor

    monkeypatch.setattr(os, "open", noting)
    built = building(spec, out)
    monkeypatch.undo()
    assert set(opened) <= {"file2", "holes"}  # of a file with holes, where they are is looked up
    assert {"make-esp", "check-esp", "make-data", "populate-data"} <= set(built.skipped)
    the_same_as_cold(spec, out)


def with_archives(spec: Path, draw: random.Random) -> None:
    """Has a spec bring an archive and a container image as well."""
    folder = spec.parent
    members = [member(f"packed/{name}", data=draw.randbytes(40_000)) for name in "abc"]
    some = [*members, hard_link("packed/d", "packed/a"), member("srv/packed", data=b"packed")]
    (folder / "base.tar.gz").write_bytes(gzip.compress(layer(*some), mtime=0))
    below = layer(member("bin/run", data=draw.randbytes(30_000), mode=0o755))
    above = layer(member("bin/more", data=draw.randbytes(9000)), hard_link("bin/two", "bin/run"))
    layout(folder / "layout", ("", Made([below, above], {"Entrypoint": ["/bin/run"]})))
    with spec.open("a") as file:
        file.write(
            '[[contents]]\nsource = "base.tar.gz"\ntarget = "/"\nextract = true\n'
            '[[contents]]\nsource = "layout"\ntarget = "/opt/box"\nextract = "oci"\n'
            'service = "box"\n'
        )
    age(folder)


@pytest.mark.parametrize(
    "override",
    [
        (),
        pytest.param(('output.sums="fsverity"',), marks=pytest.mark.slow),
        pytest.param(('size.disk="100MiB"',), marks=pytest.mark.slow),
    ],
)
def test_an_archive_that_stayed_as_it_was_is_not_read(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: tuple[str, ...]
) -> None:
    with_archives(spec, random.Random(2))
    out = tmp_path / "out"
    building(spec, out, update=False)
    before = states(out)
    packed = [tmp_path / "base.tar.gz", *(tmp_path / "layout").rglob("*")]
    with monkeypatch.context() as unread:
        unread.setattr(os, "open", refusing({os.fspath(one) for one in packed}))
        assert "nothing has changed: the outputs stay as they are" in building(spec, out).notes
        assert states(out) == before
        (tmp_path / "tree" / "dir2" / "file2").write_bytes(b"changed")
        (tmp_path / "tree" / "dir2" / "new").write_bytes(b"new" * 9000)
        built = building(spec, out, *override)
        assert built.status == "ok"
        (tmp_path / "tree" / "dir2" / "link").symlink_to("new")
        os.link(tmp_path / "tree" / "dir2" / "file2", tmp_path / "tree" / "hard")  # a scan
        assert building(spec, out, *override).scanned
    the_same_as_cold(spec, out, *override)
    (tmp_path / "base.tar.gz").write_bytes(
        gzip.compress(layer(member("packed/a", data=b"another")), mtime=0)
    )
    building(spec, out, *override)
    the_same_as_cold(spec, out, *override)


def test_all_names_of_an_inode_change_and_owners_have_names(spec: Path, tmp_path: Path) -> None:
    tree, over = tmp_path / "tree", tmp_path / "over"
    (tree / "etc").mkdir()
    (tree / "etc" / "passwd").write_text("app:x:1007:1008::/:\n")
    over.mkdir()
    (over / "config").write_bytes(b"before")
    file = tree / "dir1" / "file1"
    file.write_bytes(b"before" * 1000)
    with spec.open("a") as more:
        more.write('[[contents]]\nsource = "over"\ntarget = "/opt"\n')
        more.write('user = "app"\ngroup = "root"\n')
    age(tmp_path)
    out = tmp_path / "out"
    building(spec, out, update=False)
    (tree / "same").write_bytes(b"beside" * 1000)  # another name of it
    (over / "config").write_bytes(b"behind")
    age(tmp_path)
    os.sync()
    built = building(spec, out)
    assert not built.scanned
    assert any("taken over but for" in note for note in built.notes)
    the_same_as_cold(spec, out)
    (tree / "same").write_bytes(b"longer" * 9000)
    (over / "new").write_bytes(b"new")
    age(tmp_path)
    assert not building(spec, out).scanned
    the_same_as_cold(spec, out)


def refusing(packed: set[str]) -> Callable[..., int]:
    """Returns what opens files, but for some."""
    real = os.open

    def opened(path: object, *rest: object, **named: object) -> int:
        assert not isinstance(path, (str, bytes, os.PathLike)) or os.fsdecode(path) not in packed
        return real(path, *rest, **named)  # type: ignore[arg-type]

    return opened


Change = Callable[[Path, random.Random], object]


Edit = Callable[[Path], object]


def grow(tree: Path, draw: random.Random) -> None:
    some(tree, draw).write_bytes(draw.randbytes(draw.randrange(60_000)))


def some(tree: Path, draw: random.Random) -> Path:
    files = sorted(p for p in tree.rglob("*") if p.is_file() and not p.is_symlink())
    return draw.choice(files)


def rename(tree: Path, draw: random.Random) -> None:
    path = some(tree, draw)
    path.rename(path.with_name(f"renamed{draw.randrange(1000)}"))


CHANGES: dict[str, Change] = {
    "content": lambda tree, draw: (path := some(tree, draw)).write_bytes(
        draw.randbytes(path.stat().st_size)
    ),
    "size": grow,
    "new": lambda tree, draw: (tree / f"new{draw.randrange(1000)}").write_bytes(
        draw.randbytes(draw.randrange(20_000))
    ),
    "removed": lambda tree, draw: some(tree, draw).unlink(),
    "renamed": rename,
    "mode": lambda tree, draw: some(tree, draw).chmod(draw.choice([0o600, 0o644, 0o755])),
    "time": lambda tree, draw: os.utime(some(tree, draw), ns=(0, draw.randrange(10**18))),
    "hard link": lambda tree, draw: os.link(
        some(tree, draw), tree / f"hard{draw.randrange(10_000)}"
    ),
    "symbolic link": lambda tree, draw: (tree / f"soft{draw.randrange(10_000)}").symlink_to(
        "x" * draw.randrange(1, 90)
    ),
    "attribute": lambda tree, draw: os.setxattr(
        some(tree, draw), "user.note", draw.randbytes(draw.randrange(1, 200))
    ),
    "copy": lambda tree, draw: shutil.copyfile(
        some(tree, draw), tree / f"copy{draw.randrange(10_000)}"
    ),
    "directory": lambda tree, draw: (tree / f"folder{draw.randrange(10_000)}").mkdir(),
}  # fmt: skip
OVERRIDES = (
    (), (), ('output.sums="fsverity"',), ('layout.label="other"',), ('size.disk="100MiB"',),
    ('size.disk="90MiB"',),
    ('size.boot="34MiB"',), ('layout.filesystem="ext3"',), ("identity.source_date_epoch=77",),
    ('output.sums="fsverity"',), ("output.bmap=true",),
    ('output.compress="zst"', "output.keep_raw=true"),
)  # fmt: skip


def rounds(tmp_path: Path, seed: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)
    spec = make_tree(tmp_path, draw)
    out = tmp_path / "out"
    building(spec, out, update=False)
    monkeypatch.setattr(shifting, "COST", 0)
    able = movable(tmp_path, os.statvfs(tmp_path).f_bsize)
    for number in range(count):
        for name in draw.choices(sorted(CHANGES), k=draw.choice([0, 1, 1, 2, 5])):
            CHANGES[name](tmp_path / "tree", draw)
        if draw.random() < 0.15:
            monkeypatch.setattr(maker, "program", lambda number=number: f"program {number}")
        worth = draw.choice([0, 1 << 40])
        monkeypatch.setattr(takeover, "WORTH", worth)
        if draw.random() < 0.5:
            age(tmp_path)
        overrides = draw.choice(OVERRIDES)
        built = building(spec, out, *overrides, force=True)
        assert built.status == "ok", (seed, number)
        copied = any("what stays was copied" in note for note in built.notes)
        assert not (copied and able and not worth), (seed, number, built.notes)
        the_same_as_cold(spec, out, *overrides)


def test_random_edits_give_what_a_cold_build_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(tmp_path, 7, 2, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_random_edits_give_what_a_cold_build_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rounds(tmp_path, seed, 8, monkeypatch)


def rewrite(path: Path, draw: random.Random) -> None:
    """Gives a file other data of as many blocks, in its place or by a rename, or another time."""
    size = path.stat().st_size
    least = (size - 1) // 4096 * 4096 + 1
    data = draw.randbytes(draw.choice([size, draw.randint(least, size)]) if size else 0)
    how = draw.choice(["write", "rename", "time"]) if size else "time"
    if how == "write":
        path.write_bytes(data)
    elif how == "rename":
        other = path.with_name("other")
        other.write_bytes(data)
        for name in os.listxattr(path):
            os.setxattr(other, name, os.getxattr(path, name))
        other.rename(path)
    else:
        os.utime(path, ns=(0, draw.randrange(10**18)))
    with path.open("rb") as file:
        os.fsync(file.fileno())  # until it has its blocks, it may have holes


def in_their_blocks(
    tmp_path: Path, seed: int, count: int, monkeypatch: pytest.MonkeyPatch, *settings: str
) -> None:
    """Changes files so that no layout changes, and holds every update against a cold build."""
    draw = random.Random(seed)
    spec = make_tree(tmp_path, draw)
    (tmp_path / "tree" / "large").write_bytes(draw.randbytes(3_000_000))
    os.setxattr(tmp_path / "tree" / "large", "user.note", bytes(150))
    os.sync()
    age(tmp_path)
    out = tmp_path / "out"
    building(spec, out, *settings, update=False)
    files = [tmp_path / "tree" / "large", *(tmp_path / "tree").glob("dir[0234]/file*")]
    for number in range(count):
        monkeypatch.setattr(takeover, "WORTH", draw.choice([0, 1 << 40]))
        for path in draw.sample(files, draw.choice([1, 2, 5])):
            rewrite(path, draw)
        if draw.random() < 0.5:
            age(tmp_path)
        built = building(spec, out, *settings)
        assert built.status == "ok"
        assert not built.scanned, (seed, number)
        assert "make-root" in built.skipped, built.notes
        assert any("root file system: taken over but for" in note for note in built.notes)
        the_same_as_cold(spec, out, *settings)


def test_where_files_keep_their_blocks_only_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_their_blocks(tmp_path, 5, 3, monkeypatch, 'output.sums="fsverity"')


@pytest.mark.slow
@pytest.mark.parametrize("type_", ["ext2", "ext3", "ext4"])
def test_files_keep_their_blocks_in_every_ext_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, type_: str
) -> None:
    in_their_blocks(tmp_path, 11, 8, monkeypatch, f'layout.filesystem="{type_}"')


@pytest.mark.parametrize(
    ("change", "scanned", "patched"),
    [
        (lambda tree: (tree / "dir0" / "new").write_bytes(b"new"), False, False),
        (lambda tree: (tree / "dir0" / "file5").unlink(), False, False),
        (lambda tree: (tree / "dir2" / "file2").chmod(0o600), False, True),
        (lambda tree: (tree / "same").write_bytes(b"of two names"), True, False),
        (lambda tree: os.truncate(tree / "holes", 2 << 20), False, False),
    ],
    ids=["new", "removed", "mode", "hard link", "holes"],
)
def test_what_is_more_than_data_and_times(
    spec: Path, tmp_path: Path, change: Edit, *, scanned: bool, patched: bool
) -> None:
    out = tmp_path / "out"
    building(spec, out, update=False)
    change(tmp_path / "tree")
    built = building(spec, out)
    assert built.scanned == scanned
    assert ("make-root" in built.skipped) == patched
    the_same_as_cold(spec, out)


def test_what_a_record_kept_of_volumes_is_not_believed_once_it_changed(
    spec: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    building(spec, out, update=False)
    path = record_path(out)
    assert path is not None
    kept = path.with_suffix(".kept")
    data = kept.read_bytes()
    kept.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (tmp_path / "tree" / "dir2" / "file2").write_bytes(b"changed")
    assert building(spec, out).scanned
    the_same_as_cold(spec, out)


def test_a_change_below_a_mounted_volume_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = make_tree(tmp_path, random.Random(2))
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(b"first")
    with spec.open("a") as file:
        file.write('[[contents]]\nsource = "below"\ntarget = "/srv/below"\n')
    age(tmp_path)
    out = tmp_path / "out"
    call = ["build", str(spec), "-o", str(out), "--update"]
    assert main(call) == exits.DONE
    (tmp_path / "below" / "file").write_bytes(b"other")
    capsys.readouterr()
    assert main(call) == exits.DONE
    assert "nothing has changed" not in capsys.readouterr().err
    the_same_as_cold(spec, out)


def test_of_an_image_changed_behind_our_back_nothing_is_taken(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    building(spec, out, update=False)
    image = out / "demo.img"
    before = image.stat()
    with image.open("r+b") as file:
        file.seek(50 << 20)
        file.write(b"foreign")
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    built = building(spec, out)
    assert "nothing is taken over: demo.img changed since the last build, or went" in built.notes
    the_same_as_cold(spec, out)


def test_without_a_record_everything_is_made(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    building(spec, out, update=False)
    path = record_path(out)
    assert path is not None
    path.write_bytes(path.read_bytes()[:-7])
    built = building(spec, out)
    assert f"nothing is taken over: {path} is damaged" in built.notes
    the_same_as_cold(spec, out)


def test_a_build_that_fails_puts_back_what_it_changed_in_place(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "WORTH", 0)
    monkeypatch.setattr(takeover, "cloned", lambda *_: False)
    out = tmp_path / "out"
    building(spec, out, update=False)
    before = contents(out)
    (tmp_path / "tree" / "dir2" / "file2").write_bytes(b"changed")
    age(tmp_path)
    borrowed: list[bool] = []

    def full(self: Staging, *_: object, **__: object) -> None:
        borrowed.append(self._borrowed is not None and not (out / "demo.img").exists())
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Staging, "publish", full)
        assert building(spec, out).status == "failed"
    assert borrowed == [True]
    assert contents(out) == before
    built = building(spec, out)
    assert built.status == "ok"
    assert built.skipped  # the image is known again
    the_same_as_cold(spec, out)


def a_cancel_leaves_it(spec: Path, out: Path, step: str) -> None:
    """An update of a built spec is cancelled as a step begins, and the next one goes through."""
    before = contents(out)

    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None

        def strike(event: AnyEvent) -> None:
            if isinstance(event, StepStarted) and event.id == step:
                task.cancel()

        await build(plan_of(spec, outdir=out, force=True), strike, outdir=out, update=True)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert contents(out) == before
    assert not list(out.glob(".*"))
    record = record_path(out)
    assert record is not None
    assert not list(record.parent.glob("*-part"))
    assert building(spec, out).status == "ok"
    the_same_as_cold(spec, out)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ("take-over", True),
        ("record", True),
        pytest.param("check-root", True, marks=SLOW),
        pytest.param("take-over", False, marks=SLOW),
        pytest.param("compare", True, marks=SLOW),
        pytest.param("populate-root", True, marks=SLOW),
    ],
)
def test_a_cancel_leaves_the_last_build(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, *, place: bool
) -> None:
    if place:
        monkeypatch.setattr(takeover, "WORTH", 0)
    out = tmp_path / "out"
    building(spec, out, update=False)
    (tmp_path / "tree" / "dir2" / "file2").write_bytes(b"changed")
    a_cancel_leaves_it(spec, out, step)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["compare", "take-over", "check-root", "checksum"])
def test_a_kill_leaves_no_mixture(spec: Path, tmp_path: Path, step: str) -> None:
    out = tmp_path / "out"
    building(spec, out, update=False)
    before = contents(out)
    (tmp_path / "tree" / "dir2" / "file2").write_bytes(b"changed")
    program = f"""
import asyncio, os, signal, sys
from pathlib import Path
from engine.events import StepStarted
from engine.pipeline import takeover
from engine.pipeline.build import build
from tests.support.specs import plan_of

takeover.WORTH = 0
takeover.cloned = lambda *_: False

def strike(event):
    if isinstance(event, StepStarted) and event.id == {step!r}:
        os.kill(os.getpid(), signal.SIGKILL)

out = Path(sys.argv[2])
plan = plan_of(Path(sys.argv[1]), outdir=out, force=True)
asyncio.run(build(plan, strike, outdir=out, update=True))
"""
    ran = subprocess.run([sys.executable, "-c", program, spec, out], cwd=ROOT)
    assert ran.returncode == -signal.SIGKILL
    left = {name: data for name, data in contents(out).items() if not name.startswith(".")}
    in_place = step in {"check-root", "checksum"}
    assert left == {
        name: data for name, data in before.items() if name != "demo.img" or not in_place
    }
    assert building(spec, out).status == "ok"
    the_same_as_cold(spec, out)


def test_the_command_says_that_there_is_nothing_to_do(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    call = ["build", str(spec), "-o", str(out), "--update"]
    assert main(call) == exits.DONE
    first = capsys.readouterr()
    assert "nothing is taken over: no build of this folder has left a record" in first.err
    before = states(out), state_of(out.stat())
    assert main(call) == exits.DONE
    again = capsys.readouterr()
    assert again.err == "nothing has changed: the outputs stay as they are\n"
    assert again.out == first.out
    assert (states(out), state_of(out.stat())) == before
    assert main([*call, "--events", "-"]) == exits.DONE
    lines = capsys.readouterr().out.splitlines()
    assert '"build-started"' in lines[0]
    assert '"build-finished"' in lines[-1]
    (tmp_path / "tree" / "dir3" / "file3").chmod(0o600)
    assert main(call) == exits.DONE
    assert "Fill the root" in capsys.readouterr().err


def test_what_is_not_ours_is_not_replaced(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "demo.img").write_bytes(b"somebody's")
    assert main(["build", str(spec), "-o", str(out), "--update"]) == exits.REFUSED
    assert (out / "demo.img").read_bytes() == b"somebody's"
