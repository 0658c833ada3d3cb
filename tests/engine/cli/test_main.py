"""The command line as its users meet it: verbs, exit codes, what goes to which stream."""

from __future__ import annotations

import gc
import json
import os
import pty
import struct
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path

import pytest

from engine.cli import exits, main, signals, verbs
from engine.events import BuildFinished, BuildStarted, decode
from tests.support.command import command
from tests.support.specs import write_spec


def run(
    *argv: str | Path, stdin: int | None = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*command(), *argv), capture_output=True, text=True, stdin=stdin)


def tree_of(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from engine.cli.main import main\n"
        "assert main(['--help']) == 0\n"
        "try: main(['build', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'textual', 'msgspec', 'tomlkit', 'asyncio', 'parted', 'humanize'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )

    subprocess.run((sys.executable, "-c", script), check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("verb", verbs.VERBS)
def test_every_verb_takes_set_and_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main.main([verb, "--help"])

    assert end.value.code == 0
    assert "--set SECTION.KEY=VALUE" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("doctor",), ("completion", "bash")], ids=lambda w: w[0])
def test_set_where_no_spec_is_planned_says_that_it_changes_nothing(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main.main([*words])
    without = capsys.readouterr()

    assert main.main([*words, "--set", "output.format=vdi"]) == code
    told = capsys.readouterr()
    assert told.out == without.out
    assert told.err == f"{without.err}warning: {words[0]} plans no spec: --set changes nothing\n"


def test_set_has_no_warning_where_it_overrides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["plan", str(write_spec(tmp_path)), "--json", "--set", 'name="x"']) == 0

    told = capsys.readouterr()
    assert json.loads(told.out)["name"] == "x"
    assert "--set" not in told.err


