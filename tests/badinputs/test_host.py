"""What the machine refuses: folders, permissions, names on the command line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.badinputs.trees import make
from tests.support.folders import contents_of
from tests.support.ordinary import as_nobody

SPEC = 'schema = 1\n[[contents]]\nsource = "tree"\ntarget = "/"\n'


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can look into, with a spec and its tree."""
    with tempfile.TemporaryDirectory(prefix="diskwright-host-") as at:
        place = Path(at)
        place.chmod(0o755)
        make("", place)
        (place / "spec.toml").write_text(SPEC)
        (place / "home").mkdir()
        yield place


def test_an_output_folder_that_only_others_may_write_to(folder: Path) -> None:
    out = folder / "out"
    out.mkdir(mode=0o555)
    before = contents_of(out)

    ran = as_nobody(folder / "home", "build", str(folder / "spec.toml"), "-o", str(out))

    assert ran.returncode == 2
    assert f"{out} is not a folder that you can write to" in ran.stderr
    assert contents_of(out) == before


def test_a_file_that_only_others_may_read(folder: Path) -> None:
    shadow = folder / "tree" / "etc" / "shadow"
    shadow.write_text("secret")
    shadow.chmod(0)
    out = folder / "home" / "out"

    ran = as_nobody(folder / "home", "build", str(folder / "spec.toml"), "-o", str(out))

    assert ran.returncode == 2
    assert f"contents[0].source: {shadow} cannot be read (Permission denied)" in ran.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/none.toml"], "there is no such file"),
        (["{}/tree"], "is a folder, not a spec file"),
        (["{}/big"], "is over 16,777,216 bytes"),
        (["{}/spec.toml", "--set", "size.disk"], '"size.disk" has no ='),
        (["{}/spec.toml", "--set", "=4"], "has no key path before the ="),
        (["{}/spec.toml", "--set", "size.dsk=4"], 'size.dsk: unknown key, set to 4 (did you mean'),
        (["{}/spec.toml", "--set", "contents[7].target=/x"], "names entry 7 of contents"),
        (["{}/spec.toml", "--set", "layout.table=gtp"], 'layout.table: is "gtp"'),
        (["{}/spec.toml", "--contents", "{}/nowhere"], "{}/nowhere does not exist"),
        (["{}/spec.toml", "--events", "{}/no/such/file"], "No such file or directory"),
    ],
)  # fmt: skip
def test_arguments_that_lead_nowhere(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "big").open("wb") as file:
        file.truncate(1 << 30)
    before = contents_of(folder)
    words = [word.replace("{}", str(folder)) for word in arguments]

    assert main(["build", *words, "-o", str(folder / "out")]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert message.replace("{}", str(folder)) in err
    assert contents_of(folder) == before


def test_an_output_folder_that_is_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "out").write_text("mine")

    assert main(["build", str(folder / "spec.toml"), "-o", str(folder / "out")]) == 2

    assert f"{folder}/out is not a folder that you can write to" in capsys.readouterr().err
    assert (folder / "out").read_text() == "mine"
