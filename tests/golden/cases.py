"""The golden images: a spec each, built by the command line in this process."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import parted

from engine.cli.main import main
from engine.tools.known import dotted
from tests.golden.contents import TIME, make_contents

FOLDER = Path(__file__).parent
PLANS = FOLDER / "plans"
SUMS = FOLDER / "sums.json"
TABLES = ("efi", "hybrid", "legacy+gpt", "legacy", "none")
_CHUNK = 1 << 22

Sums = dict[str, dict[str, str]]
"""SHA-256 by part of an image, by case."""
Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What a tool makes otherwise since one of its versions.

    Attributes:
        tool: Its name.
        since: The first version that was seen to.
        part: What alone is another then, as `built` names it.
    """

    tool: str
    since: Version
    part: str

    @property
    def path(self) -> Path:
        """The file of sums, of the cases alone that differ."""
        return FOLDER / f"sums-{self.tool}-{dotted(self.since)}.json"

    def sums(self) -> Sums:
        """Returns what is recorded."""
        found: Sums = json.loads(self.path.read_text())
        return found


CHANGES = (
    # It writes the block bitmap of groups that hold but a copy of the superblock, and no longer
    # marks them BLOCK_UNINIT. A file system of more than two block groups has one.
    Change("mke2fs", (1, 47, 2), "root"),
    # It writes no boot code into a new MBR. GRUB's keeps bytes 3 to 89 of what it wrote.
    Change("libparted", (3, 8), "outside"),
)

_SPEC = f"""\
schema = 1
name = "golden"
[identity]
source_date_epoch = {TIME}
[[contents]]
source = "system.tar"
target = "/"
extract = true
[[contents]]
source = "tree/"
target = "/"
"""
_KERNELS = '[[contents]]\nsource = "kernels/"\ntarget = "/"\n'
_ESP = '[[contents]]\nsource = "esp/"\ntarget = "/"\npartition = "esp"\n'
_NO_LOADER = 'exclude = ["EFI"]\n'
_SMALL = ("size.additional=8MiB", "size.boot=33MiB")
_COMPAT = ("compat=make-disk-image", "size.additional=8M", "size.boot=48M")


@dataclass(frozen=True, slots=True)
class Case:
    """One image: what is set beside the spec's own keys, and what more it holds."""

    name: str
    settings: tuple[str, ...]
    more: str = ""


def _variation(name: str, *settings: str, more: str = "") -> Case:
    return Case(name, (*_SMALL, *settings), more)


CASES = (
    *(_variation(table, f"layout.table={table}") for table in TABLES),
    *(Case(f"{table}-compat", (*_COMPAT, f"layout.table={table}")) for table in TABLES),
    _variation("efi-4096", "layout.sector_size=4096", "size.boot=260MiB"),
    _variation("legacy+gpt-4096", "layout.table=legacy+gpt", "layout.sector_size=4096"),
    _variation("efi-ext3", "layout.filesystem=ext3"),
    _variation("legacy-ext2", "layout.table=legacy", "layout.filesystem=ext2"),
    _variation("none-ext2", "layout.table=none", "layout.filesystem=ext2"),
    Case("none-ext3-compat", (*_COMPAT, "layout.table=none", "layout.filesystem=ext3")),
    _variation("efi-fixed", "size.disk=200MiB"),
    _variation("legacy-fixed", "layout.table=legacy", "size.disk=150", "layout.label=a label"),
    Case("hybrid-fixed-compat", (*_COMPAT, "layout.table=hybrid", "size.disk=256",
                                 "size.boot=100M")),
    _variation("efi-inodes", "size.inodes=5000", "size.additional=0"),
    _variation("none-untimed", "layout.table=none", "identity.source_date_epoch=0"),
    _variation("none-large", "layout.table=none", "size.additional=700MiB"),
    _variation("efi-identifiers", "identity.seed=00000000-1111-4222-8333-444444444444",
               "identity.disk_guid=5AB6C67A-1111-4222-8333-444444444444",
               "identity.root_partition_guid=5AB6C67A-2222-4222-8333-444444444444",
               "identity.root_filesystem_uuid=5ab6c67a-3333-4222-8333-444444444444"),
    _variation("hybrid-esp", "layout.table=hybrid", more=_ESP),
    _variation("efi-systemd-boot", "boot.loader=systemd-boot", more=_KERNELS + _ESP + _NO_LOADER),
    _variation("efi-uki", "boot.loader=uki", "boot.cmdline=quiet", more=_KERNELS),
    _variation("legacy-grub", "layout.table=legacy", "boot.loader=grub", more=_KERNELS),
    _variation("hybrid-grub", "layout.table=hybrid", "boot.loader=grub", more=_KERNELS),
    Case("legacy+gpt-grub-compat", (*_COMPAT, "layout.table=legacy+gpt", "boot.loader=grub"),
         _KERNELS),
)  # fmt: skip


