"""Images made larger: tables, volumes and file systems, read back by other people's programs."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cli import exits
from engine.cli.main import main
from engine.disk.gpt_move import read_gpt
from engine.grow import grow as growing
from engine.image.container import open_disk
from engine.image.table import read_table
from engine.inspect.image import open_image
from engine.units import MIB
from tests.support.disks import disk_of_4096
from tests.support.tools import run_tool

GPT = """label: gpt
start=2048, size=8192, type=U, name=ESP
start=10240, size=16384, type=L, name=root
start=26624, type=L, name=home
"""
MBR = """label: dos
start=2048, size=8192, type=c
start=10240, size=16384, type=83, bootable
"""
LOGICAL = """label: dos
start=2048, size=8192, type=83
start=10240, size=38912, type=5
start=12288, size=8192, type=83
start=22528, type=83
"""
BIOS = """label: gpt
start=2048, size=16384, type=L, name=root
start=18432, size=2048, type=21686148-6449-6E6F-744E-656564454649
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "motd").write_text("hello\n")
    (tree / "large").write_bytes(os.urandom(900_000))
    (tree / "link").symlink_to("etc/motd")
    with (tree / "hole").open("wb") as file:
        file.truncate(5 * MIB)
        file.seek(3 * MIB)
        file.write(b"in the middle")
    for number in range(40):
        (tree / f"file {number}").write_text(str(number) * number)
    return tree


def table(path: Path, script: str, size: int = 24 * MIB) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    run_tool(["sfdisk", "-q", path], input=script, text=True, check=True)
    return path


def ext(path: Path, start: int, length: int, tree: Path, *options: str, kind: str = "ext4") -> None:
    block = 1024 if "1024" in options else 4096
    run_tool(
        ["mke2fs", "-q", "-F", "-t", kind, "-d", tree, "-b", str(block), *options,
         "-E", f"offset={start}", path, f"{length // 1024}k"],
        check=True,
    )  # fmt: skip


def extract(path: Path, start: int, length: int, to: Path) -> Path:
    with path.open("rb") as file:
        file.seek(start)
        to.write_bytes(file.read(length))
    return to


def sound(volume: Path) -> str:
    """Has e2fsck look at a file system, and returns its block count."""
    run_tool(["e2fsck", "-f", "-n", volume], check=True, capture_output=True)
    said = run_tool(["dumpe2fs", "-h", volume], check=True, capture_output=True, text=True).stdout
    lines: list[str] = said.splitlines()
    return next(line.split()[-1] for line in lines if line.startswith("Block count"))


def files(volume: Path) -> dict[str, str]:
    """Returns the sums of a file system's files, read by debugfs."""
    names = ["etc/motd", "large", "hole", *(f"file {number}" for number in range(40))]
    found = {}
    for name in names:
        said = run_tool(["debugfs", "-R", f'cat "/{name}"', volume], capture_output=True).stdout
        found[name] = hashlib.sha256(said).hexdigest()
    return found


def grown(image: Path, *arguments: str) -> None:
    assert main(["grow", str(image), *arguments]) == exits.DONE
    assert [path.name for path in image.parent.glob(".*")] == []


@pytest.fixture
def disk(tmp_path: Path, tree: Path) -> Path:
    """A disk with a FAT, a root and a home."""
    path = table(tmp_path / "disk.img", GPT)
    run_tool(["mkfs.fat", "--offset", "2048", path, "4096"], check=True, capture_output=True)
    ext(path, 5 * MIB, 8 * MIB, tree)
    ext(path, 13 * MIB, 10 * MIB, tree, "-L", "files")
    return path


