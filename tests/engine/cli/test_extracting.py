"""`inspect --cat` and `inspect --extract` as a person calls them."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.cli import exits
from engine.cli.main import main
from tests.support.full import in_small_tmpfs
from tests.support.tools import run_tool

DATA = bytes(range(256)) * 1000
TEXT = 'NAME="demo"\tü\n'


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    tree = folder / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "usr" / "lib").mkdir(parents=True)
    (tree / "usr" / "lib" / "os-release").write_text(TEXT)
    (tree / "etc" / "os-release").symlink_to("../usr/lib/os-release")
    (tree / "etc" / "up").symlink_to("../../../usr/lib/os-release")
    (tree / "etc" / "host").symlink_to("/etc/hostname")
    (tree / "lib").symlink_to("/usr/lib")
    (tree / "loop").symlink_to("loop")
    (tree / "data").write_bytes(DATA)
    (tree / "evil").write_bytes(b"a\x1b[2Jb\xc2\x9bc\xff\rd\n")
    with (tree / "sparse").open("wb") as file:
        file.seek(3_000_000)
        file.write(b"end")
        file.truncate(5_000_000)
    os.mkfifo(tree / "pipe")
    path = folder / "disk.img"
    run_tool(("mke2fs", "-q", "-t", "ext4", "-d", tree, path, "16M"), check=True)
    return path


def diskwright(*argv: str | Path, **options: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "engine.cli", *map(str, argv)]
    return subprocess.Popen(
        command, stdout=options.get("stdout", subprocess.PIPE), stderr=subprocess.PIPE
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data", DATA),
        ("/sparse", bytes(3_000_000) + b"end" + bytes(1_999_997)),
        ("etc/os-release", TEXT.encode()),
        ("/lib/os-release", TEXT.encode()),
        ("/etc/up", TEXT.encode()),
        ("/etc/../usr/./lib/os-release", TEXT.encode()),
        ("/evil", b"a\x1b[2Jb\xc2\x9bc\xff\rd\n"),
    ],
)
def test_cat_writes_the_bytes(
    image: Path, path: str, expected: bytes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["inspect", str(image), "--cat", path]) == exits.DONE

    out, err = capfdbinary.readouterr()
    assert out == expected
    assert err == b""


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--cat"], "--cat needs the path of a file"),
        (["--cat", "/etc"], "/etc is not a regular file (drwxr-xr-x)"),
        (["--cat", "/pipe"], "/pipe is not a regular file (prw"),
        (["--cat", "/none"], "disk has no /none"),
        (["--cat", "/etc/host"], "disk has no /etc/host"),
        (["--cat", "/loop"], "circles of symlinks"),
        (["--extract", "dest", "/none"], "disk has no /none"),
        (["--extract", "dest", "/pipe"], "/pipe is neither a file nor a directory"),
        (["--extract", "."], ". exists, and nothing is overwritten"),
        (["--extract", "no/dest"], "no/dest cannot be made"),
    ],
)
def test_what_cannot_be_had_is_refused(
    image: Path, tmp_path: Path, argv: list[str], message: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)

    assert main(["inspect", str(image), *argv]) == exits.REFUSED

    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(f"error: .*{re.escape(message)}.*\nmore: diskwright explain .*\n", err)
    assert list(tmp_path.iterdir()) == []


def test_a_path_may_follow_options(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(image), "--json", "/lib/os-release"]) == exits.DONE

    assert '"path": "/usr/lib/os-release"' in capsys.readouterr().out


def test_cat_into_a_reader_that_has_seen_enough(image: Path) -> None:
    with diskwright("inspect", image, "--cat", "/sparse") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10) == bytes(10)
        process.stdout.close()
        assert process.stderr.read() == b""


def test_cat_to_a_full_disk_says_so(image: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = diskwright("inspect", image, "--cat", "/data", stdout=full.fileno())
        _, err = process.communicate(timeout=60)

    assert process.returncode == exits.FAILED
    assert err == b"error: standard output: No space left on device\n"


def test_a_terminal_sees_what_it_would_otherwise_act_on(image: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        process = diskwright("inspect", image, "--cat", "/evil", stdout=theirs)
        process.communicate(timeout=60)
        shown = os.read(ours, 1000)
    finally:
        os.close(ours)
        os.close(theirs)

    assert process.returncode == exits.DONE
    assert shown == rb"a\x1b[2Jb\x9bc\xff\rd" + b"\r\n"


def test_extract_tells_what_it_did(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dest = tmp_path / "dest"

    assert main(["inspect", str(image), "--extract", str(dest)]) == exits.DONE

    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith(f"{dest}: files 4, directories 5, symlinks 5, data ")
    assert err.splitlines()[1].startswith("note: devices, FIFOs and sockets left out")
    assert (dest / "data").read_bytes() == DATA


def test_damage_fails_and_leaves_the_rest(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, dest = tmp_path / "broken.img", tmp_path / "dest"
    broken.write_bytes(image.read_bytes())
    request = "set_inode_field /data block[0] 0"
    run_tool(("debugfs", "-w", "-R", request, broken), check=True, capture_output=True)

    assert main(["inspect", str(broken), "--extract", str(dest)]) == exits.FAILED

    err = capsys.readouterr().err
    assert "note: damaged or not to be made here: /data (extent node" in err
    assert err.endswith("error: entries missing or not whole: 1\n")
    assert (dest / "usr" / "lib" / "os-release").read_text() == TEXT


def test_a_file_that_cannot_be_is_not_written(
    image: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.img"
    broken.write_bytes(image.read_bytes())
    request = "set_inode_field /data size 9223372036854775807"
    run_tool(("debugfs", "-w", "-R", request, broken), check=True, capture_output=True)

    assert main(["inspect", str(broken), "--cat", "/data"]) == exits.REFUSED

    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: /data: a size of 9,223,372,036,854,775,807 bytes")


def test_a_damaged_entry_does_not_hide_the_others(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.img"
    broken.write_bytes(image.read_bytes())
    request = "set_inode_field /data block[0] 0"
    run_tool(("debugfs", "-w", "-R", request, broken), check=True, capture_output=True)

    assert main(["inspect", str(broken), "/"]) == exits.FAILED

    out, err = capsys.readouterr()
    assert {line.split()[6] for line in out.splitlines()} >= {"etc", "sparse", "pipe"}
    assert err.startswith("warning: /data cannot be read: ")


@pytest.mark.parametrize("where", ["²:/", "9" * 5000 + ":/", "01:/"])
def test_no_number_of_a_partition(
    image: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(image), where]) == exits.REFUSED

    assert "no file system is known in partition" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["dest", "dest.tar"])
def test_a_destination_without_room(image: Path, tmp_path: Path, name: str) -> None:
    small = tmp_path / "small"
    script = '"$@"; status=$?; ls -A "$0"; exit $status'
    command = (sys.executable, "-m", "engine.cli", "inspect", str(image), "--extract")

    ran = in_small_tmpfs(small, 128, "sh", "-c", script, str(small), *command, str(small / name))

    assert ran.returncode == exits.REFUSED
    assert re.fullmatch(
        r"error: \S+ has no room for \S+: it needs at least \S+ KiB \([\d,]+ bytes\), \S+ KiB "
        r"\([\d,]+ bytes\) are free \(free at least \S+ KiB there, or name another place\)\n"
        r"more: diskwright explain no-room\n",
        ran.stderr,
    )
    assert ran.stdout == ""


def test_a_destination_that_runs_full(image: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    script = '"$@"; status=$?; ls -A "$0"; exit $status'
    command = (sys.executable, "-m", "engine.cli", "inspect", str(image), "--extract")

    # The data would fit, but not with its names.
    into = str(small / "x.tar")
    ran = in_small_tmpfs(small, 4, "sh", "-c", script, str(small), *command, into, "/usr")

    assert ran.returncode == exits.FAILED
    assert "x.tar cannot be written: No space left on device, after 3 entries with " in ran.stderr
    assert ran.stderr.endswith("nothing is left there\n")
    assert ran.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    image, parent = tmp_path / "large.img", tmp_path / "parent"
    parent.mkdir()
    run_tool(("mke2fs", "-q", "-t", "ext2", image, "1200M"), check=True)
    (tmp_path / "empty").touch()
    # A gigabyte of blocks that take no room in the image, yet are no hole in the file.
    requests = (
        f"write {tmp_path}/empty large\nfallocate large 0 262143\nsif large size 1073741824\n"
    )
    command = ("debugfs", "-w", "-f", "-", image)
    subprocess.run(command, input=requests, text=True, check=True, capture_output=True)

    process = diskwright("inspect", image, "--extract", parent / "dest.tar")
    while not list(parent.glob(".*/content")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)

    assert process.returncode == exits.CANCELLED
    assert err == b"cancelled: nothing is left there\n"
    assert list(parent.iterdir()) == []