@pytest.mark.parametrize("verb", ["inspect", "diff", "boot"])
def test_a_fifo_is_refused_as_an_image_and_not_waited_for(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    assert main.main([verb, *[str(pipe)] * (2 if verb == "diff" else 1)]) == exits.REFUSED

    assert "pipe is neither a file nor a disk" in capsys.readouterr().err


def test_without_a_terminal_the_wizard_is_refused() -> None:
    result = run()

    assert result.returncode == exits.REFUSED
    assert result.stdout == ""
    assert "usage: diskwright" in result.stderr


def test_a_mistyped_verb_is_answered_with_the_nearest() -> None:
    result = run("bulid")

    assert result.returncode == exits.REFUSED
    assert "did you mean `diskwright build`?" in result.stderr


def test_plan_prints_json_and_writes_nothing(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    before = tree_of(tmp_path)

    result = run("plan", spec, "--json", "--set", "layout.table=hybrid")

    assert result.returncode == exits.DONE, result.stderr
    plan = json.loads(result.stdout)
    assert [partition["role"] for partition in plan["partitions"]] == ["bios-boot", "esp", "root"]
    assert sum(part["bytes"] for part in plan["size"]["breakdown"]) == plan["disk"]["bytes"]
    assert tree_of(tmp_path) == before


def test_contents_are_added_at_the_root(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    more = tmp_path / "more"
    more.mkdir()
    (more / "extra").write_text("x")

    plans = [run("plan", spec, "--json", *add) for add in ((), ("--contents", more))]

    counts = [json.loads(plan.stdout)["size"]["contents"]["files"] for plan in plans]
    assert counts[1] == counts[0] + 1


def test_every_problem_is_printed_and_nothing_written(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    spec.write_text(spec.read_text() + '[layout]\ntable = "gtp"\nlabbel = "x"\n')

    result = run("build", spec, "-o", tmp_path / "out")

    assert result.returncode == exits.REFUSED
    line = spec.read_text().split("\n").index("[layout]") + 1
    assert f"error: {spec}:{line + 1}: layout.table" in result.stderr
    assert f"error: {spec}:{line + 2}: layout.labbel" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_build_names_its_outputs_as_sha256sum_does(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)

    result = run("build", spec, "-o", tmp_path / "out")

    assert result.returncode == exits.DONE, result.stderr
    check = subprocess.run(("sha256sum", "-c"), input=result.stdout, text=True, capture_output=True)
    assert check.stdout == f"{tmp_path}/out/demo.img: OK\n"
    assert "==> Fill the root file system" in result.stderr


def test_events_to_standard_output_are_nothing_but_events(tmp_path: Path) -> None:
    result = run("build", write_spec(tmp_path), "-o", tmp_path / "out", "--events", "-", "--quiet")

    events = [decode(line) for line in result.stdout.splitlines()]
    assert isinstance(events[0], BuildStarted)
    assert isinstance(events[-1], BuildFinished)
    assert result.stderr == ""


def test_an_events_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "events"

    result = run("build", write_spec(tmp_path), "-o", tmp_path / "out", "--events", nowhere)

    assert result.returncode == exits.REFUSED
    assert "No such file or directory" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_failed_build_says_step_reason_and_hint(tmp_path: Path) -> None:
    hook = "hooks.after_build=echo the reason; exit 4"

    result = run("build", write_spec(tmp_path), "-o", tmp_path / "out", "--quiet", "--set", hook)

    assert result.returncode == exits.FAILED
    assert "  | the reason\n" in result.stderr
    assert "error: hook: bash exited with status 4: the reason\n" in result.stderr


def test_an_existing_output_needs_force(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    run("build", spec, "-o", tmp_path / "out", "--quiet")

    refused = run("build", spec, "-o", tmp_path / "out")
    forced = run("build", spec, "-o", tmp_path / "out", "--force", "--quiet")

    assert refused.returncode == exits.REFUSED
    assert "demo.img" in refused.stderr
    assert forced.returncode == exits.DONE


def test_a_reader_that_closes_early_is_no_fault(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    ran = subprocess.run(
        ("sh", "-c", f"{sys.executable} -m engine.cli plan {spec} --json | head -c 1"),
        capture_output=True,
        text=True,
    )

    assert ran.stderr == ""


def test_a_fault_of_ours_is_short_and_not_the_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(words: list[str]) -> int:
        raise KeyError("oops")

    monkeypatch.setattr(main, "_dispatch", fault)

    assert main.main([]) == exits.INTERNAL

    said = capsys.readouterr().err
    assert "internal error: KeyError: 'oops'" in said
    assert "Traceback" not in said


def test_on_a_terminal_each_step_is_one_repainted_line(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    leader, follower = pty.openpty()
    ran = subprocess.run(
        (sys.executable, "-m", "engine.cli", "build", spec, "-o", tmp_path / "out"),
        stdout=subprocess.DEVNULL,
        stderr=follower,
    )
    screen = os.read(leader, 1 << 16).decode()
    os.close(leader)
    os.close(follower)

    assert ran.returncode == exits.DONE
    assert "\r\x1b[K✓ Fill the root file system  " in screen
    assert screen.rstrip().splitlines()[-1].startswith("done in ")


NIX = "import <nixpkgs/nixos/lib/make-disk-image.nix> { inherit pkgs lib config; }\n"


@pytest.mark.parametrize("size", [1 << 20, 20 << 20], ids=["small", "large"])
@pytest.mark.parametrize("verb", ["plan", "build", "check", "export"])
def test_an_image_given_as_a_spec_is_called_one_with_what_reads_it(
    tmp_path: Path, verb: str, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "my disk.img"
    entry = struct.pack("<BxxxBxxxII", 0x80, 0x83, 1, size // 512 - 1)
    image.write_bytes((bytes(446) + entry).ljust(510, b"\0") + b"\x55\xaa")
    os.truncate(image, size)

    output = ["-o", str(tmp_path / "out")] if verb == "build" else []
    assert main.main([verb, str(image), *output]) == exits.REFUSED

    told = capsys.readouterr()
    assert told.out == ""
    assert f"{image}: is a disk image, not a spec" in told.err
    assert f"diskwright inspect '{image}'" in told.err
    assert f"diskwright import '{image}'" in told.err
    assert tree_of(tmp_path) == [str(image)]


def test_a_nix_file_given_as_a_spec_is_called_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "image.nix"
    file.write_text(NIX)

    assert main.main(["plan", str(file)]) == exits.REFUSED

    told = capsys.readouterr().err
    assert "is a Nix file" in told
    assert f"diskwright import {file}" in told
    assert "inspect" not in told


@pytest.mark.parametrize(
    "data", [b"name = 1 2\n", 'name = "x"\n'.encode("utf-16"), b""], ids=["toml", "utf16", "empty"]
)
def test_what_nothing_reads_stays_a_spec_with_problems(
    tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "odd.toml"
    file.write_bytes(data)

    main.main(["plan", str(file)])

    assert "not a spec" not in capsys.readouterr().err


def test_export_writes_a_nix_call_where_no_format_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_spec(tmp_path)

    assert main.main(["export", str(spec)]) == exits.DONE

    assert "make-disk-image" in capsys.readouterr().out


_PIPED = """\
schema = 1
name = "piped"
[layout]
table = "none"
[size]
additional = "1MiB"
[[contents]]
source = "tree"
target = "/"
"""


def piped(folder: Path, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (*command(), *argv), cwd=folder, input=_PIPED, capture_output=True, text=True
    )


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
def test_a_spec_from_standard_input_starts_from_the_current_folder(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "tree").mkdir()

    built = piped(tmp_path, "build", name, "-o", "out", "--quiet")
    again = piped(tmp_path, "build", name, "-o", "out", "--quiet", "--update")

    assert (built.returncode, built.stderr) == (exits.DONE, "")
    assert again.stdout == built.stdout
    assert (tmp_path / "out/piped.img").exists()


def test_what_takes_no_stream_says_so(tmp_path: Path) -> None:
    refused = piped(tmp_path, "check", "-")

    assert refused.returncode == exits.REFUSED
    assert "must be a file, as two builds read it: save it first" in refused.stderr


def test_the_wizard_takes_no_stream_and_names_what_does(tmp_path: Path) -> None:
    refused = piped(tmp_path, "-")

    assert refused.returncode == exits.REFUSED
    assert "`diskwright plan -` and `build -` read a spec from standard input" in refused.stderr


def test_a_standard_input_that_is_closed_is_refused(tmp_path: Path) -> None:
    script = f"exec 0<&-; {sys.executable} -P -m engine.cli plan -"
    ran = subprocess.run(("sh", "-c", script), capture_output=True, text=True)

    assert ran.returncode == exits.REFUSED
    assert ran.stderr.startswith("error: /dev/stdin: ")


def test_a_signal_before_the_work_begins_leaves_no_warning(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    async def work() -> None:
        """Is never begun."""

    def interrupted(coroutine: Coroutine[None, None, None]) -> None:
        coroutine.close()
        raise KeyboardInterrupt

    monkeypatch.setattr("asyncio.run", interrupted)

    with pytest.raises(KeyboardInterrupt):
        signals.cancellable(work())

    gc.collect()
    assert not recwarn.list