def planned(case: Case, folder: Path) -> dict[str, Any]:
    """Returns what `plan --json` prints of a case; `$FOLDER` stands for the given folder."""
    spec = folder / "golden.toml"
    spec.write_text(_SPEC + case.more)
    printed = io.StringIO()
    with _same_everywhere(folder), contextlib.redirect_stdout(printed):
        code = main(["plan", str(spec), "--json", *_sets(case)])
    answer: dict[str, Any] = json.loads(printed.getvalue().replace(str(folder), "$FOLDER"))
    assert code == 0, answer["problems"]
    return answer


def built(case: Case, plan: dict[str, Any], folder: Path) -> dict[str, str]:
    """Builds a case and returns the SHA-256 of the whole image and of each part of it.

    The parts are every file system, under its partition's role, and `outside`: what is left, the
    table and boot code, as if the file systems were not there.
    """
    out = folder / "out"
    said = io.StringIO()
    with (
        _same_everywhere(folder),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        code = main(["build", str(folder / "golden.toml"), "-o", str(out), "--quiet", *_sets(case)])
    assert code == 0, said.getvalue()
    with (out / plan["outputs"][0]).open("rb") as image:
        return _sums(image, plan)


def versions() -> dict[str, Version]:
    """Returns the versions of those of this machine's tools that write bytes."""
    ran = subprocess.run(["mke2fs", "-V"], check=True, capture_output=True, text=True)
    texts = {"mke2fs": ran.stderr.split()[1], "libparted": str(parted.version()["libparted"])}
    return {tool: tuple(map(int, text.split("."))) for tool, text in texts.items()}


def _sets(case: Case) -> list[str]:
    return [word for setting in case.settings for word in ("--set", setting)]


def _sums(image: io.BufferedReader, plan: dict[str, Any]) -> dict[str, str]:
    size = image.seek(0, os.SEEK_END)
    if plan["disk"]["table"] == "none":
        spans = [("root", 0, plan["filesystem"]["bytes"])]
    else:
        sector = plan["disk"]["sector_size"]
        spans = [
            (partition["role"], partition["start"] * sector, partition["filesystem"]["bytes"])
            for partition in plan["partitions"]
            if partition["filesystem"] is not None
        ]
    spans.sort(key=lambda span: span[1])
    sums = {"image": _sum(image, [(0, size)])}
    between, at = [], 0
    for role, start, length in spans:
        sums[role] = _sum(image, [(start, length)])
        between.append((at, start - at))
        at = start + length
    sums["outside"] = _sum(image, [*between, (at, size - at)])
    return sums


def _sum(image: io.BufferedReader, spans: list[tuple[int, int]]) -> str:
    digest = hashlib.sha256()
    for start, length in spans:
        image.seek(start)
        left = length
        while left:
            piece = image.read(min(left, _CHUNK))
            assert piece, "the image is shorter than its plan"
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def _same_everywhere(folder: Path) -> Iterator[None]:
    """Makes the contents where they are not there yet; stands in for this machine's loaders.

    Those are bytes of this test's own in the form that their users read, so that neither GRUB's
    nor systemd's version matters.
    """
    parts = folder / "parts"
    if not parts.is_dir():
        parts.mkdir()
        make_contents(folder)
        (parts / "boot.img").write_bytes(bytes(range(256)) * 2)
        (parts / "kernel.img").touch()
        (parts / "systemd-bootx64.efi").write_bytes(b"MZ" + b"boot" * 5000)
        (parts / "linuxx64.efi.stub").write_bytes(_stub())

    def find_grub(target: str, name: str = "kernel.img") -> Path:
        del target
        return parts / name

    def mkimage(target: str, prefix: str, modules: tuple[str, ...]) -> bytes:
        assert not modules
        partition = prefix.removeprefix("(,").removesuffix(")/boot/grub")
        text = f"{target} {partition}\n".encode()
        return (text * 4000)[:40_000]

    with (
        mock.patch("engine.boot.parts.find_systemd_boot", lambda name: parts / name),
        mock.patch("engine.boot.parts.find_grub", find_grub),
        mock.patch("engine.boot.parts.find_mkimage", return_value="grub-mkimage"),
        mock.patch("engine.boot.parts.mkimage", mkimage),
        mock.patch.dict(os.environ),
    ):
        os.environ.pop("SOURCE_DATE_EPOCH", None)
        yield


def _stub() -> bytes:
    """Returns a PE32+ file of one section with room for more (Microsoft, "PE Format")."""
    data = bytearray(1024)
    data[:2] = b"MZ"
    struct.pack_into("<I", data, 0x3C, 0x80)
    data[0x80:0x84] = b"PE\0\0"
    optional, optional_size = 0x98, 240
    struct.pack_into("<HHIIIHH", data, 0x84, 0x8664, 1, 0, 0, 0, optional_size, 0x22E)
    struct.pack_into("<H", data, optional, 0x20B)
    alignment, sizes = (4096, 512), (8192, 1024)  # section and file; image and headers
    struct.pack_into("<II", data, optional + 32, *alignment)
    struct.pack_into("<II", data, optional + 56, *sizes)
    struct.pack_into("<8sIIIIIIHHI", data, optional + optional_size,
                     b".text", 512, 4096, 512, 1024, 0, 0, 0, 0, 0x6000_0020)  # fmt: skip
    return bytes(data) + b"\xf4" * 512
