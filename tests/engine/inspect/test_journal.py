"""What is only in the journal yet is read from there: e2fsck, which replays it, is the judge."""

from __future__ import annotations

import random
import struct
import tarfile
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.support.tools import run_tool

KINDS = {
    "checksums": ("ext4", "-b", "1024"),
    "no checksums": ("ext4", "-b", "1024", "-O", "^metadata_csum"),
    "32 bits": ("ext4", "-b", "1024", "-O", "^64bit,^metadata_csum"),
    "4 KiB": ("ext4", "-b", "4096"),
    "ext3": ("ext3", "-b", "1024"),
    "fast commits": ("ext4", "-b", "1024", "-O", "fast_commit"),
}
MAGIC = b"\xc0\x3b\x39\x98"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    top.mkdir()
    (top / "f").write_bytes(b"A" * 20_000)
    (top / "g").write_bytes(b"G" * 3_000)
    return top


def made(tmp_path: Path, tree: Path, kind: str) -> Path:
    image = tmp_path / "fs.img"
    run_tool(
        ["mke2fs", "-q", "-F", "-t", *KINDS[kind], "-d", tree, image, "16M"], check=True,
        capture_output=True,
    )  # fmt: skip
    return image


def debugfs(image: Path, *commands: str) -> str:
    done = run_tool(
        ["debugfs", "-w", "-f", "-", image], input="\n".join(commands), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    return str(done.stdout)


def block(image: Path, index: int, name: str = "f") -> int:
    return int(debugfs(image, f"bmap {name} {index}").split()[-1])


def journalled(image: Path, writes: list[tuple[int, bytes]], *, sums: bool) -> None:
    """Leaves new contents of blocks in the journal; rising transactions, one each."""
    commands = ["jo -c" if sums else "jo"]
    for number, (place, data) in enumerate(writes):
        path = image.with_suffix(f".new{number}")
        path.write_bytes(data)
        commands.append(f"jw -b {place} {path}")
    debugfs(image, *commands, "jc")


def after_replay(image: Path, name: str, tmp_path: Path) -> bytes:
    copy = tmp_path / "replayed.img"
    copy.write_bytes(image.read_bytes())
    run_tool(["e2fsck", "-fy", copy], capture_output=True, check=False)
    out = tmp_path / "replayed"
    out.unlink(missing_ok=True)
    run_tool(["debugfs", "-R", f"dump {name} {out}", copy], capture_output=True, check=True)
    return out.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_reads_through_the_journal(
    kind: str, tmp_path: Path, tree: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    image = made(tmp_path, tree, kind)
    unit = 4096 if kind == "4 KiB" else 1024
    chance = random.Random(kind)
    sums = kind in {"checksums", "4 KiB", "fast commits"}
    writes = [
        (block(image, 0), chance.randbytes(unit)),
        (block(image, 1), MAGIC + chance.randbytes(unit - 4)),
        (block(image, 0), chance.randbytes(unit)),
        (block(image, 2), chance.randbytes(unit)),
    ]
    journalled(image, writes, sums=sums)
    expected = after_replay(image, "f", tmp_path)
    assert expected != b"A" * 20_000
    capfdbinary.readouterr()

    assert main(["inspect", str(image), "--cat", "/f"]) == 0
    assert capfdbinary.readouterr().out == expected
    archive = tmp_path / "out.tar"
    assert main(["inspect", str(image), "--extract", str(archive)]) == 0
    with tarfile.open(archive) as opened:
        member = opened.extractfile("f")
        assert member is not None
        assert member.read() == expected
    capfdbinary.readouterr()
    assert main(["inspect", str(image)]) == 0
    assert b"3 blocks are not in their places yet" in capfdbinary.readouterr().out


def test_what_was_revoked_or_never_committed_is_not_read(
    tmp_path: Path, tree: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    image = made(tmp_path, tree, "checksums")
    place, other = block(image, 0), block(image, 1)
    data = tmp_path / "new"
    data.write_bytes(b"B" * 1024)
    debugfs(
        image, "jo -c", f"jw -b {place} {data}", f"jw -r {place}", f"jw -b {other} -c {data}", "jc"
    )
    expected = after_replay(image, "f", tmp_path)
    capfdbinary.readouterr()
    assert main(["inspect", str(image), "--cat", "/f"]) == 0
    assert capfdbinary.readouterr().out == expected


def test_a_journal_that_is_damaged_is_told_and_ends_with_1(
    tmp_path: Path, tree: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    image = made(tmp_path, tree, "checksums")
    journalled(image, [(block(image, 0), b"B" * 1024)], sums=True)
    at = int(debugfs(image, "bmap <8> 0").split()[-1]) * 1024
    raw = bytearray(image.read_bytes())
    raw[at + 0x20] ^= 1
    image.write_bytes(raw)
    capfdbinary.readouterr()
    assert main(["inspect", str(image), "--cat", "/f"]) == 1
    shown = capfdbinary.readouterr()
    assert shown.out == b"A" * 20_000
    assert b"may be older than what a mount shows" in shown.err
    assert main(["inspect", str(image), "/"]) == 1
    assert main(["inspect", str(image)]) == 0
    assert b"its journal cannot be read" in capfdbinary.readouterr().out


def test_fast_commits_are_told_and_end_with_1(
    tmp_path: Path, tree: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    image = made(tmp_path, tree, "fast commits")
    journalled(image, [(block(image, 0), b"B" * 1024)], sums=False)
    first = int(debugfs(image, "bmap <8> 0").split()[-1]) * 1024
    raw = bytearray(image.read_bytes())
    blocks, _, sequence = struct.unpack_from(">III", raw, first + 16)
    (count,) = struct.unpack_from(">I", raw, first + 0x54)
    (features,) = struct.unpack_from(">I", raw, first + 40)
    struct.pack_into(">I", raw, first + 40, features | 0x20)  # as the kernel does when it mounts it
    at = int(debugfs(image, f"bmap <8> {blocks - (count or 256) + 1}").split()[-1]) * 1024
    struct.pack_into("<HHII", raw, at, 9, 8, 0, sequence + 1)
    image.write_bytes(raw)
    capfdbinary.readouterr()
    assert main(["inspect", str(image), "--cat", "/f"]) == 1
    assert b"fast commits" in capfdbinary.readouterr().err


def test_files_that_share_blocks_by_design_are_copied_whole(tmp_path: Path, tree: Path) -> None:
    (tree / "f").write_bytes(random.Random(3).randbytes(300 << 10))
    for name in "vwxyz":
        (tree / name).touch()
    image = tmp_path / "shared.img"
    run_tool(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", tree, image, "1M"],
        check=True, capture_output=True,
    )  # fmt: skip
    source = int(debugfs(image, "stat f").partition("Inode: ")[2].split()[0])
    numbers = [int(debugfs(image, f"stat {x}").partition("Inode: ")[2].split()[0]) for x in "vwxyz"]
    debugfs(image, *(f"copy_inode <{source}> <{n}>" for n in numbers), "feature shared_blocks")
    run_tool(["e2fsck", "-fy", image], capture_output=True, check=False)
    archive = tmp_path / "out.tar"
    assert main(["inspect", str(image), "--extract", str(archive)]) == 0
    with tarfile.open(archive) as opened:
        for name in "fvwxyz":
            member = opened.extractfile(name)
            assert member is not None
            assert member.read() == (tree / "f").read_bytes(), name


def test_a_name_that_is_there_twice_is_one_member_and_a_finding(
    tmp_path: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "twice.img"
    run_tool(["mke2fs", "-q", "-F", "-t", "ext2", "-d", tree, image, "1M"], check=True)
    raw = image.read_bytes()
    at = raw.index(b"\x01\x01g")
    image.write_bytes(raw[:at] + b"\x01\x01f" + raw[at + 3 :])
    archive = tmp_path / "out.tar"
    assert main(["inspect", str(image), "--extract", str(archive)]) == 1
    with tarfile.open(archive) as opened:
        assert [member.name for member in opened].count("f") == 1
    assert main(["inspect", str(image)]) == 0
    assert "/f is there twice" in capsys.readouterr().out


def test_a_fat_cut_off_gives_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "fat.img"
    run_tool(["mkfs.fat", "-C", "-n", "CUT", image, "1440"], check=True, capture_output=True)
    data = random.Random(2).randbytes(200_000)
    (tmp_path / "big").write_bytes(data)
    run_tool(["mcopy", "-i", image, tmp_path / "big", "::"], check=True)
    with image.open("r+b") as file:
        file.truncate(100_000)
    out = tmp_path / "out"
    assert main(["inspect", str(image), "--extract", str(out)]) == 1
    there = (out / "big").read_bytes()
    assert len(there) == len(data)
    assert there[:80_000] == data[:80_000]
    assert "share" not in capsys.readouterr().err
    with image.open("r+b") as file:
        file.truncate(9_760)  # in the root directory
    assert main(["inspect", str(image)]) == 0
    shown = capsys.readouterr().out
    assert "vfat" in shown
    assert "is cut off at byte" in shown


def test_what_is_encrypted_is_told_and_not_taken_for_its_contents(
    tmp_path: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "secret").mkdir()
    (tree / "secret" / "h").write_text("h")
    image = tmp_path / "encrypted.img"
    run_tool(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-O", "encrypt", "-d", tree, image, "4M"],
        check=True, capture_output=True,
    )  # fmt: skip
    debugfs(image, "set_inode_field f flags 0x80800", "set_inode_field secret flags 0x80800")
    assert main(["inspect", str(image), "--cat", "/f"]) == 1
    shown = capsys.readouterr()
    assert "A" not in shown.out
    assert "it is encrypted" in shown.err
    assert main(["inspect", str(image), "/secret"]) == 1
    assert "its names are encrypted" in capsys.readouterr().err
    out = tmp_path / "out"
    assert main(["inspect", str(image), "--extract", str(out)]) == 1
    assert "encrypted" in capsys.readouterr().err
    assert (out / "g").read_bytes() == b"G" * 3_000
    assert main(["inspect", str(image)]) == 0
    assert "/secret" in capsys.readouterr().out.replace("b'secret'", "/secret")
