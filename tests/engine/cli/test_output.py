"""What a command writes its answer to: full, of another encoding, a link, a file half written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.cli import exits
from engine.cli.textfile import put
from engine.image.whole import zeros
from tests.support.command import command
from tests.support.specs import write_spec

_LIMIT = 4096


def full(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    with Path("/dev/full").open("wb") as output:
        return subprocess.run(
            (*command(), *argv), stdout=output, stderr=subprocess.PIPE, text=True, check=False
        )


@contextmanager
def small_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_output_is_not_a_fault_of_the_image(tmp_path: Path) -> None:
    image = tmp_path / "image.img"
    image.write_bytes(b"".join(zeros(1 << 20)))

    for argv in (("inspect", image), ("inspect", image, "--json"), ("diff", image, image)):
        ran = full(*argv)
        assert ran.returncode == exits.FAILED
        assert "standard output cannot be written: No space left on device" in ran.stderr


def test_what_the_encoding_lacks_is_shown_by_its_code(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    ran = subprocess.run(
        (sys.executable, "-P", "-m", "engine.cli", "plan", spec, "--set", "name=b\u00e4r"),
        capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout[:8]) == (exits.DONE, rb"b\xe4r: ")


def test_an_output_folder_that_is_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    (tmp_path / "out").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")

    for outdir in ("out", "out/below", "loop", "loop/below"):
        ran = subprocess.run(
            (*command(), "build", spec, "-o", tmp_path / outdir), capture_output=True, text=True
        )
        assert ran.returncode == exits.REFUSED
        assert "is not a folder that you can write to" in ran.stderr
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("there", [None, "before"])
def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path, there: str | None) -> None:
    path = tmp_path / "spec.toml"
    if there is not None:
        path.write_text(there)

    with small_files(), pytest.raises(OSError, match="File too large"):
        put(path, "x" * (_LIMIT + 1), force=there is not None)

    assert [one.name for one in tmp_path.iterdir()] == (["spec.toml"] if there else [])
    assert there is None or path.read_text() == there


def test_a_text_goes_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_text("before")

    put(tmp_path / "link", "after", force=True)

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "after"
    with pytest.raises(FileExistsError):
        put(tmp_path / "link", "again")
