"""That the environment of every tool answers what the table says it answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.tools.answer import answer
from engine.tools.environment import set_variables, tool_environment
from engine.tools.influences import FIXED, INFLUENCES, LIBPARTED, rows
from engine.tools.table import TOOLS
from engine.trust import plant
from tests.support.tools import run_tool

ROOT = Path(__file__).parents[3]


def test_the_manual_shows_every_row() -> None:
    manual = (ROOT / "docs" / "trust.md").read_text()
    assert [row for row in rows() if row not in manual] == []


def test_no_hostile_variable_reaches_a_tool(tmp_path: Path) -> None:
    hostile = plant.variables(tmp_path)
    seen = tool_environment(7, os.environ | hostile)
    assert hostile
    for name, value in hostile.items():
        assert seen.get(name) != value
    assert FIXED.items() <= seen.items()


def test_only_known_variables_are_passed_on() -> None:
    caller = {"LD_PRELOAD": "/x", "PERL5LIB": "/y", "HOME": "/h", "NIX_PATH": "p", "PATH": "/mine"}
    seen = tool_environment(0, caller)
    assert seen["PATH"].startswith("/mine:")
    assert seen.keys() - FIXED.keys() == {
        "HOME", "NIX_PATH", "PATH", "SOURCE_DATE_EPOCH", "E2FSPROGS_FAKE_TIME",
    }  # fmt: skip


def test_every_tool_of_the_table_has_an_answer() -> None:
    named = " ".join(row.tools for row in INFLUENCES)
    within = {"e2fsck": "e2fsprogs", "resize2fs": "e2fsprogs", "fsck.fat": "mkfs.fat",
              "mlabel": "mtools", "mmd": "mtools", "mcopy": "mtools",
              "dumpe2fs": "e2fsprogs", "debugfs": "e2fsprogs"}  # fmt: skip
    # bwrap is given no environment and no file of the machine, busybox lies in the guest.
    enclosed = {"bwrap", "busybox"}
    assert [name for name in TOOLS.keys() - enclosed if within.get(name, name) not in named] == []


@pytest.mark.parametrize(
    ("options", "same"), [(("-O", "none,extent,filetype"), True), (("-t", "ext4"), False)]
)
def test_an_empty_configuration_is_enough_for_whoever_says_everything(
    tmp_path: Path, options: tuple[str, ...], same: bool
) -> None:
    """What is not on the command line comes from the file: the second pair must differ."""
    uuid = "928b35c1-0000-4000-8000-000000000000"
    hostile = tmp_path / "hostile.conf"
    hostile.write_text(
        "[defaults]\n\tbase_features = none\n\tblocksize = 1024\n"
        "[fs_types]\n\text4 = {\n\t\tfeatures = extent\n\t}\n"
    )
    made = []
    for config in (FIXED["MKE2FS_CONFIG"] if same else "/nonexistent/mke2fs.conf", str(hostile)):
        image = tmp_path / "image"
        run_tool(
            ["mke2fs", "-q", "-F", *options, "-b", "4096", "-I", "256", "-N", "64", "-m", "0",
             "-U", uuid, "-E", f"hash_seed={uuid},root_owner=0:0,lazy_itable_init=0", image, "8M"],
            env={"MKE2FS_CONFIG": config}, check=True, capture_output=True,
        )  # fmt: skip
        made.append(image.read_bytes())
        image.unlink()
    assert (made[0] == made[1]) == same


def test_an_apple_machine_gets_the_same_table(tmp_path: Path) -> None:
    """Debian's libparted asks when it is loaded, so each is loaded in a process of its own."""
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from tests.support.specs import write_spec\nfrom engine.cli.main import main\n"
        "folder = Path(sys.argv[1])\nspec = write_spec(folder)\n"
        "sys.exit(main(['build', str(spec), '-o', str(folder / 'out'), '--quiet',"
        " '--set', 'layout.table=efi']))"
    )
    tables = []
    for apple in ("0", "1"):
        folder = tmp_path / apple
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", program, folder], check=True, cwd=ROOT,
            env={**os.environ, "PARTED_GPT_APPLE": apple, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        with (folder / "out" / "demo.img").open("rb") as image:
            tables.append(image.read(512))
    assert tables[0] == tables[1]
    assert LIBPARTED == {"PARTED_GPT_APPLE": "0"}


def test_variables_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_ONE", "1")
    with set_variables({"PLANTED_ONE": "2", "PLANTED_TWO": "3"}):
        assert (os.environ["PLANTED_ONE"], os.environ["PLANTED_TWO"]) == ("2", "3")
    assert os.environ["PLANTED_ONE"] == "1"
    assert "PLANTED_TWO" not in os.environ


def test_an_answer_has_what_it_is_fed_and_no_more() -> None:
    assert answer(("cat",)).stdout == b""
    assert answer(("cat",), feed=b"x").stdout == b"x"
    assert answer(("sh", "-c", "exit 3")).returncode == 3
    with pytest.raises(subprocess.TimeoutExpired):
        answer(("sleep", "60"), limit=0.1)


def test_the_zone_needs_no_database() -> None:
    shown = answer(("date", "+%z"), env=tool_environment() | {"TZDIR": "/nonexistent"})
    assert shown.stdout == b"+0000\n"
