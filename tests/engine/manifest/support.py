"""Specs and trees for tests of the scan."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from engine.manifest.lookup import stream
from engine.manifest.manifest import Manifest
from engine.manifest.scan import Scanned, scan
from engine.problem import errors
from engine.spec.model import ImageSpec
from engine.spec.resolve import resolve
from engine.spec.rules import Compat
from engine.spec.settings import ContentSettings, Settings


class Options(TypedDict, total=False):
    mode: str
    user: str
    group: str
    extract: bool | Literal["oci"]
    exclude: tuple[str, ...]
    volume: str
    replace: bool
    into: bool
    image: str
    platform: str
    service: str


class Times(TypedDict, total=False):
    source_date_epoch: int
    clamp_times: bool


def content(source: Path, target: bytes = b"/", **options: Unpack[Options]) -> ContentSettings:
    return ContentSettings(index=0, source=source, target=target, **options)


def settings(
    *contents: ContentSettings, compat: Compat = "none", **times: Unpack[Times]
) -> Settings:
    resolved, _ = resolve(ImageSpec(name="test"), Path("/"), {})
    numbered = tuple(replace(each, index=index) for index, each in enumerate(contents))
    identity = replace(resolved.identity, **times)
    return replace(resolved, compat=compat, contents=numbered, identity=identity)


def scanned(*contents: ContentSettings, compat: Compat = "none", **times: Unpack[Times]) -> Scanned:
    return scan(settings(*contents, compat=compat, **times))


def manifest(
    *contents: ContentSettings, compat: Compat = "none", **times: Unpack[Times]
) -> Manifest:
    """Returns the root file system's manifest, which must be free of problems."""
    found = scanned(*contents, compat=compat, **times)
    assert not errors(found.problems)
    return found.volumes["root"]


def codes(found: Scanned) -> list[str]:
    return [problem.code for problem in found.problems]


def data(entries: Manifest) -> dict[bytes, bytes]:
    """Returns the bytes of every regular file, read through its source."""
    files = {entry.path: bytearray(entry.size) for entry in entries if entry.is_regular}
    for entry, offset, piece in stream(entries):
        files[entry.path][offset : offset + len(piece)] = piece
    for entry in entries:
        if entry.is_regular and entry.link_to is not None:
            files[entry.path] = files[entry.link_to.path]
    return {path: bytes(content) for path, content in files.items()}


def on_disk(root: bytes) -> dict[bytes, tuple[int, int, int, bytes]]:
    """Returns what os.walk finds below a folder: mode, mtime, inode and content by path."""
    found: dict[bytes, tuple[int, int, int, bytes]] = {}
    for folder, directories, files in os.walk(root):
        for name in [*directories, *files, *([b""] if folder == root else [])]:
            path = os.path.join(folder, name)  # noqa: PTH118 - bytes
            status = os.lstat(path)
            content = b""
            if stat.S_ISREG(status.st_mode):
                content = Path(os.fsdecode(path)).read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)  # noqa: PTH115 - bytes
            relative = path[len(root) + 1 :].rstrip(b"/")
            found[relative] = status.st_mode, status.st_mtime_ns, status.st_ino, content
    return found


def make(root: Path, names: Iterable[str]) -> Path:
    """Makes files that hold their own name; a name that ends in a slash is a folder."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    return root


def paths(entries: Manifest) -> list[str]:
    return [os.fsdecode(entry.path) for entry in entries if entry.path]
