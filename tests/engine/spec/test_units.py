"""Sizes: the grammar, exactness, and numfmt's own answers."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.units import (
    GIB,
    KIB,
    MAX_SIZE,
    MIB,
    TIB,
    format_exact,
    human,
    in_bytes,
    numfmt_iec,
    parse_size,
    sized,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("1B", 1),
        ("512K", 512 * KIB),
        ("512M", 512 * MIB),
        ("4G", 4 * GIB),
        ("2T", 2 * TIB),
        ("512KiB", 512 * KIB),
        ("512 MiB", 512 * MIB),
        ("  512MiB ", 512 * MIB),
        ("512mib", 512 * MIB),
        ("512Mi", 512 * MIB),
        ("1TiB", TIB),
        ("1KB", 1000),
        ("256MB", 256_000_000),
        ("4GB", 4_000_000_000),
        ("1TB", 10**12),
        ("1.5GiB", 1610612736),
        ("0.5G", GIB // 2),
        (".5G", GIB // 2),
        ("0.1KiB", 103),
        ("1.1G", 1181116007),
        ("7.999999999999999999E", 9223372036854775807),
    ],
)
def test_reads(text: int | str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (-1, "negative"),
        ("-5MiB", "negative"),
        ("", "not a size"),
        ("MiB", "not a size"),
        ("1,5G", "not a size"),
        ("1e3", "not a size"),
        ("0x10", "not a size"),
        ("12 foo", "not a unit"),
        ("1.5.2G", "not a size"),
        ("+64M", "write the whole size"),
        ("64 M B", "not a size"),
        ("\uff15M", "not a size"),
        ("auto", "not a size"),
        ("50%", "not a size"),
        ("8E", "more than"),
        (MAX_SIZE + 1, "more than"),
        ("9" * 40, "more than"),
        ("9" * 5000, "not a size"),
    ],
)
def test_refuses(text: int | str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_size(text)


def test_a_bare_number_counts_what_the_key_says() -> None:
    assert parse_size(1024, bare=MIB) == GIB
    assert parse_size("1024", bare=MIB) == GIB
    assert parse_size("1024B", bare=MIB) == 1024


@given(st.integers(0, MAX_SIZE), st.sampled_from([1, MIB]))
def test_exact_text_reads_back(size: int, bare: int) -> None:
    assert parse_size(format_exact(size), bare=bare) == size


@given(st.integers(0, 10**6), st.integers(0, 999), st.sampled_from("KMGT"))
def test_decimals_are_exact(whole: int, thousandths: int, unit: str) -> None:
    factor = 1 << 10 * (1 + "KMGT".index(unit))
    scaled = (whole * 1000 + thousandths) * factor
    assert parse_size(f"{whole}.{thousandths:03}{unit}") == -(-scaled // 1000)


@given(st.text(max_size=20))
def test_nonsense_is_refused_with_words_never_a_crash(text: str) -> None:
    message = ""
    size = 0
    try:
        size = parse_size(text)
    except ValueError as problem:
        message = str(problem)
    assert 0 <= size <= MAX_SIZE
    assert not message or len(message) > 10


@pytest.mark.skipif(shutil.which("numfmt") is None, reason="numfmt (coreutils) is not there")
@pytest.mark.parametrize(
    "text",
    ["0", "512", "00012M", "512K", "1.5G", "0.5G", ".5G", "1.1G", "1.0001K", "1.5", "1.", "1.G",
     "512MiB", "256MB", "512m", "1Gi", "foo", "", "+64M", "64 M", "1e3", "1,5G", "7E",
     "1.23456789012345678901G", " 64M", "0.0000000001K"],
)  # fmt: skip
def test_numfmt_agrees(text: str) -> None:
    tool = subprocess.run(
        ["numfmt", "--from=iec", "--", text], capture_output=True, text=True, check=False
    )
    answer = tool.stdout.strip()
    if tool.returncode == 0 and answer.isdigit():
        assert numfmt_iec(text) == int(answer)
    else:
        with pytest.raises(ValueError, match="numfmt"):
            numfmt_iec(text)


def test_human_is_binary_and_has_units() -> None:
    assert human(GIB) == "1.0 GiB"
    assert human(236 * MIB) == "236.0 MiB"
    assert human(12) == "12 B"


@pytest.mark.parametrize(
    ("size", "exact", "both"),
    [
        (0, "0 bytes", "0 bytes"),
        (1, "1 byte", "1 byte"),
        (1023, "1,023 bytes", "1,023 bytes"),
        (1024, "1,024 bytes", "1.0 KiB (1,024 bytes)"),
        (MIB, "1,048,576 bytes", "1.0 MiB (1,048,576 bytes)"),
    ],
)
def test_a_number_of_bytes_for_a_person(size: int, exact: str, both: str) -> None:
    assert (in_bytes(size), sized(size)) == (exact, both)


_OF_A_UNIT = re.compile(r"\b(sectors|blocks|clusters|inodes|nodes|entries) of (2\^)?$")
"""What is measured in units of a fixed size names that size: "sectors of 4096 bytes"."""


def _texts(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yields the text before a placeholder that "bytes" follows, and its line."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
        for before, part, after in zip(["", *parts], parts, parts[1:], strict=False):
            if part is None and re.match(r"\s+bytes?\b", str(after)):
                yield str(before), node.lineno


def test_every_number_of_bytes_is_written_by_one_function() -> None:
    root = Path(engine.__file__).parent.parent
    files = [path for room in ("engine", "tui") for path in (root / room).rglob("*.py")]
    found = [
        f"{path.relative_to(root)}:{line}"
        for path in files
        for text, line in _texts(ast.parse(path.read_text()))
        if not _OF_A_UNIT.search(text)
    ]
    # The function itself, and the lines that are make-disk-image's own, word for word.
    allowed = {"engine/units.py": 1, "engine/plan/as_text.py": 5}
    assert Counter(place.rpartition(":")[0] for place in found) == allowed, found
