"""The trees that the reference was measured with: names, contents, modes and times from a seed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

_TIME = 1_700_000_000
_MIB = 1 << 20


class _Draw:
    """Bytes and numbers that a seed alone decides: SHA-256 of `SEED/0`, `SEED/1` and so on."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._blocks = 0
        self._rest = b""

    def take(self, count: int) -> bytes:
        made = bytearray(self._rest)
        while len(made) < count:
            made += hashlib.sha256(f"{self._seed}/{self._blocks}".encode()).digest()
            self._blocks += 1
        self._rest = bytes(made[count:])
        return bytes(made[:count])

    def below(self, limit: int) -> int:
        return int.from_bytes(self.take(4), "little") % limit


def make_tree(kind: str, seed: str, folder: Path) -> None:
    """Makes the tree `kind` in a folder that is not there yet.

    Kinds: `empty`; `tiny`, 2000 small files; `big`, an incompressible file of 40 MiB, a hole of
    64 MiB and one byte; `links`, symbolic links of every length, hard links, deep folders and
    odd modes.

    Raises:
        KeyError: There is no such kind.
        FileExistsError: The folder exists.
    """
    make = _KINDS[kind]
    folder.mkdir(parents=True)
    make(folder, _Draw(f"{kind}:{seed}"), seed)
    for at, _, _ in os.walk(folder, topdown=False):
        os.utime(at, (_TIME, _TIME))
        Path(at).chmod(0o755)


def _put(path: Path, data: bytes, mode: int = 0o644, time: int = _TIME) -> None:
    path.write_bytes(data)
    path.chmod(mode)
    os.utime(path, (time, time))


def _empty(folder: Path, draw: _Draw, seed: str) -> None:
    del folder, draw, seed


def _tiny(folder: Path, draw: _Draw, seed: str) -> None:
    del seed
    sizes = [0, 1, 4095, 4096, 4097, 8191]
    for number in range(50):
        (folder / f"d{number:02}").mkdir()
    for number in range(2000):
        size = sizes[number] if number < len(sizes) else draw.below(8192)
        path = folder / f"d{number % 50:02}" / f"f{number:04}"
        _put(path, draw.take(size), 0o644 if number % 7 else 0o755, _TIME + number)


def _big(folder: Path, draw: _Draw, seed: str) -> None:
    del draw
    data = folder / "data"
    data.mkdir()
    block = hashlib.shake_256(f"big:{seed}".encode()).digest(_MIB)
    heads = (hashlib.sha256(str(number).encode()).digest() for number in range(40))
    _put(data / "ordinary.bin", b"".join(head + block[32:] for head in heads))
    with (data / "sparse.bin").open("wb") as sparse:
        sparse.truncate(64 * _MIB)
    (data / "sparse.bin").chmod(0o644)
    os.utime(data / "sparse.bin", (_TIME, _TIME))
    _put(data / "one", b"x")


def _links(folder: Path, draw: _Draw, seed: str) -> None:
    del seed
    files, links = folder / "files", folder / "ln"
    files.mkdir()
    links.mkdir()
    (folder / "tree").mkdir()
    modes = [0o400, 0o444, 0o600, 0o640, 0o644, 0o755, 0o4755, 0o2755, 0o700, 0o666]
    for number in range(100):
        path = files / f"h{number:03}"
        _put(path, draw.take(1 + draw.below(20_000)), modes[number % 10], _TIME + number)
        for link in range(3):
            (files / f"h{number:03}.l{link}").hardlink_to(path)
    for number in range(200):
        targets = [f"../files/h{number % 100:03}", "x" * 59, "x" * 60, "x" * 61, "y" * 200,
                   "/nonexistent/dangling", "../tree"]  # fmt: skip
        symlink = links / f"s{number:03}"
        symlink.symlink_to(targets[number % 7])
        os.utime(symlink, (_TIME, _TIME), follow_symlinks=False)
    for number in range(300):
        names = (f"n{number // 10**place % 10}" for place in range(3))
        folder.joinpath("tree", *names).mkdir(parents=True, exist_ok=True)
    _put(folder / ".hidden-top", b"hidden\n")
    _put(folder / "top", b"top\n")


_KINDS: dict[str, Callable[[Path, _Draw, str], None]] = {
    "empty": _empty, "tiny": _tiny, "big": _big, "links": _links,
}  # fmt: skip
