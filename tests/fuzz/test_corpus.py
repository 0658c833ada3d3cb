"""Seeds and some hundred mutations of each, the same in every run; `benchmarks.fuzz` does more."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest

from tests.fuzz.guard import Hang, WroteOutside, guarded, limited_memory
from tests.fuzz.targets import TARGETS, Target

_MEMORY = 768 << 20
_SECONDS = 20.0
_INPUTS = 120
_IMAGES = 25
"""Images take longer to read."""

# Inputs that were found to do what they must not, or that stand for a kind of attack.
REGRESSIONS = {
    "spec": (
        b"", b"\xef\xbb\xbf", b"\0" * 100, b"a = " + b"[" * 5000, b"x" * 100_000,
        b"[size]\ndisk = 1" + b"0" * 5000, b'name = "\\uD800"', b"[[contents]]\n" * 5000,
        b"[identity]\nsource_date_epoch = 9223372036854775808",
    ),
    "tar": (b"", b"\0" * 1024, b"\xff" * 512, b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", b"(\xb5/\xfd"),
    "bootspec": (b"\xe1", b'{"\xfe": 1}', b"[" * 100_000, b"null", b'{"org.nixos.bootspec.v1": 1}'),
    "events": (b"", b"\n\n", b'{"event": "\x80"}', b"[" * 100_000, b"{}", b'{"event": "log"}'),
    "closure": (
        b"\xa2", b"[" * 100_000, b'{"/nix/store/a-b": null}',
        b'{"/nix/store/a-b": {"narHash": "sha256-' + b"=" * 44 + b'", "narSize": 1}}',
    ),
    "nix-literal": (b"", b"{ a = " + b"9" * 5000 + b"; }", b"{ a = " + b"[" * 5000, b"{" * 5000,
                    b'{ "${a}" = 1; }'),
    "arguments": (b"[" * 100_000, b'{"postVM": "a\\nb", "odd\\nkey": 1}', b"1" * 5000, b"\xff"),
    "packages": (b"\2" + b"SQLite format 3\0" * 100, b"\1P", b"\0Package\n", b""),
    "sums": (b"\\", b"0" * 64, b"\xff\n"),
    "tool-output": (b"\x1b]" + b"x" * 50_000, b"\r" * 1000, b"\x08" * 1000, b"a" * 50_000),
}  # fmt: skip


def read(target: Target, file: Path, data: bytes) -> None:
    """Has a target read an input.

    Raises:
        BaseException: Anything but what the target documents.
    """
    target.write(file, data)
    try:
        with limited_memory(_MEMORY), guarded(file.parent, _SECONDS):
            target.read(file)
    except target.documented:
        pass


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_nothing_but_documented_errors(target: Target, tmp_path: Path) -> None:
    made, work = tmp_path / "made", tmp_path / "work"
    made.mkdir()
    work.mkdir()
    seeds = target.seeds(made)
    target.write(work / "reference", seeds[0])
    file = work / f"input{target.suffix}"
    mutator = target.mutator(seeds)

    for data in (*seeds, *REGRESSIONS.get(target.name, ())):
        read(target, file, data)
    for number in range(_INPUTS if target.resize else _IMAGES):
        read(target, file, mutator.variant(number))


def test_a_view_without_end_in_place_of_the_packages_is_given_up(tmp_path: Path) -> None:
    database = tmp_path / "rpmdb.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "create view Packages as with recursive every(n) as (select 1 union all "
            "select n + 1 from every) select zeroblob(8) as blob from every"
        )
    file = tmp_path / "input"
    file.write_bytes(b"\2" + database.read_bytes())

    with limited_memory(_MEMORY), guarded(tmp_path, 60):
        TARGETS["packages"].read(file)


def _spin() -> None:
    while True:
        pass


def test_the_guard_sees_writes_outside_and_hangs(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()

    with guarded(inside, 10):
        (inside / "file").write_text("")
    with pytest.raises(WroteOutside), guarded(inside, 10):
        (tmp_path / "file").write_text("")
    with pytest.raises(WroteOutside), guarded(inside, 10):
        (tmp_path / "folder").mkdir()
    with pytest.raises(WroteOutside), guarded(inside, 10):
        (tmp_path / "link").symlink_to("anything")
    with pytest.raises(WroteOutside), guarded(inside, 10):
        Path("../sideways").mkdir()
    with pytest.raises(Hang), guarded(inside, 0.05):
        threading.Event().wait(60)
    with pytest.raises(Hang), guarded(inside, 0.05):
        _spin()


def test_the_guard_sees_memory_without_bounds() -> None:
    with pytest.raises(MemoryError), limited_memory(64 << 20):
        bytearray(256 << 20)