def test_the_last_volume_grows_and_the_rest_stays(
    disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = disk.read_bytes()
    wanted = files(extract(disk, 13 * MIB, 10 * MIB, tmp_path / "before"))
    grown(disk, "--to", "64MiB")
    assert disk.stat().st_size == 64 * MIB
    run_tool(["sfdisk", "-q", "--verify", disk], check=True)
    said = run_tool(["sgdisk", "-v", disk], check=True, capture_output=True, text=True).stdout
    assert "No problems found" in said
    with open_disk(disk) as opened:
        parts = read_table(opened).partitions
    assert [(p.start, p.sectors) for p in parts] == [
        (2048, 8192), (10240, 16384), (26624, 50 * 2048),
    ]  # fmt: skip
    volume = extract(disk, 13 * MIB, 50 * MIB, tmp_path / "after")
    assert sound(volume) == str(50 * MIB // 4096)
    assert files(volume) == wanted
    assert disk.read_bytes()[MIB : 13 * MIB] == before[MIB : 13 * MIB]
    assert "24.0 MiB before, 64.0 MiB now" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["root", "2"])
def test_what_is_behind_a_named_volume_moves(disk: Path, tmp_path: Path, name: str) -> None:
    home = disk.read_bytes()[13 * MIB : 23 * MIB]
    grown(disk, "--to", "+20MiB", "--volume", name)
    assert disk.stat().st_size == 44 * MIB
    assert disk.read_bytes()[33 * MIB : 43 * MIB] == home[: 10 * MIB]
    assert sound(extract(disk, 5 * MIB, 28 * MIB, tmp_path / "root")) == str(28 * MIB // 4096)
    said = run_tool(["sgdisk", "-v", disk], check=True, capture_output=True, text=True).stdout
    assert "No problems found" in said


def test_a_volume_is_known_by_the_label_of_its_file_system_and_by_the_manifest(
    disk: Path, tmp_path: Path
) -> None:
    grown(disk, "--to", "+1MiB", "--volume", "files")
    manifest = {"plan": {"outputs": ["disk.img"], "partitions": [{"number": 2, "id": "system"}]}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    grown(disk, "--to", "+1MiB", "--volume", "system")
    with open_disk(disk) as opened:
        parts = read_table(opened).partitions
    assert [p.sectors for p in parts] == [8192, 16384 + 2048, 11 * 2048]


@pytest.mark.parametrize("script", [MBR, LOGICAL])
def test_an_mbr(tmp_path: Path, tree: Path, script: str) -> None:
    image = table(tmp_path / "disk.img", script)
    with open_disk(image) as opened:
        last = max(read_table(opened).partitions, key=lambda p: p.start)
    ext(image, last.start * 512, last.sectors * 512, tree)
    wanted = files(extract(image, last.start * 512, last.sectors * 512, tmp_path / "before"))
    grown(image, "--to", "48MiB")
    run_tool(["sfdisk", "-q", "--verify", image], check=True)
    with open_disk(image) as opened:
        after = read_table(opened)
    longer = after.partitions[-1]
    assert (after.findings, longer.start, longer.active) == ((), last.start, last.active)
    assert longer.end * 512 <= 48 * MIB < (longer.end + 4096) * 512
    volume = extract(image, longer.start * 512, longer.sectors * 512, tmp_path / "after")
    assert sound(volume) == str(longer.sectors * 512 // 4096)
    assert files(volume) == wanted


@pytest.mark.parametrize("label", ["gpt", "msdos"])
def test_sectors_of_4096_bytes(tmp_path: Path, tree: Path, label: str) -> None:
    image = disk_of_4096(tmp_path / "disk.img", 24 * MIB, label)
    ext(image, 1280 * 4096, 18 * MIB, tree)
    with open_disk(image) as opened:
        before = read_table(opened)
    assert before.sector_size == 4096
    grown(image, "--to", "48MiB")
    with open_disk(image) as opened:
        after = read_table(opened)
    assert (after.sector_size, after.findings) == (4096, ())
    assert after.partitions[0] == before.partitions[0]
    length = after.partitions[1].sectors * 4096
    assert length == {"gpt": 42, "msdos": 43}[label] * MIB
    assert sound(extract(image, 5 * MIB, length, tmp_path / "after")) == str(length // 4096)


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
def test_a_disk_without_a_table(tmp_path: Path, tree: Path, kind: str) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(16 * MIB))
    ext(image, 0, 16 * MIB, tree, "-b", "1024", kind=kind)
    wanted = files(image)
    grown(image, "--to", "600MiB")
    assert sound(image) == str(600 * MIB // 1024)
    assert files(image) == wanted
    assert image.stat().st_blocks * 512 < 64 * MIB


def test_it_is_the_same_every_time_and_takes_the_time_it_is_given(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "renamed.img"
    other.write_bytes(disk.read_bytes())
    third = tmp_path / "third.img"
    third.write_bytes(disk.read_bytes())
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    grown(disk, "--to", "64MiB")
    grown(other, "--to", "64MiB")
    assert disk.read_bytes() == other.read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234567890")
    grown(third, "--to", "64MiB")
    with third.open("rb") as file:
        file.seek(13 * MIB + 1024 + 0x30)
        assert struct.unpack("<I", file.read(4)) == (1234567890,)


def test_one_that_was_lengthened_before_is_put_right(disk: Path) -> None:
    with disk.open("r+b") as file:
        file.truncate(40 * MIB)
    grown(disk, "--to", "41MiB")
    said = run_tool(["sgdisk", "-v", disk], check=True, capture_output=True, text=True).stdout
    assert "No problems found" in said


def test_mode_and_holes_stay(disk: Path) -> None:
    disk.chmod(0o640)
    grown(disk, "--to", "2GiB")
    assert disk.stat().st_mode & 0o777 == 0o640
    assert disk.stat().st_blocks * 512 < 64 * MIB


def test_a_partition_without_a_file_system_grows_alone(tmp_path: Path) -> None:
    image = table(tmp_path / "disk.img", MBR)
    with image.open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"not known to anyone")
    grown(image, "--to", "32MiB")
    with open_disk(image) as opened:
        assert read_table(opened).partitions[1].sectors == 27 * 2048


def test_what_is_in_it_and_not_known_here_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = table(tmp_path / "disk.img", MBR)
    with image.open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"LUKS\xba\xbe\0\x02" + bytes(4096))
    grown(image, "--to", "32MiB")
    assert "LUKS" in capsys.readouterr().err
    bare = tmp_path / "bare.img"
    bare.write_bytes(image.read_bytes()[5 * MIB :])
    assert "no partitions but a LUKS" in refusal(bare, capsys, "--to", "64MiB")


def test_a_journal_is_replayed_in_the_copy(disk: Path, tmp_path: Path) -> None:
    volume = extract(disk, 13 * MIB, 10 * MIB, tmp_path / "volume")
    run_tool(["debugfs", "-w", "-R", "feature needs_recovery", volume], capture_output=True)
    with disk.open("r+b") as file:
        file.seek(13 * MIB)
        file.write(volume.read_bytes())
    grown(disk, "--to", "64MiB")
    assert sound(extract(disk, 13 * MIB, 50 * MIB, tmp_path / "after")) == str(50 * MIB // 4096)


# ---------------------------------------------------------------------- what is refused


def refusal(image: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    before = image.read_bytes()
    assert main(["grow", str(image), *arguments]) == exits.REFUSED
    assert image.read_bytes() == before
    assert list(image.parent.glob(".*")) == []
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--to", "24MiB"), "are not more"),
        (("--to", "10MiB"), "are not more"),
        (("--to", "a lot"), "is not a size"),
        (("--to", "+0"), "are not more"),
        (("--to", "1GiB", "--volume", "ESP"), "is FAT, which is left alone"),
        (("--to", "1GiB", "--volume", "swap"), 'no volume is "swap" (there are: 1 (ESP); 2 (root)'),
    ],
)
def test_what_makes_no_sense(
    disk: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert says in refusal(disk, capsys, *arguments)


def test_other_formats_are_named_with_the_way_there(
    disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "disk.qcow2"
    run_tool(["qemu-img", "convert", "-O", "qcow2", disk, image], check=True)
    said = refusal(image, capsys, "--to", "1GiB")
    assert "qemu-img convert -O raw" in said
    assert "qemu-img convert -O qcow2" in said


def test_swap_and_what_is_behind(
    tmp_path: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = table(tmp_path / "mbr.img", MBR)
    ext(image, MIB, 4 * MIB, tree / "etc")
    assert "only the last one grows" in refusal(image, capsys, "--to", "1GiB", "--volume", "1")
    swap = tmp_path / "swap"
    swap.write_bytes(bytes(8 * MIB))
    run_tool(["mkswap", "-q", swap], check=True, capture_output=True)
    with image.open("r+b") as file:
        file.seek(5 * MIB)
        file.write(swap.read_bytes())
    assert "is swap space" in refusal(image, capsys, "--to", "1GiB")


def test_grubs_core_behind(tmp_path: Path, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = table(tmp_path / "disk.img", BIOS)
    ext(image, MIB, 8 * MIB, tree)
    assert "GRUB's core" in refusal(image, capsys, "--to", "1GiB", "--volume", "root")


def test_bytes_outside_of_all_partitions(
    tmp_path: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = table(tmp_path / "disk.img", MBR)
    ext(image, 5 * MIB, 8 * MIB, tree)
    with image.open("r+b") as file:
        file.seek(20 * MIB)
        file.write(b"u-boot's environment")
    assert "outside of all partitions" in refusal(image, capsys, "--to", "1GiB")


def test_a_damaged_table_and_a_damaged_file_system(
    disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = disk.read_bytes()
    with disk.open("r+b") as file:
        file.seek(13 * MIB + 4096 * 3)
        file.write(b"\xff" * 4096 * 40)
    damaged = disk.read_bytes()
    assert main(["grow", str(disk), "--to", "64MiB"]) in {exits.FAILED, exits.REFUSED}
    assert "as it was" in capsys.readouterr().err
    assert disk.read_bytes() == damaged
    disk.write_bytes(before)
    with disk.open("r+b") as file:
        file.seek(512 + 60)
        file.write(b"\0\0")
    assert "checksum is wrong" in refusal(disk, capsys, "--to", "64MiB")


def test_where_nothing_may_be_written(
    disk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path, mode: int = 0o777) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuses)
    assert "nothing can be written beside" in refusal(disk, capsys, "--to", "64MiB")


def test_one_that_a_machine_runs_from(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = os.open(disk, os.O_RDWR)
    try:
        # An open file description lock, as QEMU takes: F_OFD_SETLK of fcntl(2).
        lock = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, 100, 1, 0)
        fcntl.fcntl(held, fcntl.F_OFD_SETLK, lock)
        assert "another program has locked it" in refusal(disk, capsys, "--to", "64MiB")
    finally:
        os.close(held)


# ---------------------------------------------------------------------- what goes wrong


def attempt(image: Path, emit: Callable[[object], None] = lambda event: None) -> None:
    from engine.grow.layout import growth

    opened = open_image(image)
    with opened.disk:
        asyncio.run(growing.grow(opened, growth(opened, 64 * MIB, None), emit))


@pytest.fixture
def untouched(disk: Path) -> Iterator[Path]:
    """The disk, which has to be what it was in the end, with nothing beside it."""
    before = disk.read_bytes()
    yield disk
    assert disk.read_bytes() == before
    assert list(disk.parent.glob(".*")) == []


@pytest.mark.parametrize(
    "step", ["copy", "check-before", "grow", "check-after", "assemble", "read-back", "replace"]
)
def test_cancelled_at_any_step_the_image_is_what_it_was(untouched: Path, step: str) -> None:
    def cancel(event: object) -> None:
        if type(event).__name__ == "StepStarted" and getattr(event, "id", "") == step:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    with pytest.raises(asyncio.CancelledError):
        attempt(untouched, cancel)


def test_a_result_that_is_not_right_is_not_kept(
    untouched: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = growing._copy

    def loses(
        ranges: list[tuple[int, int, int]], source: Path, target: Path, size: int,
        stop: Callable[[], bool],
    ) -> None:  # fmt: skip
        real(ranges, source, target, size, stop)
        if source.name == "volume":
            with target.open("r+b") as file:
                file.seek(target.read_bytes().index(b"in the middle", 13 * MIB))
                file.write(b"in the muddle")

    monkeypatch.setattr(growing, "_copy", loses)
    assert main(["grow", str(untouched), "--to", "64MiB"]) == exits.FAILED
    assert "as it was" in capsys.readouterr().err


def test_one_that_changes_meanwhile_is_left_alone(
    disk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.grow.readback import check as real

    def changes(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        with disk.open("r+b") as file:
            file.seek(0)
            file.write(b"x")
        os.utime(disk, ns=(1, 1))

    monkeypatch.setattr("engine.grow.grow.check", changes)
    assert main(["grow", str(disk), "--to", "64MiB"]) == exits.FAILED
    assert "changed meanwhile" in capsys.readouterr().err
    assert disk.stat().st_size == 24 * MIB


def test_what_a_killed_one_left_is_swept(disk: Path) -> None:
    left = disk.parent / f".{disk.name}.diskwright-part"
    left.mkdir()
    (left / "image").write_bytes(b"half")
    grown(disk, "--to", "64MiB")


# ---------------------------------------------------------------------- the arithmetic of the table


@settings(max_examples=40)
@given(more=st.integers(1, 5000), last=st.integers(0, 5000))
def test_a_gpt_fits_any_larger_disk(
    tmp_path_factory: pytest.TempPathFactory, more: int, last: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "gpt-any.img"
    if not path.exists():
        table(path, GPT)
    head = path.read_bytes()[: 24 * MIB]
    gpt = read_gpt(head[:MIB], 512)
    total = 24 * 2048 + more
    end = min(26624 + 20000 + last, gpt.last_usable(total))
    grownup = path.with_name("gpt-grown.img")
    grownup.write_bytes(head)
    with grownup.open("r+b") as file:
        file.truncate(total * 512)
        for offset, data in gpt.fitted(total, {3: (26624, end)}):
            file.seek(offset)
            file.write(data)
    with open_disk(grownup) as opened:
        found = read_table(opened)
    assert found.findings == ()
    assert found.last_usable == total - 34
    assert found.partitions[2].end - 1 == end


@pytest.fixture
def built(tmp_path: Path, tree: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """An image as a build leaves it, with its records."""
    spec = tmp_path / "small.toml"
    spec.write_text(
        'schema = 1\nname = "small"\n[layout]\ntable = "legacy+gpt"\n[size]\nadditional = "1MiB"\n'
        f'[output]\nsums = ["sha256", "fsverity"]\n[[contents]]\nsource = "{tree}/"\ntarget = "/"\n'
    )
    assert main(["build", str(spec), "-o", str(tmp_path / "out"), "--quiet"]) == exits.DONE
    capsys.readouterr()
    return tmp_path / "out" / "small.img"


def test_the_records_of_a_build_follow_its_image(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built.with_name("small.img.bmap").write_text("<bmap/>")
    before = built.stat().st_size
    grown(built, "--to", "+24MiB", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["disk"] == {"before": before, "after": before + 24 * MIB}
    assert told["volume"]["after"] - told["volume"]["before"] == 24 * MIB
    assert told["records"] == ["manifest.json", "FSVERITYSUMS", "SHA256SUMS"]
    assert told["stale"] == ["small.img.bmap"]
    run_tool(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=built.parent, check=True)
    manifest = json.loads(built.with_name("manifest.json").read_bytes())
    assert manifest["grown"] == [{"from": before, "to": before + 24 * MIB}]
    assert manifest["outputs"][0]["bytes"] == before + 24 * MIB
    assert main(["verify", str(built.parent)]) == exits.DONE
    grown(built, "--to", "+8MiB")
    assert main(["verify", str(built.parent)]) == exits.DONE
    assert len(json.loads(built.with_name("manifest.json").read_bytes())["grown"]) == 2


def test_records_that_were_not_right_vouch_for_nothing_afterwards(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with built.open("r+b") as file:
        file.seek(300)
        file.write(b"changed by somebody")
    records = [built.with_name(name) for name in ("SHA256SUMS", "FSVERITYSUMS", "manifest.json")]
    before = [record.read_bytes() for record in records]
    grown(built, "--to", "+24MiB", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["records"] == []
    assert sorted(told["wrong_records"]) == sorted(record.name for record in records)
    assert [record.read_bytes() for record in records] == before
    assert main(["verify", str(built.parent)]) != exits.DONE
