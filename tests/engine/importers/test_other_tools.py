"""Files of other tools imported: the whole spec and every note, as recorded beside them.

The cases are of the kinds that the tools' own examples and tests have: repart.d(5) and mkosi's
documentation, wic's canned files, genimage's test configurations.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.problem import errors
from engine.spec.load import loads
from engine.spec.resolve import resolve

GIVEN = Path(__file__).parent / "given"
CASES = sorted(path.name for path in GIVEN.iterdir() if (GIVEN / f"{path.name}.toml").exists())


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """The files, in a folder of their own."""
    return Path(shutil.copytree(GIVEN, tmp_path / "given", symlinks=True))


def test_every_file_is_a_case_or_included_by_one() -> None:
    files = {path.name for path in GIVEN.iterdir() if path.suffix != ".toml"}

    assert files - set(CASES) == {"more.inc", "tail.wks"}


@pytest.mark.parametrize("name", CASES)
def test_what_a_file_becomes(
    given: Path, capsys: pytest.CaptureFixture[str], name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for variable in ("IMAGE_ROOTFS", "GENIMAGE_ROOTPATH", "GENIMAGE_INPUTPATH"):
        monkeypatch.delenv(variable, raising=False)

    assert main(["import", str(given / name)]) == 0

    said = capsys.readouterr()
    recorded = (GIVEN / f"{name}.toml").read_text()
    assert said.out.replace(str(given), "/FOLDER") == recorded
    notes = [line.removeprefix("# ") for line in recorded.splitlines() if line.startswith("# ")]
    told = said.err.replace(str(given), "/FOLDER").splitlines()
    assert [line.removeprefix("warning: ") for line in told] == notes[1:]


@pytest.mark.parametrize("name", CASES)
def test_what_a_file_becomes_is_a_spec_without_errors(name: str) -> None:
    spec = loads((GIVEN / f"{name}.toml").read_text())

    _, problems = resolve(spec, GIVEN, {})

    # A format that is known and has no writer yet is the plan's to tell.
    assert {problem.code for problem in errors(problems)} <= {"no-writer"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image x {\n  hdimage {\n", "x:2: the section hdimage is not closed"),
        ("image x {\n  size = \n}\n", "x:3: a value is expected here"),
        ("image x {\n}\n}\n", "x:3: } closes nothing"),
        ('image x {\n}\ninclude("gone")\n', "which is not there"),
        ('image x {\n}\ninclude("x")\n', "files include each other"),
        ("image x {\n}\nexclude(y)\n", 'x:3: only include("FILE") is a function'),
        ("image x {\n a b c\n}\n", "x:2: = or { is expected behind a"),
        ('image x {\n "open\n}\n', "x:2: '\"' is not expected here"),
        ("image x {\n ubi {}\n}\n", "describes neither a disk (hdimage) nor a file system"),
        ("image x {" + " a {" * 20 + "}" * 20 + "}", "sections are nested too deeply"),
    ],
)
def test_a_configuration_that_genimage_would_refuse_is_refused_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (tmp_path / "x").write_text(text)

    assert main(["import", str(tmp_path / "x")]) == 2

    assert said in capsys.readouterr().err


def test_the_environment_fills_in_variables(
    given: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFSET", "64K")
    monkeypatch.setenv("DATA_IMAGE", "data.img")
    monkeypatch.setenv("GENIMAGE_INPUTPATH", "/in")

    main(["import", str(given / "hybrid.cfg")])
    hybrid = tomllib.loads(capsys.readouterr().out)
    main(["import", str(given / "slots.wks")])
    slots = tomllib.loads(capsys.readouterr().out)

    assert hybrid["volume"][0]["source"] == "/in/spl.bin"
    assert hybrid["volume"][0]["offset"] == "64KiB"
    assert slots["volume"][-1]["source"] == str(given / "data.img")


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("sealed.repart", {"efi": "esp", "boot": "esp", "": "root"}),
        ("efi.wks", {"": "root"}),
        ("board.cfg", {"": None}),
    ],
)
def test_the_tree_that_a_tool_runs_on_can_be_named(
    given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str,
    sources: dict[str, str | None],
) -> None:  # fmt: skip
    tree = tmp_path / "tree"

    assert main(["import", str(given / name), "--root", str(tree)]) == 0

    contents = tomllib.loads(capsys.readouterr().out)["contents"]
    found = {one["source"]: one.get("volume") for one in contents}
    for source, volume in sources.items():
        assert found[f"{tree}/{source}"] == volume


def test_a_loader_comes_along_where_there_are_contents(
    given: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["import", str(given / "efi.wks"), "--root", "/tree"])

    assert tomllib.loads(capsys.readouterr().out)["boot"]["loader"] == "grub"


HEAD = 'image d.img {{ hdimage {{ partition-table-type = "{table}" }}\n{rest} }}\n'
LOADER = 'partition l {{ in-partition-table = false\n image = "l.bin"\n offset = {} }}\n'
TINY = "partition a { size = 1M\n offset = 16M }"
FIRST = {
    "gpt": (HEAD.format(table="gpt", rest="partition a { size = 8M\n offset = 8M }"), 8),
    "mbr, logical": (
        HEAD.format(table="mbr", rest="\n".join(
            f"partition p{n} {{ size = 4M\n {'offset = 4M' if n == 0 else ''} }}" for n in range(6)
        )), 4,
    ),
    "tiny": (HEAD.format(table="gpt", rest=TINY), 16),
    "behind a loader": (HEAD.format(table="gpt", rest=LOADER.format("1M") + TINY), 16),
    "a loader that is not there": (
        HEAD.format(table="gpt",
                    rest=LOADER.format("32K") + "partition a { size = 64M\n offset = 8M }"), 8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FIRST)
def test_the_first_partition_begins_where_its_offset_says(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, start = FIRST[case]
    (tmp_path / "d.cfg").write_text(text)
    assert main(["import", str(tmp_path / "d.cfg"), "-o", str(tmp_path / "d.toml")]) == 0
    assert "offset" not in capsys.readouterr().err
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "l.bin").write_bytes(bytes(3 << 20 if "not there" in case else 512))
    assert main(["plan", str(tmp_path / "d.toml"), "--json"]) == 0
    partitions = json.loads(capsys.readouterr().out)["partitions"]
    assert partitions[0]["start"] * 512 == start << 20


@pytest.mark.parametrize(("place", "start"), [("--align 4096", 4), ("--offset 8M", 8), ("", 1)])
def test_wic_aligns_the_first_partition(
    place: str, start: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.wks").write_text(f"part /data --fstype=ext4 --fixed-size 16M {place}\n")
    assert main(["import", str(tmp_path / "d.wks"), "-o", str(tmp_path / "d.toml")]) == 0
    assert main(["plan", str(tmp_path / "d.toml"), "--json"]) == 0
    partitions = json.loads(capsys.readouterr().out)["partitions"]
    assert partitions[0]["start"] * 512 == start << 20
