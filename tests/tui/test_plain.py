"""The wizard as questions and answers: what it asks, what it makes of the answers."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from engine.cli import exits
from engine.planning import plan_spec
from engine.spec.model import ImageSpec, Layout, Nix, Size, VolumeEntry
from tests.e2e.terminal import Terminal
from tui.document import Document
from tui.fields import OUTDIR
from tui.plain import Interview
from tui.plain_plan import spoken
from tui.plain_questions import QUESTIONS

ROOT = Path(__file__).parents[2]


FILES = ("root.img", "SHA256SUMS", "manifest.json", "build.jsonl")
"""What a build of the bare file system writes."""


def answer(
    folder: Path, *answers: str, document: Document | None = None
) -> tuple[int, str, Interview]:
    """Returns exit status, transcript and the interview after all answers."""
    out = io.StringIO()
    source = io.StringIO("".join(f"{line}\n" for line in answers))
    interview = Interview(document, source=source, out=out, folder=folder, environment={})
    return interview.run(), out.getvalue(), interview


def test_all_defaults_build_an_image(home: Path) -> None:
    # A bare file system needs no boot size: preset, seven questions, save, build.
    status, said, _ = answer(home, "4", "", "", "", "", "", "", "", "", "", "y")
    assert status == exits.DONE
    assert "GPT" not in said.split("Save the spec")[0].split("Output folder")[1]
    assert (home / "out" / "root.img").is_file()
    assert "sha256" in said


def test_answers_shape_the_spec(home: Path) -> None:
    status, said, interview = answer(
        home, "Hybrid stick", "efi", "", "128MiB", "64MiB", "none",
        "rootfs/", "/srv", "gone", "", "-2", "", "box", "qcow2", "images", "box.toml", "n",
    )  # fmt: skip
    assert status == exits.DONE, said
    spec = interview.spec
    assert (spec.layout.table, spec.size.disk, spec.size.boot) == ("efi", "128MiB", "64MiB")
    assert [(entry.source, entry.target) for entry in spec.contents] == [("rootfs/", "/srv")]
    assert (spec.name, spec.output.format) == ("box", "qcow2")
    assert tomllib.loads((home / "box.toml").read_text())["layout"]["table"] == "efi"
    assert not (home / "images").exists()
    assert "Nothing was built" in said


def test_volumes_are_added_and_removed(home: Path) -> None:
    """A home with free space, swap by number, a share, a raw blob; one wrong answer each."""
    (home / "u-boot.img").write_bytes(b"u" * 3000)
    _, said, interview = answer(
        home, "1", "efi",
        "fridge",
        "home", "", "", "+ 64MiB",
        "swap", "", "2MiB",
        "data", "home", "", "",  # an id that is taken
        "vault", "/vault", "a lot",
        "", "", "share 2",
        "raw", "", "u-boot.img", "",
        "-9", "-4", "",
    )  # fmt: skip
    assert interview.spec.volume == (
        VolumeEntry(id="home", free="64MiB"),
        VolumeEntry(id="vault", mount="/vault", grow=2),
        VolumeEntry(id="blob", role="raw", source="u-boot.img", offset="8KiB"),
    )
    for told in ("Not one of these: fridge", "second-root: ", "error: id is another volume's",
                 '"a lot" is not a size', "There is no volume 9"):  # fmt: skip
        assert told in said


def test_a_wrong_answer_is_explained_and_asked_again(home: Path) -> None:
    _, said, interview = answer(home, "7", "4", "", "huge", "32MiB")
    assert "Not one of these: 7" in said
    assert '"huge" is not a size' in said
    assert interview.spec.size.disk == "32MiB"


def test_help_and_going_back(home: Path) -> None:
    _, said, interview = answer(home, "4", "", "?", "<", "efi", "")
    assert "1024" in said
    assert interview.spec.layout.table == "efi"


def test_a_fix_is_offered_and_made(home: Path) -> None:
    (home / "rootfs" / "big").write_bytes(b"x" * 3_000_000)
    document = Document(spec=ImageSpec(layout=Layout(table="none"), size=Size(disk="1MiB")),
                        base=home)  # fmt: skip
    _, said, interview = answer(
        home, "", "", "", "rootfs/", "", "", "", "", "", "y", "", "n", document=document
    )
    assert "Fix it" in said
    assert interview.spec.size.disk != "1MiB"


@pytest.mark.parametrize("count", range(1, 11))
def test_the_end_of_the_input_ends_it_anywhere(home: Path, count: int) -> None:
    status, said, _ = answer(home, "4", *[""] * (count - 1))
    assert status == exits.CANCELLED
    assert "nothing was built" in said
    assert not (home / "out").exists()


def test_what_is_there_is_not_replaced_unasked(home: Path) -> None:
    out = home / "out"
    out.mkdir()
    for name in FILES:
        (out / name).write_text("precious")
    status, said, _ = answer(home, "4", "", "", "", "", "", "", "", "", "", "y", "n")
    assert status == exits.DONE
    assert f"Replace {', '.join(FILES)}" in said
    assert all((out / name).read_text() == "precious" for name in FILES)


def test_every_question_can_be_explained() -> None:
    assert all(question.help for question in QUESTIONS)
    assert len({question.path for question in QUESTIONS}) == len(QUESTIONS)


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", "HOME": str(home)}


def test_pipes_will_do(home: Path) -> None:
    result = subprocess.run(
        (sys.executable, "-m", "engine.cli", "--plain"),
        input="4\n" + "\n" * 9 + "y\n",
        capture_output=True, text=True, cwd=home, env=environment(home),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert (home / "out" / "root.img").is_file()
    assert "\x1b" not in result.stdout


def test_a_dumb_terminal_gets_questions(home: Path) -> None:
    argv = (sys.executable, "-m", "engine.cli")
    with Terminal(argv, cwd=home, env=environment(home), size=(80, 60)) as terminal:
        terminal.wait_for("Preset, 1 to 6")
        terminal.press("\x04")
        terminal.wait_for("nothing was built")
        assert terminal.wait() == exits.CANCELLED
        assert b"\x1b" not in terminal.raw


def test_steps_are_numbered_without_gaps(home: Path) -> None:
    _, said, _ = answer(home, "4", "", "", "", "", "", "", "", "", "", "n")
    numbers = re.findall(r"^(\d+) of (\d+), ", said, re.MULTILINE)
    assert numbers == [(str(number), "8") for number in range(1, 9)]


def test_nothing_is_built_by_default(home: Path) -> None:
    status, said, _ = answer(home, "4", "", "", "", "", "", "", "", "", "", "")
    assert status == exits.DONE
    assert "Nothing was built" in said
    assert not (home / "out").exists()


def test_the_systems_own_loader_is_offered_with_a_system_alone() -> None:
    loaders = next(one for one in QUESTIONS if one.path == "boot.loader").choices
    efi = ImageSpec(layout=Layout(table="efi"))
    assert "nixos" not in {one.value for one in loaders(efi)}
    with_system = msgspec.structs.replace(efi, nix=Nix(system="/nix/store/x"))
    assert "nixos" in {one.value for one in loaders(with_system)}


def test_help_says_more_than_the_question() -> None:
    for question in QUESTIONS:
        if question.path != OUTDIR:
            said = question.help + "".join(one.why for one in question.choices(ImageSpec()))
            assert len(said) > 60, question.path


def test_a_plan_is_read_out_without_drawings_or_columns(home: Path) -> None:
    plan = plan_spec(ImageSpec(layout=Layout(table="hybrid")), base=home)
    lines = list(spoken(plan))
    assert lines[0].startswith("disk: a disk of ")
    assert lines[0].endswith(", with GPT.")
    assert any(line.startswith("Partition 3, root, ext4, mounted at /: ") for line in lines)
    assert not any("  " in line or "--" in line or "##" in line for line in lines)
    assert "It writes disk.img, SHA256SUMS, manifest.json, build.jsonl." in lines
