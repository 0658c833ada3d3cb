"""Every code has its paragraph, every paragraph its code, and each example has its problem.

An example with a spec is planned here, one with a command is run in test_situations.py, and the
words of any other one are those of the source.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.explain.manual import markdown
from engine.explain.table import Explanation, explanations, near, strays
from engine.planning import plan_spec
from engine.problem import Problem, Refused
from engine.spec.load import load
from tests.badinputs.trees import make
from tests.engine.explain.codes import ROOT, raised
from tests.engine.explain.templates import shares
from tests.engine.explain.test_situations import SITUATIONS

KNOWN = explanations()
LEAST_SHARE = 0.2
"""Of an example that is not tried: names, figures and reasons are filled in."""
SAID_BY_OTHERS = {"refused-edit", "flash-no-gpt", "grow-in-use"}
"""Codes whose whole message is another exception's, or comes from further away than is looked."""
WITH_SPEC = [one for one in KNOWN.values() if one.spec]


def test_every_code_that_can_be_raised_is_explained_and_no_other() -> None:
    codes, unresolved = raised()

    assert unresolved == [], "write the code as a literal, so that its paragraph is not missed"
    assert len(codes) > 300
    assert set(codes) == set(KNOWN), "engine/explain/problems has a paragraph for each code"


def test_a_paragraph_is_whole_and_short() -> None:
    for one in KNOWN.values():
        for words in (one.means, one.why, one.mend):
            assert words.endswith("."), one.code
            assert len(words) < 300, one.code
        assert one.says.split(":")[0] in {"error", "warning"}, one.code


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(one, id=one.code, marks=[] if number % 4 == 0 else [pytest.mark.slow])
        for number, one in enumerate(WITH_SPEC)
    ],
)
def test_an_example_has_its_problem(one: Explanation, tmp_path: Path) -> None:
    make("", tmp_path)
    spec = tmp_path / "spec.toml"
    text = one.spec if one.spec.startswith("schema") else f"schema = 1\n{one.spec}"
    spec.write_text(f"{text.rstrip()}\n")

    said = [_line(problem, tmp_path) for problem in _problems(spec, tmp_path / "out")]

    assert one.says in said


def test_any_other_example_has_the_words_of_the_source() -> None:
    others = {
        one.code: one.says for one in KNOWN.values() if not one.spec and one.code not in SITUATIONS
    }

    word_for_word = shares(others)

    lost = {code: others[code] for code, share in word_for_word.items() if share < LEAST_SHARE}
    assert lost.keys() == SAID_BY_OTHERS, lost
    assert len(others) < 100, "write a spec, or a command in situations.toml, for a new paragraph"


def _problems(spec: Path, outdir: Path) -> tuple[Problem, ...]:
    try:
        loaded = load(spec)
    except Refused as refused:
        return refused.problems
    return plan_spec(loaded.spec, base=loaded.base, outdir=outdir).problems


def _line(problem: Problem, folder: Path) -> str:
    return f"{problem.severity}: {problem.line()}".replace(str(folder), "FOLDER")


def test_most_codes_of_a_spec_have_an_example_that_is_tried() -> None:
    assert len(WITH_SPEC) > 100


def test_the_page_is_the_table() -> None:
    assert (ROOT / "docs/problems.md").read_text(encoding="utf-8") == markdown()


def test_no_file_is_left_unread() -> None:
    assert strays() == ()


def test_it_prints_what_a_code_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "esp-too-small", "bad-mode"]) == 0

    out = capsys.readouterr().out
    assert out.startswith("esp-too-small (layout, sizes and volumes)\n")
    assert KNOWN["bad-mode"].says in out
    assert max(map(len, out.splitlines())) <= 200


def test_it_lists_all_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(KNOWN)


def test_it_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--json", "esp-too-small"]) == 0

    (one,) = json.loads(capsys.readouterr().out)["problems"]
    assert one["code"] == "esp-too-small"
    assert one["mend"] == KNOWN["esp-too-small"].mend


@pytest.mark.parametrize(
    ("word", "first"),
    [("esp-to-small", "esp-too-small"), ("ESP-too-small", "esp-too-small"), ("verity", None)],
)
def test_an_unknown_code_is_answered_with_near_ones(
    word: str, first: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", word]) == 2

    err = capsys.readouterr().err
    assert f'no problem has the code "{word}"' in err
    assert f"did you mean {first or 'verity-'}" in err


def test_a_code_like_no_other_is_answered_with_the_list() -> None:
    assert near("zzzzzz", KNOWN) == ()


def test_errors_say_once_how_to_read_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "bad.toml"
    spec.write_text('schema = 1\n[layout]\ntabel = "efi"\nlabel = 5\n')

    assert main(["plan", str(spec)]) == 2

    err = capsys.readouterr().err.splitlines()
    assert err[-1] == "more: diskwright explain unknown-key wrong-type"
    assert sum(line.startswith("more:") for line in err) == 1


def test_warnings_alone_say_nothing_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make("", tmp_path)
    spec = tmp_path / "odd.toml"
    spec.write_text(
        "schema = 1\n[identity]\ndeterministic = false\n"
        'seed = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"\n'
        '[[contents]]\nsource = "tree/"\ntarget = "/"\n'
    )

    assert main(["plan", str(spec)]) == 0

    err = capsys.readouterr().err
    assert err.startswith("warning: ")
    assert "identity.seed: is not used" in err
    assert "explain" not in err
