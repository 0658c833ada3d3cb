"""What the page of an image stands on: excerpts of files, an image lent out, copies all or none."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.image.container import BadImage
from engine.importers.files import extract_all
from engine.importers.image import with_archives
from engine.importers.model import free_name
from engine.inspect.image import open_image
from engine.manifest.progress import ScanCancelled
from engine.problem import Refused
from engine.spec.model import ImageSpec
from tests.tui.images import made
from tui.excerpt import MOST_BYTES, MOST_LINES, byte_lines, is_text, text_lines
from tui.extraction import summary
from tui.facts import facts_of
from tui.shared_image import SharedImage


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))), st.integers(0, 4))
def test_text_is_text_wherever_it_is_cut(text: str, cut: int) -> None:
    raw = text.encode()
    assert is_text(raw[: max(len(raw) - cut, 0)])


@pytest.mark.parametrize("raw", [b"\0", b"a\x01b", b"\xff\xfe", b"ok\x7f", b"\xc3\x28"])
def test_bytes_are_no_text(raw: bytes) -> None:
    assert not is_text(raw)


@given(st.binary(max_size=600))
def test_every_byte_stands_in_its_row(raw: bytes) -> None:
    lines = byte_lines(raw)
    assert b"".join(bytes.fromhex(line[8:58]) for line in lines) == raw
    assert all(line.isprintable() for line in lines)


@given(st.binary(max_size=300))
def test_lines_lose_nothing_but_their_ends(raw: bytes) -> None:
    lines = text_lines(raw)
    assert all("\n" not in line for line in lines)
    whole = "\n".join(lines).encode("utf-8", "surrogateescape")
    assert whole.replace(b"\r", b"") == raw.removesuffix(b"\n").replace(b"\r", b"")


def test_a_file_of_line_ends_is_bounded() -> None:
    assert len(text_lines(b"\n" * MOST_BYTES)) == MOST_LINES


async def test_a_lent_image_is_closed_by_its_last_reader(home: Path) -> None:
    await made(home, "one", "none")
    lent = SharedImage(open_image(home / "made" / "one.img"))
    with lent as image:
        lent.close()
        assert len(image.disk.read(0, 512)) == 512
    with pytest.raises(OSError, match="descriptor"):
        image.disk.read(0, 512)
    lent.close()
    with pytest.raises(BadImage, match="closed"), lent:
        pass


async def test_of_several_copies_all_are_made_or_none(home: Path) -> None:
    await made(home, "one", "efi")
    lent = SharedImage(open_image(home / "made" / "one.img"))
    with lent as image:
        esp, root = (part.filesystem for part in image.parts)
        assert esp is not None
        assert root is not None
        tops = esp.lookup(b""), root.lookup(b"")
        assert tops[0] is not None
        assert tops[1] is not None
        (home / "there.tar").touch()
        first, second = home / "first", home / "second.tar"
        for wanted, stop, error in (
            ([(root, tops[1], first), (esp, tops[0], home / "there.tar")], False, Refused),
            ([(root, tops[1], second), (esp, tops[0], home / "e")], True, ScanCancelled),
        ):
            with pytest.raises(error):
                extract_all(wanted, lambda _entries, _bytes: None, partial(bool, stop))
            assert not first.exists()
            assert not second.exists()
        done = extract_all(
            [(root, tops[1], first), (esp, tops[0], second)],
            lambda _entries, _bytes: None,
            lambda: False,
        )
    lent.close()
    assert (first / "etc" / "hostname").read_text() == "lab\n"
    assert done.files == 3
    assert "3 files" in summary(done)


def test_an_archive_never_takes_a_name_that_is_there(tmp_path: Path) -> None:
    assert free_name(tmp_path, "a") == tmp_path / "a.tar"
    (tmp_path / "a.tar").symlink_to("nowhere")
    (tmp_path / "a-2.tar").touch()
    assert free_name(tmp_path, "a") == tmp_path / "a-3.tar"


def test_archives_become_contents() -> None:
    spec = with_archives(ImageSpec(), {"root": "r.tar", "esp": "e.tar"})
    assert [(c.source, c.target, c.extract, c.volume) for c in spec.contents] == [
        ("r.tar", "/", True, None),
        ("e.tar", "/", True, "esp"),
    ]


def test_long_lists_of_facts_are_counted() -> None:
    report = {
        "system": [],
        "disk": {"table": "none"},
        "boots": {},
        "findings": [f"finding {number}" for number in range(100)],
    }
    facts = facts_of(report)
    assert all(fact.warns and fact.name == "Wrong" for fact in facts)
    assert facts[-1].text == "and 92 more"
