"""OVA and Compute Engine archives, read by GNU tar, gzip, qemu-img and an XML parser."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import tarfile
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline import sparsetar, wrapping
from engine.pipeline.wrapping import WRAPS, Wrapping
from engine.spec.formats import FORMATS
from engine.tools.failure import StepFailed

OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
VMW = "{http://www.vmware.com/schema/ovf}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
SIZE = 24 << 20


def output(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wrapping") / "raw"
    chance = random.Random(5)
    with path.open("wb") as file:
        file.truncate(SIZE)
        for _ in range(60):
            file.seek(chance.randrange(SIZE - 9000))
            file.write(chance.randbytes(9000))
    return path


@pytest.fixture
def job(raw: Path, tmp_path: Path) -> Wrapping:
    return Wrapping(
        disk=raw, capacity=SIZE, output=tmp_path / "wrapped", name="a <name> & more",
        memory_mib=768, uefi=True, time=1_700_000_000, report=lambda done, total: None,
        cancelled=lambda: False,
    )  # fmt: skip


@pytest.fixture
def ova(job: Wrapping, raw: Path, tmp_path: Path) -> Wrapping:
    disk = tmp_path / "disk.vmdk"
    output("qemu-img", "convert", "-f", "raw", *FORMATS["ova"].qemu_img, raw, disk)
    return replace(job, disk=disk)


def test_every_wrap_is_some_format_s() -> None:
    assert {format_.wrap for format_ in FORMATS.values() if format_.wrap} == WRAPS.keys()


def test_an_ova_holds_description_sums_and_disk_in_this_order(ova: Wrapping, raw: Path) -> None:
    wrapping.ova(ova)

    names = ["a__name____more.ovf", "a__name____more.mf", "a__name____more.vmdk"]
    listed = output("tar", "--utc", "-tvf", ova.output).splitlines()
    assert [line.split()[-1] for line in listed] == names
    assert all(line.startswith("-rw-r--r-- 0/0") for line in listed)
    assert all("2023-11-14 22:13" in line for line in listed)
    assert ova.output.read_bytes()[257:265] == b"ustar\x0000"
    with tarfile.open(ova.output) as archive:
        data = {name: archive.extractfile(name).read() for name in names}  # type: ignore[union-attr]
        at = archive.getmember(names[2]).offset_data
    assert data[names[1]].decode().splitlines() == [
        f"SHA256({name})= {hashlib.sha256(data[name]).hexdigest()}" for name in (names[0], names[2])
    ]
    inside = {"driver": "raw", "offset": at, "size": len(data[names[2]])}
    inside["file"] = {"driver": "file", "filename": str(ova.output)}
    disk = "json:" + json.dumps({"driver": "vmdk", "file": inside})
    output("qemu-img", "compare", raw, disk)


@pytest.mark.parametrize("uefi", [True, False])
def test_the_description_says_what_the_machine_has(ova: Wrapping, uefi: bool) -> None:
    wrapping.ova(replace(ova, uefi=uefi))

    with tarfile.open(ova.output) as archive:
        member = archive.extractfile(archive.getnames()[0])
        assert member is not None
        root = ET.fromstring(member.read())
    (file,) = root.iter(f"{OVF}File")
    assert file.get(f"{OVF}href") == "a__name____more.vmdk"
    assert file.get(f"{OVF}size") == str(ova.disk.stat().st_size)
    (disk,) = root.iter(f"{OVF}Disk")
    assert disk.get(f"{OVF}capacity") == str(SIZE)
    assert disk.get(f"{OVF}fileRef") == file.get(f"{OVF}id")
    assert root.findtext(f"{OVF}VirtualSystem/{OVF}Name") == "a <name> & more"
    items = {item.findtext(f"{RASD}ResourceType"): item for item in root.iter(f"{OVF}Item")}
    assert items["4"].findtext(f"{RASD}VirtualQuantity") == "768"
    assert items["17"].findtext(f"{RASD}HostResource") == f"ovf:/disk/{disk.get(f'{OVF}diskId')}"
    assert items["17"].findtext(f"{RASD}Parent") == items["6"].findtext(f"{RASD}InstanceID")
    for item in items.values():
        tags = [child.tag for child in item]
        assert tags == sorted(tags)
    firmware = {config.get(f"{VMW}key"): config.get(f"{VMW}value") for config in
                root.iter(f"{VMW}Config")}  # fmt: skip
    assert firmware == ({"firmware": "efi"} if uefi else {})


def test_a_disk_of_8_gib_and_more_has_a_size_that_tar_reads() -> None:
    size = (8 << 30) + 5
    head = wrapping._header("disk.vmdk", size, 0)
    assert len(head) == 512
    assert tarfile.TarInfo.frombuf(head, "ascii", "strict").size == size


@pytest.mark.parametrize("key", WRAPS)
def test_the_same_disk_gives_the_same_bytes(
    ova: Wrapping, job: Wrapping, tmp_path: Path, key: str
) -> None:
    one = ova if key == "ova" else job
    two = replace(one, output=tmp_path / "two")
    if key == "gce":  # without a hole: what the file system keeps must not matter
        solid = tmp_path / "solid"
        output("cp", "--sparse=never", one.disk, solid)
        two = replace(two, disk=solid)

    for each in (one, two):
        WRAPS[key](each)  # type: ignore[index]

    assert one.output.read_bytes() == two.output.read_bytes()


def test_gnu_tar_and_gzip_read_what_compute_engine_is_given(job: Wrapping, tmp_path: Path) -> None:
    wrapping.gce(job)

    archive = job.output.rename(tmp_path / "image.tar.gz")
    output("gzip", "-t", archive)
    (line,) = output("tar", "--utc", "-tvzf", archive).splitlines()
    assert line.split() == ["-rw-r--r--", "0/0", str(SIZE), "2023-11-14", "22:13", "disk.raw"]
    output("tar", "-C", tmp_path, "-xzf", archive)
    output("qemu-img", "compare", "-f", "raw", "-F", "raw", job.disk, tmp_path / "disk.raw")
    assert (tmp_path / "disk.raw").stat().st_blocks * 512 < SIZE


def test_an_archive_that_does_not_read_back_is_no_output(job: Wrapping) -> None:
    def other(name: str, size: int, ranges: list[tuple[int, int]], mtime: int) -> bytes:
        moved = [(at + sparsetar.RECORD if length else at, length) for at, length in ranges]
        return sparsetar.header(name, size, moved, mtime)

    module = mock.Mock(wraps=sparsetar, header=other, RECORD=sparsetar.RECORD)
    with (
        mock.patch.object(wrapping, "sparsetar", module),
        pytest.raises(StepFailed, match="differ"),
    ):
        wrapping.gce(job)


def test_an_ova_that_does_not_read_back_is_no_output(ova: Wrapping) -> None:
    with (
        mock.patch.object(wrapping, "_copy", return_value="0" * 64),
        pytest.raises(StepFailed, match="read back"),
    ):
        wrapping.ova(ova)


@settings(max_examples=40, deadline=None)
@given(
    blocks=st.lists(st.booleans(), max_size=120), tail=st.integers(0, (1 << 16) - 1), data=st.data()
)
def test_any_file_with_holes_goes_through_gnu_tar(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[bool], tail: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("sparse")
    contents = (
        b"".join(
            bytes(1 << 16) if hole else bytes(70) + b"data" + bytes((1 << 16) - 74)
            for hole in blocks
        )
        + data.draw(st.sampled_from([b"\0", b"x"])) * tail
    )
    (folder / "disk").write_bytes(contents)

    ranges = sparsetar.data_map(folder / "disk", lambda: False)
    stored = b"".join(contents[at : at + length] for at, length in ranges)
    head = sparsetar.header("file", len(contents), ranges, 7)
    made = head + stored + bytes(-len(stored) % 512 + 1024)
    (folder / "a.tar").write_bytes(made)

    output("tar", "-C", folder, "-xf", folder / "a.tar")
    assert (folder / "file").read_bytes() == contents
    assert all(any(contents[at : at + length]) for at, length in ranges if length)
    with tarfile.open(folder / "a.tar") as archive:
        member = archive.extractfile("file")
        assert member is not None
        assert member.read() == contents


def test_sizes_beyond_eleven_octal_digits() -> None:
    size = 3 << 40
    head = sparsetar.header("disk.raw", size, [(0, 512), (size - 512, 512)], 0)
    info = tarfile.TarInfo.frombuf(head, "ascii", "strict")
    assert info.size == 1024  # what is stored
    assert int.from_bytes(head[484:495], "big") == size
    assert int.from_bytes(head[411:422], "big") == size - 512
