"""A file system as debugfs sees it: an independent reader of what the writer has written."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.tools import run_tool

ROOT, FIRST = 2, 11


@dataclass
class Node:
    """An inode."""

    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    links: int = 0
    sectors: int = 0
    mtime_ns: int = 0
    stamps: set[tuple[int, int]] = field(default_factory=set)
    flags: int = 0
    data: bytes = b""
    rdev: int = 0
    xattrs: set[bytes] = field(default_factory=set)
    names: dict[bytes, int] = field(default_factory=dict)


def _run(image: Path, offset: int, commands: list[str]) -> tuple[bytes, str]:
    shown = run_tool(
        ["debugfs", "-f", "/dev/stdin", f"{image}?offset={offset}"],
        input="\n".join(commands).encode() + b"\n",
        capture_output=True,
        check=True,
    )
    return shown.stdout, shown.stderr.decode(errors="replace")


def _answers(image: Path, offset: int, commands: list[str]) -> Iterator[bytes]:
    """Yields what debugfs prints to each command, which it repeats before the answer."""
    rest, _ = _run(image, offset, commands)
    for command, following in zip(commands, [*commands[1:], None], strict=False):
        _, found, rest = rest.partition(b"debugfs: " + command.encode() + b"\n")
        assert found, command
        if following is None:
            yield rest
        else:
            yield rest.partition(b"debugfs: " + following.encode() + b"\n")[0]


def _time(text: bytes, name: bytes) -> tuple[int, int]:
    found = re.search(rb"^ *" + name + rb": 0x([0-9a-f]{8}):([0-9a-f]{8})", text, re.MULTILINE)
    assert found
    low, extra = int(found[1], 16), int(found[2], 16)
    return (low ^ 1 << 31) - (1 << 31) + ((extra & 3) << 32), extra >> 2


def _number(text: bytes, pattern: bytes, base: int = 10) -> int:
    found = re.search(pattern, text)
    assert found, text
    return int(found[1], base)


_TYPES = {
    b"regular": 0o100000, b"directory": 0o040000, b"symlink": 0o120000, b"FIFO": 0o010000,
    b"character special": 0o020000, b"block special": 0o060000, b"socket": 0o140000,
}  # fmt: skip


def _node(stat: bytes) -> Node:
    kind = re.search(rb"Type: ([A-Za-z ]+?) +Mode:", stat)
    assert kind
    seconds, nanoseconds = _time(stat, b"mtime")
    device = re.search(rb"\(hex ([0-9a-f]+):([0-9a-f]+)\)", stat)
    listed = stat.partition(b"Extended attributes:\n")[2]
    return Node(
        mode=_TYPES[kind[1]] | _number(stat, rb"Mode: +([0-7]+)", 8),
        uid=_number(stat, rb"User: +(-?\d+)") & 0xFFFFFFFF,  # printed as if it had a sign
        gid=_number(stat, rb"Group: +(-?\d+)") & 0xFFFFFFFF,
        size=_number(stat, rb"Size: (\d+)"),
        links=_number(stat, rb"Links: (\d+)"),
        sectors=_number(stat, rb"Blockcount: (\d+)"),
        flags=_number(stat, rb"Flags: 0x([0-9a-f]+)", 16),
        mtime_ns=seconds * 1_000_000_000 + nanoseconds,
        stamps={_time(stat, name) for name in (b"atime", b"ctime", b"crtime")},
        rdev=os.makedev(int(device[1], 16), int(device[2], 16)) if device else 0,
        xattrs=set(re.findall(rb"^  (\S+) \(\d+\)", listed, re.MULTILINE)),
    )


def _names(listing: bytes) -> dict[bytes, int]:
    """Parses `ls -p`, in which a name may hold anything but a slash."""
    fields = listing.split(b"/")
    names = {fields[at + 4]: int(fields[at]) for at in range(1, len(fields) - 6, 7)}
    names.pop(b"", None)  # an unused record
    return names


def _target(stat: bytes, size: int) -> bytes:
    """Returns the target of a link that lies in its inode."""
    start = stat.rindex(b'Fast link dest: "') + len(b'Fast link dest: "')
    return stat[start : start + size]


def read(image: Path, offset: int, inodes: int) -> dict[int, Node]:
    """Returns the root and the first so many inodes from lost+found on, with all they hold.

    Args:
        image: The image.
        offset: Byte where the file system begins.
        inodes: How many to read.
    """
    numbers = [ROOT, *range(FIRST, FIRST + inodes)]
    nodes = {}
    more = {}
    stats = _answers(image, offset, [f"stat <{number}>" for number in numbers])
    for number, stat in zip(numbers, stats, strict=True):
        node = nodes[number] = _node(stat)
        kind = node.mode >> 12
        if kind == 4:
            more[number] = f"ls -p <{number}>"
        elif kind == 10 and b"Fast link dest" in stat:
            node.data = _target(stat, node.size)
        elif kind in (8, 10):
            more[number] = f"cat <{number}>"
    for number, answer in zip(more, _answers(image, offset, list(more.values())), strict=True):
        if nodes[number].mode >> 12 == 4:
            nodes[number].names = _names(answer)
        else:
            nodes[number].data = answer
    return nodes


def xattr_values(
    image: Path, offset: int, wanted: list[tuple[int, bytes]], folder: Path
) -> list[bytes]:
    """Returns the values of extended attributes, given by inode and full name."""
    commands = [
        f"ea_get -f {folder / str(at)} <{number}> {name.decode()}"
        for at, (number, name) in enumerate(wanted)
    ]
    _, errors = _run(image, offset, commands)
    assert len(errors.splitlines()) == 1, errors
    values = []
    for at in range(len(wanted)):
        place = folder / str(at)
        values.append(place.read_bytes())
        place.unlink()
    return values


def inode(image: Path, offset: int, number: int) -> Node:
    """Returns one inode without its contents."""
    return _node(next(_answers(image, offset, [f"stat <{number}>"])))


def seen(name: bytes, value: bytes) -> bytes:
    """Returns an attribute's value as libext2fs gives it: an ACL's id of nobody is 0 there."""
    if not name.startswith(b"system.posix_acl"):
        return value
    entries = [
        struct.pack("<HHI", tag, bits, identity if tag in (2, 8) else 0)
        for tag, bits, identity in struct.iter_unpack("<HHI", value[4:])
    ]
    return value[:4] + b"".join(entries)


def listing(image: Path, offset: int, number: int) -> dict[bytes, int]:
    """Returns the names in a directory and their inodes."""
    return _names(next(_answers(image, offset, [f"ls -p <{number}>"])))


def htree(image: Path, offset: int, number: int) -> bytes:
    """Returns what debugfs tells of a directory's index."""
    return next(_answers(image, offset, [f"htree_dump <{number}>"]))


def pieces(image: Path, offset: int, number: int) -> Iterator[bytes]:
    """Yields a file of any size, a MiB at a time."""
    command = ["debugfs", "-R", f"cat <{number}>", f"{image}?offset={offset}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        while piece := process.stdout.read(1 << 20):
            yield piece
