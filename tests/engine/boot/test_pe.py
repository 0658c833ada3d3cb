from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from engine.boot.firmware import find_systemd_boot
from engine.boot.menu import MenuEntry
from engine.boot.pe import BadStub, Section, lay_out
from engine.boot.uki import build
from engine.manifest.lookup import read
from engine.manifest.memory import file_of


def stub() -> bytes:
    path = find_systemd_boot("linuxx64.efi.stub")
    assert path is not None, "systemd-boot-efi is not installed"
    return path.read_bytes()


def test_objdump_reads_back_every_section(tmp_path: Path) -> None:
    kernel = file_of(b"boot/vmlinuz", b"K" * 70_001, mtime_ns=0)
    initrd = file_of(b"boot/initrd", b"I" * 5_000, mtime_ns=0)
    entry = MenuEntry(
        title="T", version="6.1", kernel=kernel, initrds=(initrd,), options="root=x", origin="boot"
    )
    uki = build(b"EFI/Linux/t.efi", entry, stub(), os_release=b"ID=t\n", mtime_ns=0)
    image = tmp_path / "t.efi"
    image.write_bytes(read(uki, uki.size))
    assert image.stat().st_size == uki.size
    expected = {
        ".osrel": b"ID=t\n", ".uname": b"6.1", ".cmdline": b"root=x",
        ".initrd": b"I" * 5_000, ".linux": b"K" * 70_001,
    }  # fmt: skip
    for section, content in expected.items():
        out = tmp_path / section
        subprocess.run(
            ["objcopy", "--dump-section", f"{section}={out}", str(image), str(tmp_path / "copy")],
            check=True,
        )
        assert out.read_bytes().strip(b"\0") == content
    listing = subprocess.run(
        ["objdump", "-h", str(image)], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split() for line in listing.splitlines() if " ." in line]
    spans = sorted((int(row[3], 16), int(row[3], 16) + int(row[2], 16)) for row in rows)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@pytest.mark.parametrize("data", [b"", b"MZ", b"MZ" + bytes(58) + b"\xff\xff\xff\xff", bytes(4096)])
def test_what_is_no_stub_is_refused(data: bytes) -> None:
    with pytest.raises(BadStub):
        lay_out(data, [Section(".linux", 1)])


def test_too_many_sections_are_refused_with_the_numbers() -> None:
    # A stub may have a page or more of headers, 40 bytes each.
    with pytest.raises(BadStub, match=r"room for \d+ more section headers, 9999 needed"):
        lay_out(stub(), [Section(".x", 1)] * 9999)
