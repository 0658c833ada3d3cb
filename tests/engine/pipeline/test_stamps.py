"""What qemu-img draws at random, replaced by derived values in files that stay sound."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import uuid
from pathlib import Path

import pytest

from engine.pipeline.stamps import STAMPS, Origin
from engine.spec.formats import FORMATS, Format
from engine.tools.failure import StepFailed

SEED = uuid.UUID("6e0f9f4e-3c55-4b60-9d43-0d2c1e3f6a55")
ORIGIN = Origin(SEED, 1_700_000_000, "disk.name")
STAMPED = [format_ for format_ in FORMATS.values() if format_.stamp]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with data in many places, so that converters allocate and log."""
    path = tmp_path_factory.mktemp("stamps") / "raw"
    with path.open("wb") as file:
        file.truncate(64 << 20)
        for at in range(0, 64 << 20, 5 << 20):
            file.seek(at)
            file.write(uuid.uuid5(SEED, str(at)).bytes * 9000)
    return path


def made(raw: Path, path: Path, format_: Format) -> Path:
    subprocess.run(("qemu-img", "convert", "-f", "raw", *format_.qemu_img, raw, path), check=True)
    return path


def stamp(path: Path, format_: Format, origin: Origin = ORIGIN) -> bytes:
    assert format_.stamp is not None
    STAMPS[format_.stamp](path, origin)
    return path.read_bytes()


def ids(format_: Format) -> str:
    return format_.key


def test_every_stamp_is_some_format_s() -> None:
    assert {format_.stamp for format_ in STAMPED} == STAMPS.keys()


@pytest.mark.parametrize(
    "format_", [format_ for format_ in STAMPED if format_.driver == "vmdk"], ids=ids
)
def test_a_short_content_id_leaves_nothing_behind(
    raw: Path, tmp_path: Path, format_: Format
) -> None:
    one, two = made(raw, tmp_path / "one", format_), made(raw, tmp_path / "two", format_)
    # qemu-img writes a random id without its zeros over a longer one, whose end stays.
    data = two.read_bytes()
    at = data.index(b"# Disk DescriptorFile")
    text = data[at : data.index(b"\0", at)]
    short = re.sub(rb"CID=[0-9a-f]+\n", b"CID=1\n", text, count=1)
    left = (short + b"\0").ljust(len(text), b"\n")
    two.write_bytes(data[:at] + left + data[at + len(text) :])

    assert stamp(one, format_) == stamp(two, format_)


@pytest.mark.parametrize("format_", STAMPED, ids=ids)
def test_two_files_become_the_same_and_stay_sound(
    raw: Path, tmp_path: Path, format_: Format
) -> None:
    one, two = made(raw, tmp_path / "one", format_), made(raw, tmp_path / "two", format_)
    assert one.read_bytes() != two.read_bytes()

    assert stamp(one, format_) == stamp(two, format_)

    read = ("qemu-img", "info", "--output=json", "-f", format_.driver, one)
    info = subprocess.run(read, check=True, capture_output=True)
    assert json.loads(info.stdout)["virtual-size"] == 64 << 20
    assert b"warning" not in info.stderr.lower()
    compare = ("qemu-img", "compare", "-f", "raw", "-F", format_.driver, raw, one)
    subprocess.run(compare, check=True, capture_output=True)
    if format_.driver != "vpc":  # whose driver cannot check
        check = ("qemu-img", "check", "-f", format_.driver, one)
        subprocess.run(check, check=True, capture_output=True)


@pytest.mark.parametrize("format_", STAMPED, ids=ids)
def test_another_seed_gives_another_identity(raw: Path, tmp_path: Path, format_: Format) -> None:
    one, two = made(raw, tmp_path / "one", format_), made(raw, tmp_path / "two", format_)

    other = Origin(uuid.UUID(int=5), ORIGIN.time, ORIGIN.name)
    assert stamp(one, format_) != stamp(two, format_, other)


