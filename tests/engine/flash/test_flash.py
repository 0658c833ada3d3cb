"""Images brought to files and disks: the bytes, the order, the verdict, and how it is ended."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cli import exits
from engine.cli.main import main
from engine.flash import flash as flashing
from engine.flash.compare import compare
from engine.flash.flash import write
from engine.flash.machine import Machine
from engine.flash.medium import Medium
from engine.flash.outcome import Outcome
from engine.flash.session import Job, prepare
from engine.image.container import open_disk
from engine.image.table import read_table
from engine.problem import Refused
from engine.units import MIB
from tests.support.disks import gpt_disk
from tests.support.tools import run_tool

NEVER = lambda: False  # noqa: E731
NOWHERE = lambda done, total: None  # noqa: E731


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return gpt_disk(tmp_path / "image.img")


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A larger disk with the backup of an old table, and data all over."""
    path = gpt_disk(tmp_path / "used.img", 24 * MIB)
    with path.open("r+b") as file:
        for at in range(24):
            file.seek(at * MIB + 40_960)
            file.write(b"old data" * 100)
    return path


def job_of(image: Path, to: Path, *, move_backup: bool = False) -> Job:
    return prepare(image, to, Machine(), NOWHERE, NEVER, writing=True, move_backup=move_backup)


def flashed(image: Path, to: Path) -> Outcome:
    job = job_of(image, to)
    return write(job.payload, job.destination, NOWHERE, NEVER)


def test_a_new_file_gets_the_image_with_its_holes(image: Path, tmp_path: Path) -> None:
    outcome = flashed(image, tmp_path / "new.img")
    assert (outcome.status, outcome.written) == ("ok", 4 * MIB + 4096)
    assert outcome.skipped == 12 * MIB - 4096
    assert (tmp_path / "new.img").read_bytes() == image.read_bytes()
    assert (tmp_path / "new.img").stat().st_blocks * 512 <= 5 * MIB + 65536
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.img", "new.img"]


def test_an_empty_file_is_as_good_as_none(image: Path, tmp_path: Path) -> None:
    (tmp_path / "new.img").touch()
    assert flashed(image, tmp_path / "new.img").status == "ok"
    assert (tmp_path / "new.img").read_bytes() == image.read_bytes()


def test_what_was_there_is_gone_under_the_image_and_stays_behind_it(
    image: Path, used: Path
) -> None:
    before = used.read_bytes()
    outcome = flashed(image, used)
    after = used.read_bytes()
    assert outcome.status == "ok"
    assert outcome.zeroed == 11 * MIB
    assert after[: 16 * MIB] == image.read_bytes()
    # But for the header of the old table's backup, in the last sector.
    assert after[16 * MIB : -512] == before[16 * MIB : -512]
    assert before[-512:].startswith(b"EFI PART")
    assert after[-512:] == bytes(512)


def test_what_is_zeros_already_is_not_written_again(image: Path, used: Path) -> None:
    flashed(image, used)
    outcome = flashed(image, used)
    assert (outcome.zeroed, outcome.written) == (0, 4 * MIB + 4096)


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor().compress,
    "frames.zst": lambda data: b"".join(
        zstandard.ZstdCompressor().compress(data[at : at + 5 * MIB])
        for at in range(0, len(data), 5 * MIB)
    ),
}


@pytest.mark.parametrize("ending", PACKED)
def test_compressed_images_are_unpacked_on_the_way(
    image: Path, used: Path, tmp_path: Path, ending: str
) -> None:
    packed = tmp_path / f"image.{ending}"
    packed.write_bytes(PACKED[ending](image.read_bytes()))
    job = job_of(packed, used)
    assert job.payload.size == 16 * MIB
    assert (job.payload.table.kind, job.payload.table.findings) == ("gpt", ())
    assert write(job.payload, job.destination, NOWHERE, NEVER).status == "ok"
    assert used.read_bytes()[: 16 * MIB] == image.read_bytes()


@pytest.mark.parametrize(
    ("driver", "options"),
    [("qcow2", ()), ("qcow2", ("-c",)), ("vdi", ()), ("vpc", ("-o", "force_size"))],
)
def test_containers_are_read_by_our_own_readers(
    image: Path, tmp_path: Path, driver: str, options: tuple[str, ...]
) -> None:
    container = tmp_path / "container"
    run_tool(["qemu-img", "convert", *options, "-O", driver, image, container], check=True)
    outcome = flashed(container, tmp_path / "new.img")
    assert outcome.status == "ok"
    assert (tmp_path / "new.img").read_bytes()[: 16 * MIB] == image.read_bytes()


