"""The manual pages say what the parsers and the table of keys say, and read without a warning."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from engine import RELEASED, __version__
from engine.cli import exits
from engine.cli.generate import files
from engine.cli.manpage import EXIT_STATUS
from engine.cli.verbs import VERBS, parser_for
from engine.spec import roff
from engine.spec.keys import KEYS

PROJECT = Path(__file__).parents[3]
PAGES = ("man/diskwright.1", "man/diskwright.toml.5")


def rendered(page: str) -> str:
    """Returns a page as a reader of manual pages shows it, without bold and hyphens."""
    shown = subprocess.run(
        ["mandoc", "-T", "utf8", "-O", "width=500", PROJECT / page],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return re.sub(".\b", "", shown)


@pytest.mark.parametrize("name", files())
def test_what_is_committed_is_what_is_made(name: str) -> None:
    assert (PROJECT / name).read_text() == files()[name], "run: python -m engine.cli.generate"


@pytest.mark.parametrize("page", PAGES)
def test_neither_formatter_warns(page: str) -> None:
    for command in (["mandoc", "-T", "lint", "-W", "warning"], ["groff", "-man", "-ww", "-z"]):
        done = subprocess.run([*command, PROJECT / page], capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_verb_and_option_is_in_the_manual() -> None:
    page = rendered("man/diskwright.1")

    for verb in VERBS.values():
        after = page.partition(f"\n   {verb.name}\n")[2]
        section = re.split(r"\n   \w+\n|\n[A-Z]", after)[0]
        assert verb.summary[1:] in section
        for action in parser_for(verb)._actions:
            if action.dest not in {"help", "set"}:
                assert all(flag in section for flag in action.option_strings)
                assert " ".join((action.help or "").split()) in section


def test_every_key_is_in_its_manual() -> None:
    page = rendered("man/diskwright.toml.5")

    for key in KEYS.values():
        name = key.path.rpartition(".")[2]
        assert re.search(rf"^ +{re.escape(name)}( |$)", page, re.MULTILINE), key.path
        assert key.summary.replace("`", "") in page
        assert all(str(choice) in page for choice in key.choices)


def test_every_exit_code_is_in_the_manual() -> None:
    assert set(EXIT_STATUS) == {
        value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)
    }


def test_the_day_is_that_of_the_newest_version() -> None:
    newest = re.search(
        r"^## \[(\d.*?)\] - (\S+)$", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE
    )

    assert newest is not None
    assert newest.groups() == (__version__, RELEASED)


@pytest.mark.parametrize(
    "text", [".TH is no macro here", "'quoted'", r"\fBnot bold", 'say "x"', "~^`", "a--b"]
)
def test_no_text_is_a_request(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.1"
    page.write_text(
        roff.page("X", 1, "x", "1", "2026-01-01") + roff.heading("NAME") + roff.paragraph(text)
    )

    assert text in rendered(str(page))
