"""`new`, `build --contents` without a spec, `help VERB`, and `plan` with errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.cli import exits
from engine.cli.main import main
from engine.disk.presets import PRESETS
from engine.planning import plan_spec
from engine.problem import errors
from engine.spec.load import load, loads

PLAIN = [key for key, preset in PRESETS.items() if not preset.own]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A small folder, whose name TOML has to quote."""
    folder = tmp_path / 'my "site"'
    folder.mkdir()
    (folder / "index.html").write_text("hello\n")
    return folder


@pytest.mark.parametrize("preset", PLAIN)
def test_a_starter_spec_plans_as_it_stands(
    preset: str, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "mine.toml"
    assert main(["new", preset, "-o", str(spec), "--contents", str(site)]) == exits.DONE
    loaded = load(spec)
    assert (loaded.spec.name, loaded.spec.layout.table) == ("mine", preset)
    assert [entry.source for entry in loaded.spec.contents] == ['my "site"/']
    plan = plan_spec(loaded.spec, base=loaded.base)
    assert not errors(plan.problems)
    # Where volumes are mounted, the image has an /etc/fstab of its own.
    assert plan.counts.files == 1 + (plan.root.manifest.get(b"etc/fstab") is not None)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("preset", PLAIN)
def test_what_is_commented_out_is_what_holds(
    preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", preset]) == exits.DONE
    text = capsys.readouterr().out
    shown = "".join(
        line.removeprefix("# ") if re.match(r"# \w+ = ", line) else line
        for line in text.splitlines(keepends=True)
        if "contents" not in line and "source" not in line and "target" not in line
    )
    assert len(loads(text).layout.table or "") > 0
    bare = plan_spec(loads(text), base=Path("/"))
    told = plan_spec(loads(shown), base=Path("/"))
    assert bare.disk == told.disk
    assert bare.settings.boot == told.settings.boot


def test_a_spec_that_exists_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "mine.toml"
    spec.write_text("mine")
    assert main(["new", "efi", "-o", str(spec)]) == exits.REFUSED
    assert spec.read_text() == "mine"
    assert "exists" in capsys.readouterr().err
    assert main(["new", "efi", "--contents", str(tmp_path / "none")]) == exits.REFUSED
    assert "no such folder" in capsys.readouterr().err


def test_a_folder_is_built_without_a_spec(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = ("--set", "size.boot=33MiB", "--set", "size.additional=8MiB")
    contents = ("--contents", site.name)
    assert main(["build", *contents, "-o", "out", "--quiet", *sizes]) == exits.DONE
    capsys.readouterr()
    assert main(["inspect", "out/disk.img", "--json"]) == exits.DONE
    found = json.loads(capsys.readouterr().out)
    assert [one["role"] for one in found["partitions"]] == ["esp", "root"]
    assert main(["inspect", "out/disk.img", "/"]) == exits.DONE
    assert "index.html" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["plan", "build"])
def test_neither_a_spec_nor_contents(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "-o", str(tmp_path / "out")]) == exits.REFUSED
    assert "--contents DIR" in capsys.readouterr().err


def test_help_of_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "build"]) == exits.DONE
    assert capsys.readouterr().out.startswith("usage: diskwright build")
    assert main(["help", "biuld"]) == exits.REFUSED
    assert "did you mean `diskwright build`" in capsys.readouterr().err


def test_with_an_error_plan_prints_the_errors_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text('[size]\ndisk = "10MiB"\nadditional = "1MiB"\n')
    assert main(["plan", str(spec)]) == exits.REFUSED
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "warning" not in err


def test_plan_notes_that_nothing_boots(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--contents", str(site)]) == exits.DONE
    assert "Nothing boots from this disk" in capsys.readouterr().out
    (tmp_path / "esp" / "efi" / "boot").mkdir(parents=True)
    (tmp_path / "esp" / "efi" / "boot" / "bootx64.efi").write_bytes(b"MZ")
    spec = tmp_path / "spec.toml"
    spec.write_text('[[contents]]\nsource = "esp/"\ntarget = "/"\npartition = "esp"\n')
    assert main(["plan", str(spec), "--json"]) == exits.DONE
    assert json.loads(capsys.readouterr().out)["notes"] == []
    assert main(["plan", str(spec), "--set", "layout.table=none", "--json"]) != exits.INTERNAL
    capsys.readouterr()
