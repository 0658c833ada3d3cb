from __future__ import annotations

import os
import random
import signal
import socket
import threading
from pathlib import Path

import pytest

from engine.manifest import helpers, progress, walk
from engine.manifest.entry import Entry
from engine.manifest.folder import FolderSource
from engine.manifest.patterns import excluder
from engine.manifest.progress import ScanCancelled, Ticker
from engine.manifest.walk import Rules, Walk
from engine.spec.modes import parse_mode
from engine.tools import forks


def enable(monkeypatch: pytest.MonkeyPatch, count: int, most: int = 7) -> None:
    """Has so many helpers walk so many entries at once, from the first directory on."""
    for module in (helpers, forks):
        monkeypatch.setattr(module, "processors", lambda: count + 1)
    monkeypatch.setattr(helpers, "_WORTH_IT", 0)
    monkeypatch.setattr(helpers, "_TURN", 1)
    monkeypatch.setattr(walk, "_SHARE", most)
    monkeypatch.setattr(threading, "active_count", lambda: 1)


def make_tree(root: Path, seed: int) -> None:
    chance = random.Random(seed)
    folders = [root]
    files: list[Path] = []
    for number in range(400):
        name = chance.choice(["a", "b.c", "z", "a b", "\udcff"]) + str(number)
        path = chance.choice(folders[-9:]) / name
        match chance.randrange(8):
            case 0 | 1:
                path.mkdir()
                folders.append(path)
            case 2:
                path.symlink_to("somewhere/else")
            case 3 if files:
                path.hardlink_to(chance.choice(files))
            case 4:
                with path.open("wb") as file:
                    file.truncate(1 << 20)
                    file.seek(1 << 19)
                    file.write(b"x")
            case _:
                path.write_bytes(b"x" * number)
                files.append(path)
        if not path.is_symlink():
            os.utime(path, ns=(0, chance.randrange(1 << 33) * 1_000_000_007))
        if number % 17 == 0 and path.is_file() and not path.is_symlink():
            os.setxattr(path, "user.test", b"%d" % number)


def walked(root: Path, rules: Rules, ticker: Ticker | None = None) -> Walk:
    # A fixed time, as files that had just changed by then are noted.
    begun_ns = max(path.lstat().st_ctime_ns for path in root.rglob("*"))
    found = Walk(rules, ticker or Ticker(), _begun_ns=begun_ns)
    found.folder(os.fsencode(root), b"top")
    found.tie()
    return found


def described(found: Walk) -> list[tuple[object, ...]]:
    source = found.entries[0].source
    assert isinstance(source, FolderSource)
    assert all(entry.source is source for entry in found.entries)
    assert list(source.walked) == found.entries
    fields = [field for field in Entry.__slots__ if field not in ("link_to", "source")]
    return [
        (
            *(getattr(entry, field) for field in fields),
            entry.link_to and entry.link_to.path,
            entry.stamp in source.recent,
        )
        for entry in found.entries
    ]


def problems(found: Walk) -> list[str]:
    return [finding.message for finding in found.findings]


def count_helpers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns what will list the processes that are begun."""
    begun: list[int] = []
    fork = os.fork

    def counted() -> int:
        number = fork()
        if number:
            begun.append(number)
        return number

    monkeypatch.setattr(os, "fork", counted)
    return begun


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


RULES = (
    Rules(),
    Rules(
        mode=parse_mode("u+w,go-rwx"), owner=(7, 8), newest_ns=10**18,
        excluded=excluder(["*3", "a1*/"]),
    ),
)  # fmt: skip


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(("count", "most"), [(1, 1), (1, 7), (3, 7), (2, 1000)])
def test_a_walk_finds_the_same_with_helpers_as_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: Rules, count: int, most: int
) -> None:
    for seed in range(2):
        root = tmp_path / str(seed)
        root.mkdir()
        make_tree(root, seed)
        alone = walked(root, rules)
        with monkeypatch.context() as patch:
            enable(patch, count, most)
            begun = count_helpers(patch)
            ticker = Ticker()

            together = walked(root, rules, ticker)

        assert described(together) == described(alone)
        assert {key: head.path for key, head in together.heads.items()} == {
            key: head.path for key, head in alone.heads.items()
        }
        assert ticker.entries == len(alone.entries)
        assert ticker.bytes == sum(entry.size for entry in alone.entries)
        assert len(begun) == count
        assert all(map(gone, begun))


def test_problems_are_those_of_one_walk_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, 5)
    folders = [path for path in sorted(tmp_path.rglob("*")) if path.is_dir()]
    for folder in folders[::4]:
        with socket.socket(socket.AF_UNIX) as made:
            monkeypatch.chdir(folder)  # a socket's path has to be short
            made.bind("socket")
    monkeypatch.chdir(tmp_path)
    alone = walked(tmp_path, Rules())
    enable(monkeypatch, 2)

    together = walked(tmp_path, Rules())

    assert problems(together) == problems(alone) != []
    assert described(together) == described(alone)


def test_what_a_killed_helper_had_is_walked_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, 6)
    alone = walked(tmp_path, Rules())
    enable(monkeypatch, 2)
    begun = count_helpers(monkeypatch)
    give = helpers._Helper.give
    given = 0

    def last_wish(helper: helpers._Helper, directories: list[bytes]) -> bool:
        nonlocal given
        given += 1
        if given == 3:
            os.kill(begun[0], signal.SIGKILL)
        return give(helper, directories)

    monkeypatch.setattr(helpers._Helper, "give", last_wish)

    together = walked(tmp_path, Rules())

    assert given >= 3
    assert described(together) == described(alone)
    assert all(map(gone, begun))


def test_without_room_for_processes_there_is_a_walk_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, 7)
    alone = walked(tmp_path, Rules())
    enable(monkeypatch, 2)

    def refused() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refused)

    assert described(walked(tmp_path, Rules())) == described(alone)


def test_a_process_with_threads_has_no_helpers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, 8)
    enable(monkeypatch, 2)
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    begun = count_helpers(monkeypatch)

    walked(tmp_path, Rules())

    assert begun == []


def test_a_cancel_ends_the_helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path, 9)
    enable(monkeypatch, 2)
    begun = count_helpers(monkeypatch)
    ticker = Ticker(cancelled=lambda: bool(begun))
    ticker._due = 0

    monkeypatch.setattr(progress, "_INTERVAL", -1)
    with pytest.raises(ScanCancelled):
        walked(tmp_path, Rules(), ticker)

    assert len(begun) == 2
    assert all(map(gone, begun))


def test_paths_too_long_for_a_pipe_are_not_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, 10)
    alone = walked(tmp_path, Rules())
    enable(monkeypatch, 1)
    monkeypatch.setattr(helpers, "_PATHS", 20)

    assert described(walked(tmp_path, Rules())) == described(alone)
