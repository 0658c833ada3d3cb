"""Two wizards on one spec, and files of the wizard's own that are damaged."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from tui.document import open_document
from tui.session import Session


def test_the_second_to_save_is_told_and_overwrites_nothing(tmp_path: Path) -> None:
    spec = tmp_path / "disk.toml"
    spec.write_text('schema = 1\nname = "disk"  # mine\n')
    one, two = open_document(spec), open_document(spec)

    one.save(msgspec.structs.replace(one.spec, name="first"), spec)
    with pytest.raises(OSError, match="the file changed on disk"):
        two.save(msgspec.structs.replace(two.spec, name="second"), spec)

    assert spec.read_text() == 'schema = 1\nname = "first"  # mine\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk.toml"]
    two.save(msgspec.structs.replace(two.spec, name="second"), tmp_path / "other.toml")
    one.save(msgspec.structs.replace(one.spec, name="again"), spec)


@pytest.mark.parametrize("junk", [b"", b"\xff", b'{"x": ' + b"[" * 100_000, b"{}}", b"null"])
def test_a_damaged_session_is_passed_over(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "session-999999999.json").write_bytes(junk)

    assert Session(tmp_path).unfinished() == []


def test_a_path_that_is_no_utf8_does_not_stop_the_work(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    spec = folder / "disk.toml"
    spec.write_text("schema = 1\n")
    document = open_document(spec)

    assert not Session(tmp_path / "state").keep(document, document.spec, "layout", ".")
