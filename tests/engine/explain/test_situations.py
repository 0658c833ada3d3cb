"""Problems that take more than a spec: a command meets each, and says what its paragraph shows."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.explain.table import explanations
from tests.badinputs.trees import TREES, make
from tests.support.containers import Made, layer, layout, member

HERE = Path(__file__).parent
SITUATIONS = tomllib.loads((HERE / "situations.toml").read_text(encoding="utf-8"))
KNOWN = explanations()
_MIB = 1 << 20


def _zeros(name: str, size: int) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.truncate(size)

    return write


def _image(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "disk.img").write_bytes(_built(text))


@cache
def _built(text: str) -> bytes:
    """Returns the image of a spec, built once: syncing takes a while."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make("", folder)
        spec = folder / "disk.toml"
        spec.write_text(f"schema = 1\n{text}")
        assert main(["build", str(spec), "-o", str(folder / "out"), "--quiet"]) == 0
        return (folder / "out" / "disk.img").read_bytes()


def _build_beside(folder: Path) -> None:
    spec = folder / "disk.toml"
    spec.write_text(f"schema = 1\n{_IMAGE}")
    assert main(["build", str(spec), "-o", str(folder / "out"), "--quiet"]) == 0


def _container_images(folder: Path) -> None:
    def of(name: str, architecture: str = "amd64", variant: str = "") -> Made:
        return Made([layer(member(name))], architecture=architecture, variant=variant)

    layout(
        folder / "image",
        ("docker.io/library/web:1", of("a")),
        ("docker.io/library/web:1", of("b", "arm64", "v8")),
        ("docker.io/library/db:latest", of("c")),
    )


def _lacks_a_layer(folder: Path) -> None:
    made = Made([layer(member("a"))])
    layout(folder / "image", ("", made), packing="")
    blobs = [path for path in (folder / "image").rglob("*") if path.is_file()]
    max(blobs, key=lambda path: path.parent.name == "sha256" and _is_layer(path)).unlink()


def _is_layer(path: Path) -> bool:
    return not path.read_bytes().startswith(b"{")


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "tree" / "here"))


def _zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "site.zip", "w") as archive:
        archive.writestr("index.html", "hello")


def _tar(folder: Path) -> None:
    with tarfile.open(folder / "root.tar", "w") as archive:
        archive.add(folder / "tree", "tree")


def _spec(data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "disk.toml").write_bytes(data)


_IMAGE = """
[layout]
table = "none"
[size]
additional = "1MiB"
[[contents]]
source = "tree"
target = "/"
"""
_PARTITIONED = """
[layout]
table = "gpt"
[[volume]]
id = "root"
size = "8MiB"
[[volume]]
id = "home"
size = "8MiB"
"""
_VOLUMES = "".join(f'[[volume]]\nid = "v{n}"\nsize = "1MiB"\n' for n in range(61))

MAKERS: Mapping[str, Callable[[Path], object]] = {
    "large spec": _zeros("disk.img", 16 * _MIB + 1),
    "spec in Latin-1": _spec(b"\x80"),
    "61 volumes": _spec(f'schema = 1\n[layout]\ntable = "mbr"\n{_VOLUMES}'.encode()),
    "70 MiB": _zeros("large/data", 73_692_672),
    "40 MiB of data": lambda folder: (folder / "data").write_bytes(bytes([120]) * 40 * _MIB),
    "40 files": TREES["many files"],
    "container images": _container_images,
    "container image that lacks a layer": _lacks_a_layer,
    "build": _build_beside,
    "socket": _socket,
    "zip": _zip,
    "tar": _tar,
    "empty tar": lambda folder: tarfile.open(folder / "root.tar", "w").close(),
    "fstab that leads nowhere": lambda folder: (folder / "tree/etc/fstab").symlink_to("/run/fstab"),
    "kernel": TREES["kernel"],
    "member below a file": TREES["member below a file"],
    "image": _image(_IMAGE),
    "partitioned image": _image(_PARTITIONED),
    "compressed image": lambda folder: (folder / "disk.img.zst").write_bytes(
        b"\x28\xb5\x2f\xfd\x24\x00\x01\x00\x00\x99\xe9\xd8\x51"
    ),
    "zeros": _zeros("zeros.img", _MIB),
    "16 MiB": _zeros("image.img", 16 * _MIB),
    "small": _zeros("small", _MIB),
    "used": _zeros("used.img", 32 * _MIB),
    "pipe": lambda folder: os.mkfifo(folder / "odd"),
    "qcow2": lambda folder: subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", folder / "disk.qcow2", "1M"], check=True
    ),
}


@pytest.mark.parametrize("code", SITUATIONS)
def test_a_command_says_what_the_paragraph_shows(
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    situation = SITUATIONS[code]
    make("", tmp_path)
    for name in situation.get("make", ()):
        MAKERS[name](tmp_path)
    for name, text in situation.get("files", {}).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()

    arguments = shlex.split(situation["run"].replace("FOLDER", str(tmp_path)))
    with suppress(SystemExit):
        main(arguments)

    said = capsys.readouterr().err.replace(str(tmp_path), "FOLDER").splitlines()
    assert KNOWN[code].says in [*said, *map(_bare, said)]


def _bare(line: str) -> str:
    """Returns a message without the place in a spec, or the row of a fleet, that it is about."""
    line = re.sub(r"^(error|warning): disk\.toml(:[0-9]+)?: ", r"\1: ", line)
    return re.sub(r" \[[a-z0-9-]+\]$", "", line)
