"""A text is never taken for a disk image: not booted, grown, compared or written to a disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.main import main

VERBS = {
    "boot": ("boot", "TEXT"),
    "grow": ("grow", "TEXT", "--to", "1GiB"),
    "diff": ("diff", "IMAGE", "TEXT"),
    "flash": ("flash", "TEXT", "NEW", "--yes"),
    "inspect": ("inspect", "TEXT"),
}
TEXTS = {
    "a spec": 'schema = 1\nname = "x"\n',
    "a kickstart file of wic (.wks)": "part / --fstype=ext4 --size 10\n",
    "a text": "0123  disk.img\n",
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("what", TEXTS)
def test_a_text_is_named_as_what_it_is(
    verb: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"TEXT": tmp_path / "t", "IMAGE": tmp_path / "d.img", "NEW": tmp_path / "new"}
    places["TEXT"].write_text(TEXTS[what])
    places["IMAGE"].write_bytes(bytes(1 << 20))
    assert main([str(places.get(word, word)) for word in VERBS[verb]]) == 2
    assert f"{places['TEXT']} is {what}, not a disk image" in capsys.readouterr().err
    assert not places["NEW"].exists()


def test_verify_is_told_the_folder_of_an_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "d.img"
    image.write_bytes(bytes(4096))
    assert main(["verify", str(image)]) == 2
    said = capsys.readouterr().err
    assert (
        f"{image} is a file, not the output folder of a build (diskwright verify {tmp_path})"
        in said
    )


@pytest.mark.parametrize(
    "words",
    [
        ("import", "TEXT", "-o", ""), ("inspect", ""), ("diff", "", "TEXT"), ("boot", ""),
        ("verify", ""), ("export", "TEXT", "-o", ""), ("replay", ""), ("serve", ""),
        ("inspect", "TEXT", "--extract", ""), ("check", "TEXT", "--keep", ""),
    ],
)  # fmt: skip
def test_an_empty_path_is_no_folder(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "t"
    text.write_text(TEXTS["a spec"])
    with pytest.raises(SystemExit) as ended:
        main([str(text) if word == "TEXT" else word for word in words])
    assert ended.value.code == 2
    assert "the path is empty" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["plan", "explain"])
def test_a_full_disk_under_the_output_is_no_fault_of_ours(verb: str, tmp_path: Path) -> None:
    text = tmp_path / "t.toml"
    text.write_text(TEXTS["a spec"])
    words = [verb, *([str(text)] if verb == "plan" else [])]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "engine.cli", *words],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"
