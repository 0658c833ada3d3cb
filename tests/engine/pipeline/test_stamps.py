"""What qemu-img draws at random, replaced by derived values in files that stay sound."""

from __future__ import annotations

import json
import struct
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.pipeline.stamps import stamp_vdi, stamp_vpc
from engine.tools.failure import StepFailed
from tests.support.tools import run_tool

SEED = uuid.UUID("6e0f9f4e-3c55-4b60-9d43-0d2c1e3f6a55")
STAMPS = [("vdi", stamp_vdi), ("vpc", stamp_vpc)]


def made(path: Path, format_: str) -> Path:
    options = ("-o", "force_size=on") if format_ == "vpc" else ()
    command = ("qemu-img", "create", "-q", "-f", format_, *options, path, "64M")
    subprocess.run(command, check=True)
    return path


@pytest.mark.parametrize(("format_", "stamp"), STAMPS)
def test_two_files_become_the_same_and_stay_sound(
    tmp_path: Path, format_: str, stamp: Callable[[Path, uuid.UUID, int], None]
) -> None:
    one, two = made(tmp_path / "one", format_), made(tmp_path / "two", format_)
    assert one.read_bytes() != two.read_bytes()

    for path in (one, two):
        stamp(path, SEED, 1_700_000_000)

    assert one.read_bytes() == two.read_bytes()
    info = run_tool(
        ("qemu-img", "info", "--output=json", "-f", format_, one),
        check=True,
        capture_output=True,
    )
    assert json.loads(info.stdout)["virtual-size"] == 64 << 20
    assert b"warning" not in info.stderr.lower()


@pytest.mark.parametrize(("format_", "stamp"), STAMPS)
def test_another_seed_gives_another_identity(
    tmp_path: Path, format_: str, stamp: Callable[[Path, uuid.UUID, int], None]
) -> None:
    one, two = made(tmp_path / "one", format_), made(tmp_path / "two", format_)

    stamp(one, SEED, 0)
    stamp(two, uuid.UUID(int=5), 0)

    assert one.read_bytes() != two.read_bytes()


def test_the_footer_of_a_vhd_has_the_time_and_a_right_checksum(tmp_path: Path) -> None:
    disk = made(tmp_path / "disk", "vpc")

    stamp_vpc(disk, SEED, 946_684_800 + 77)

    data = disk.read_bytes()
    for footer in (data[:512], data[-512:]):
        time, checksum = (
            struct.unpack_from(">I", footer, 24)[0],
            struct.unpack_from(">I", footer, 64)[0],
        )
        assert time == 77
        assert checksum == ~(sum(footer) - sum(footer[64:68])) & 0xFFFFFFFF


@pytest.mark.parametrize(("format_", "stamp"), STAMPS)
def test_a_file_of_another_format_is_told(
    tmp_path: Path, format_: str, stamp: Callable[[Path, uuid.UUID, int], None]
) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(bytes(1 << 16))

    with pytest.raises(StepFailed, match="qemu-img wrote no"):
        stamp(raw, SEED, 0)