def test_what_is_not_read_is_refused_with_the_command(image: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.qed"
    run_tool(["qemu-img", "convert", "-O", "qed", image, other], check=True)
    with pytest.raises(Refused, match="qemu-img convert -O raw"):
        job_of(other, tmp_path / "new.img")
    inner = tmp_path / "inner.qcow2"
    run_tool(["qemu-img", "convert", "-O", "qcow2", image, inner], check=True)
    packed = tmp_path / "inner.qcow2.gz"
    packed.write_bytes(gzip.compress(inner.read_bytes()))
    with pytest.raises(Refused, match="gzip -dk"):
        job_of(packed, tmp_path / "new.img")


def test_a_damaged_compressed_image_is_found_before_a_byte_is_written(
    image: Path, used: Path, tmp_path: Path
) -> None:
    before = used.read_bytes()
    packed = tmp_path / "image.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress(image.read_bytes())[:-100])
    with pytest.raises(Refused, match="damaged"):
        job_of(packed, used)
    assert used.read_bytes() == before


@settings(max_examples=25)
@given(
    size=st.integers(1, 3 * MIB + 5000),
    spots=st.lists(st.tuples(st.integers(0, 3 * MIB), st.integers(1, 5000)), max_size=4),
    behind=st.integers(0, MIB),
)
def test_any_bytes_arrive(
    tmp_path_factory: pytest.TempPathFactory,
    size: int,
    spots: list[tuple[int, int]],
    behind: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    data = bytearray(size)
    for at, length in spots:
        data[at : min(at + length, size)] = b"\xa5" * max(min(at + length, size) - at, 0)
    image = folder / "image"
    image.write_bytes(data)
    old = b"\x5a" * (size + behind)
    (folder / "disk").write_bytes(old)
    assert flashed(image, folder / "disk").status == "ok"
    assert (folder / "disk").read_bytes() == bytes(data) + old[size:]
    job = job_of(image, folder / "disk")
    assert compare(job.payload, job.destination, NOWHERE, NEVER).status == "ok"


# ---------------------------------------------------------------------- the order


class Watched(Medium):
    """A medium that remembers what was done to it."""

    done: list[tuple[str, int, bytes]]

    def __init__(self, path: Path, *, writing: bool, exclusive: bool) -> None:
        super().__init__(path, writing=writing, exclusive=exclusive)
        type(self).done = []

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self.done.append(("write", offset, bytes(data)))
        super().write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        self.done.append(("zero", offset, bytes(length)))
        Medium.write(self, offset, bytes(length))

    def flush(self) -> None:
        self.done.append(("flush", 0, b""))
        super().flush()


def test_the_beginning_goes_out_last(
    image: Path, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flashing, "Medium", Watched)
    flashed(image, used)
    acts = [(what, at) for what, at, _ in Watched.done]
    forgotten = [("zero", 0), ("flush", 0), ("zero", 4096), ("zero", 24 * MIB - 512), ("flush", 0)]
    assert acts[:5] == forgotten
    writes = [act for act in acts if act[0] != "flush"]
    assert writes[-1] == ("write", 0)
    assert acts[acts.index(("write", 0)) - 1] == ("flush", 0)
    assert acts[-1] == ("flush", 0)


def test_progress_counts_what_is_on_the_medium(
    image: Path, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flashing, "Medium", Watched)
    monkeypatch.setattr("engine.flash.compare._REPORT_SECONDS", 0)
    seen: list[int] = []

    def report(done: int, total: int) -> None:
        assert Watched.done[-1][0] != "write"
        seen.append(done)
        assert total == 16 * MIB

    job = job_of(image, used)
    write(job.payload, job.destination, report, NEVER)
    assert seen == sorted(seen)
    assert seen[-1] == 16 * MIB
    assert len(seen) >= 3
    assert set(seen[:-1]) <= {at * MIB for at in range(16)}


# ---------------------------------------------------------------------- media that lie or fail


class Wrapping(Medium):
    """A stick of 10 MiB that says it has more: places are taken modulo."""

    def write(self, offset: int, data: bytes | memoryview) -> None:
        super().write(offset % (10 * MIB), data)

    def read(self, offset: int, length: int) -> bytes:
        places = range(offset, offset + length, MIB)
        return b"".join(super(Wrapping, self).read(at % (10 * MIB), MIB) for at in places)[:length]


def test_a_stick_that_has_less_than_it_says_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "full.img"
    image.write_bytes(os.urandom(12 * MIB))
    stick = tmp_path / "stick"
    stick.write_bytes(bytes(16 * MIB))
    monkeypatch.setattr(flashing, "Medium", Wrapping)
    outcome = flashed(image, stick)
    assert outcome.status == "different"
    assert "less room than it says" in outcome.message


class Forgetful(Medium):
    """A stick that loses one bit."""

    def write(self, offset: int, data: bytes | memoryview) -> None:
        changed = bytearray(data)
        if offset == 5 * MIB:
            changed[4100] ^= 1
        super().write(offset, bytes(changed))


def test_a_bit_that_is_lost_is_found_and_nothing_boots(
    image: Path, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flashing, "Medium", Forgetful)
    outcome = flashed(image, used)
    assert (outcome.status, outcome.at) == ("different", 5 * MIB + 4100)
    assert "does not keep what is written" in outcome.message
    assert "is incomplete and has no partition table" in outcome.message
    with open_disk(used) as disk:
        assert read_table(disk).kind == "none"


class Broken(Medium):
    """A stick that is pulled out."""

    def flush(self) -> None:
        if self.step > 2 * MIB:
            raise OSError(5, "Input/output error")
        super().flush()


def test_one_that_is_pulled_out_is_told(
    tmp_path: Path, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "full.img"
    image.write_bytes(os.urandom(12 * MIB))
    monkeypatch.setattr(flashing, "Medium", Broken)
    outcome = flashed(image, used)
    assert outcome.status == "failed"
    assert "Input/output error" in outcome.message
    assert "is incomplete" in outcome.message
    assert "pulled out" in outcome.hint


def test_a_full_file_system_leaves_nothing(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Medium):
        def write(self, offset: int, data: bytes | memoryview) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(flashing, "Medium", Full)
    outcome = flashed(image, tmp_path / "new.img")
    assert outcome.status == "failed"
    assert "was not made" in outcome.message
    assert [path.name for path in tmp_path.iterdir()] == ["image.img"]


def test_a_file_that_appears_meanwhile_is_not_replaced(image: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.img"
    job = job_of(image, new)
    new.write_bytes(b"somebody else's")
    outcome = write(job.payload, job.destination, NOWHERE, NEVER)
    assert outcome.status == "failed"
    assert new.read_bytes() == b"somebody else's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.img", "new.img"]


def test_an_image_that_changes_meanwhile_is_noticed(image: Path, used: Path) -> None:
    job = job_of(image, used)
    with image.open("r+b") as file:
        file.truncate(15 * MIB)
    outcome = write(job.payload, job.destination, NOWHERE, NEVER)
    assert outcome.status == "failed"
    assert "changed while it was read" in outcome.message


# ---------------------------------------------------------------------- cancelled


def test_cancelled_it_says_what_is_left(image: Path, used: Path, tmp_path: Path) -> None:
    asked = iter([False] * 9)
    job = job_of(image, used)
    outcome = write(job.payload, job.destination, NOWHERE, lambda: next(asked, True))
    assert outcome.status == "cancelled"
    assert "is incomplete and has no partition table: write it once more" in outcome.message
    with open_disk(used) as disk:
        assert read_table(disk).kind == "none"
    job = job_of(image, tmp_path / "new.img")
    outcome = write(job.payload, job.destination, NOWHERE, lambda: True)
    assert outcome.status == "cancelled"
    assert "was not made" in outcome.message
    assert not (tmp_path / "new.img").exists()


def test_steps_shrink_on_a_slow_medium(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    with Medium(used, writing=True, exclusive=False) as medium:
        for _ in range(8):
            medium.flush()
        assert medium.step == 32 * MIB
        monkeypatch.setattr(time, "monotonic", lambda: next(clock) * 2)
        for _ in range(8):
            medium.flush()
        assert medium.step == MIB


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(tmp_path: Path, number: int) -> None:
    packed = tmp_path / "zeros.zst"
    frame = zstandard.ZstdCompressor().compress(bytes(64 * MIB))
    packed.write_bytes(frame * 4096)  # 256 GiB: unpacking takes minutes
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "engine.cli", "flash", packed, tmp_path / "new.img"],
        stderr=subprocess.PIPE, env=dict(os.environ), text=True,
    )  # fmt: skip
    while str(packed) not in _open_files(process.pid):
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == exits.CANCELLED
    assert "cancelled; nothing was written" in said
    assert [path.name for path in tmp_path.iterdir()] == ["zeros.zst"]


def _open_files(pid: int) -> set[str]:
    """Returns what a process has open, while its handlers are in place: unpacking has begun."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except OSError:
            continue
    return found


# ---------------------------------------------------------------------- the backup GPT


def test_the_backup_moves_to_the_end_on_request(image: Path, used: Path) -> None:
    before = used.read_bytes()
    job = job_of(image, used, move_backup=True)
    assert write(job.payload, job.destination, NOWHERE, NEVER).status == "ok"
    with open_disk(used) as disk:
        table = read_table(disk)
    assert (table.kind, table.findings, len(table.partitions)) == ("gpt", (), 2)
    said = run_tool(["sgdisk", "-v", used], capture_output=True, text=True, check=True).stdout
    assert "No problems found" in said
    run_tool(["sfdisk", "-q", "--verify", used], check=True)
    assert used.read_bytes()[17 * MIB : 23 * MIB] == before[17 * MIB : 23 * MIB]
    assert compare(job.payload, job.destination, NOWHERE, NEVER).status == "ok"
    plain = job_of(image, used)
    assert compare(plain.payload, plain.destination, NOWHERE, NEVER).status == "different"


# ---------------------------------------------------------------------- the command


def test_the_command_writes_and_tells(
    image: Path, used: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flash", str(image), str(used), "--yes"]) == exits.DONE
    said = capsys.readouterr()
    assert "is the image, bit for bit" in said.out
    assert re.search(r"by hand: dd if=\S+image.img of=\S+used.img bs=4M", said.err)
    assert used.read_bytes()[: 16 * MIB] == image.read_bytes()


def test_verify_alone_compares_and_writes_nothing(
    image: Path, used: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = used.read_bytes()
    assert main(["flash", str(image), str(used), "--verify"]) == exits.DIFFERENT
    assert used.read_bytes() == before
    assert "differs from the image from byte" in capsys.readouterr().err
    assert main(["flash", str(image), str(used), "--verify", "--yes"]) == exits.DONE
    assert main(["flash", str(image), str(used), "--verify"]) == exits.DONE
    assert main(["flash", str(image), str(used) + "x", "--verify"]) == exits.REFUSED


def test_json_tells_all(image: Path, used: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", str(image), str(used), "--yes", "--json"]) == exits.DONE
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["wrote"], told["written"]) == ("ok", True, 4 * MIB + 4096)
    assert told["image"] == {
        "path": str(image), "format": "raw", "bytes": 16 * MIB, "table": "gpt",
    }  # fmt: skip
    assert told["destination"]["kind"] == "file"
    assert told["compared"] >= told["written"]
    assert told["different"] == 0
    assert main(["flash", str(image), str(image), "--yes", "--json"]) == exits.REFUSED
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["code"] == "flash-itself"


def test_without_a_terminal_only_yes_agrees(
    image: Path, used: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = used.read_bytes()
    assert main(["flash", str(image), str(used)]) == exits.REFUSED
    assert used.read_bytes() == before
    assert "--yes" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "code"), [("used.img", exits.DONE), ("y", exits.REFUSED)])
def test_the_name_is_asked_for(
    image: Path, used: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return f"{answer}\n"

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["flash", str(image), str(used)]) == code


BY_HAND = [
    ("image.img", r"dd if={image} of={to} bs=4M conv=fsync status=progress"),
    (
        "image.zst",
        r"zstd -dc {image} | dd of={to} bs=4M conv=fsync status=progress iflag=fullblock",
    ),
    ("image.qcow2", r"qemu-img convert -p -f qcow2 -O raw {image} {to}"),
]


@pytest.mark.parametrize(("name", "command"), BY_HAND)
def test_the_command_by_hand_does_the_same(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, command: str
) -> None:
    given = tmp_path / name
    if name.endswith("zst"):
        given.write_bytes(zstandard.ZstdCompressor().compress(image.read_bytes()))
    elif name.endswith("qcow2"):
        run_tool(["qemu-img", "convert", "-O", "qcow2", image, given], check=True)
    to = tmp_path / "new disk.img"
    assert main(["flash", str(given), str(to)]) == exits.DONE
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("by hand: ")
    ]
    shown = line.removeprefix("by hand: ")
    assert shown == command.format(image=given, to=f"'{to}'")
    to.unlink()
    run_tool(["bash", "-c", shown], check=True, capture_output=True)
    assert to.read_bytes() == image.read_bytes()


# ---------------------------------------------------------------------- a real device


@contextmanager
def loop(file: Path) -> Iterator[Path]:
    """Shows a file as a disk."""
    said = run_tool(["losetup", "-f", "--show", file], capture_output=True, text=True, check=True)
    device = Path(said.stdout.strip())
    try:
        yield device
    finally:
        run_tool(["losetup", "-d", device], check=True)


def _loops() -> bool:
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        return False
    return run_tool(["losetup", "-f"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _loops(), reason="loop devices need root, and a machine that has them")
def test_a_real_device(image: Path, used: Path, tmp_path: Path) -> None:
    packed = tmp_path / "image.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress(image.read_bytes()))
    with loop(used) as device:
        assert main(["flash", str(packed), str(device), "--yes", "--verify"]) == exits.DONE
        assert device.read_bytes()[: 16 * MIB] == image.read_bytes()
        assert main(["flash", str(image), str(used), "--yes"]) == exits.REFUSED
        # Whoever keeps a disk to himself, in whichever container, is found by the kernel.
        held = os.open(device, os.O_RDONLY | os.O_EXCL)
        try:
            assert main(["flash", str(image), str(device), "--yes"]) == exits.FAILED
        finally:
            os.close(held)