@pytest.mark.parametrize("key", ["vpc", "vpc-fixed"])
@pytest.mark.parametrize(("time", "since"), [(946_684_877, 77), (0, 0), (1 << 40, (1 << 32) - 1)])
def test_the_footer_of_a_vhd_has_the_time_and_a_right_checksum(
    raw: Path, tmp_path: Path, key: str, time: int, since: int
) -> None:
    disk = made(raw, tmp_path / "disk", FORMATS[key])

    data = stamp(disk, FORMATS[key], Origin(SEED, time, ""))

    footers = [data[-512:]] if key == "vpc-fixed" else [data[:512], data[-512:]]
    for footer in footers:
        seen, checksum = (
            struct.unpack_from(">I", footer, 24)[0],
            struct.unpack_from(">I", footer, 64)[0],
        )
        assert footer.startswith(b"conectix")
        assert seen == since
        assert checksum == ~(sum(footer) - sum(footer[64:68])) & 0xFFFFFFFF
    assert struct.unpack_from(">I", data, len(data) - 512 + 60)[0] == (3 if key == "vpc" else 2)


@pytest.mark.parametrize("key", ["vmdk", "vmdk-stream"])
def test_the_descriptor_of_a_vmdk_names_the_file_as_it_will_be_called(
    raw: Path, tmp_path: Path, key: str
) -> None:
    disk = made(raw, tmp_path / "output.part", FORMATS[key])

    data = stamp(disk, FORMATS[key], Origin(SEED, 0, 'ünder "quotes".vmdk'))

    text = data[512 : 512 + 20 * 512].rstrip(b"\0").decode("ascii")
    assert 'SPARSE "_nder _quotes_.vmdk"\n' in text
    assert "parentCID=ffffffff\n" in text
    assert 'ddb.adapterType = "lsilogic"\n' in text
    assert 'ddb.virtualHWVersion = "13"\n' in text
    kind = "streamOptimized" if key == "vmdk-stream" else "monolithicSparse"
    assert f'createType="{kind}"\n' in text


def test_the_headers_of_a_vhdx_are_numbered_and_its_log_is_empty(raw: Path, tmp_path: Path) -> None:
    disk = made(raw, tmp_path / "disk", FORMATS["vhdx"])
    newer = max((64 << 10, 128 << 10), key=lambda at: disk.read_bytes()[at + 8 : at + 16][::-1])

    data = stamp(disk, FORMATS["vhdx"])

    numbers = [struct.unpack_from("<Q", data, at + 8)[0] for at in (64 << 10, 128 << 10)]
    assert sorted(numbers) == [1, 2]
    assert numbers[(64 << 10, 128 << 10).index(newer)] == 2
    length, at = struct.unpack_from("<IQ", data, newer + 68)
    assert length >= 1 << 20
    assert not any(data[at : at + length])


@pytest.mark.parametrize("format_", STAMPED, ids=ids)
def test_a_file_of_another_format_is_told(tmp_path: Path, format_: Format) -> None:
    path = tmp_path / "raw"
    path.write_bytes(bytes(1 << 16))

    with pytest.raises(StepFailed, match="qemu-img wrote no"):
        stamp(path, format_)


def test_what_qemu_img_does_not_write_today_is_refused(raw: Path, tmp_path: Path) -> None:
    vmdk = made(raw, tmp_path / "vmdk", FORMATS["vmdk"])
    vmdk.write_bytes(vmdk.read_bytes().replace(b"\nCID=", b"\nXID=", 1))
    with pytest.raises(StepFailed, match="unknown VMDK descriptor"):
        stamp(vmdk, FORMATS["vmdk"])
    vhdx = made(raw, tmp_path / "vhdx", FORMATS["vhdx"])
    data = bytearray(vhdx.read_bytes())
    data[(64 << 10) + 48] = 1
    vhdx.write_bytes(data)
    with pytest.raises(StepFailed, match="not closed"):
        stamp(vhdx, FORMATS["vhdx"])
