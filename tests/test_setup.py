"""The launcher and its set-up, in copies of their own with nothing to download."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.tools.table import TOOLS

PROJECT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock",
         "requirements-docs.lock", "requirements-efi.lock", "requirements-fleet.lock",
         "requirements-web.lock")  # fmt: skip
BASE_PATH = "/usr/bin:/bin"
COMMAND = """
import pathlib, sys
print(sys.argv[1:], pathlib.Path(sys.prefix), pathlib.Path.cwd(), sep="\\n")
"""


@dataclass
class Copy:
    """A copy of the launcher whose command prints its arguments, environment and folder."""

    root: Path
    home: Path

    def start(
        self,
        *arguments: str,
        program: Path | None = None,
        cwd: Path | None = None,
        path: str = BASE_PATH,
        environ: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program or self.root / "diskwright", *arguments],
            env=self.environment(path) | dict(environ or {}),
            cwd=cwd or self.home,
            user=user,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )

    def environment(self, path: str = BASE_PATH) -> dict[str, str]:
        return {"PATH": path, "HOME": str(self.home), "DISKWRIGHT_PYTHON": sys.executable}

    def need(self, *rows: str) -> None:
        (self.root / "setup" / "packages.txt").write_text(
            "".join(f"{row}\n" for row in ("# group probe ...", *rows))
        )


def make_copy(folder: Path) -> Copy:
    root, home = folder / "a project", folder / "home"
    (root / "engine" / "cli").mkdir(parents=True)
    home.mkdir()
    shutil.copy(PROJECT / "diskwright", root)
    (root / "setup").mkdir()
    shutil.copy(PROJECT / "setup" / "lib.sh", root / "setup")
    for name in LOCKS:
        (root / name).touch()
    for package in ("engine", "engine/cli"):
        (root / package / "__init__.py").touch()
    (root / "engine" / "cli" / "__main__.py").write_text(COMMAND)
    copy = Copy(root, home)
    copy.need()
    return copy


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return make_copy(tmp_path)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy that is set up; tests that change it take one of their own."""
    copy = make_copy(tmp_path_factory.mktemp("ready"))
    first = copy.start("first")
    assert first.stdout.startswith("['first']"), first.stderr
    assert "making the Python environment" in first.stderr
    return copy


@pytest.fixture
def own(ready: Copy, tmp_path: Path) -> Copy:
    """A moved copy of one that was set up."""
    shutil.copytree(ready.root, tmp_path / "moved", symlinks=True)
    return Copy(tmp_path / "moved", ready.home)


def fake(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    return folder


def test_a_start_runs_the_command_as_it_was_given(ready: Copy) -> None:
    outcome = ready.start("plan", "a b", "")

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines() == [
        "['plan', 'a b', '']", str(ready.root / ".venv"), str(ready.home)
    ]  # fmt: skip


def test_a_press_of_tab_sets_nothing_up(copy: Copy, ready: Copy) -> None:
    asked = {"_ARGCOMPLETE": "1"}

    unready = copy.start(environ=asked)

    assert (unready.returncode, unready.stdout, unready.stderr) == (1, "", "")
    assert not (copy.root / ".venv").exists()
    assert ready.start(environ=asked).stdout.startswith("[]")


def test_later_starts_say_and_change_nothing(ready: Copy) -> None:
    stamp = ready.root / ".venv" / ".diskwright-run"
    before = stamp.stat().st_mtime_ns

    later = ready.start("--help")

    assert later.stderr == ""
    assert later.stdout.startswith("['--help']")
    assert stamp.stat().st_mtime_ns == before


def test_starts_through_a_chain_of_links(ready: Copy, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "one").symlink_to(ready.root / "diskwright")
    (tmp_path / "bin" / "dw").symlink_to("../one")

    assert ready.start(program=tmp_path / "bin" / "dw").stderr == ""
    by_name = ready.start(program=Path("dw"), path=f"{tmp_path / 'bin'}:{BASE_PATH}")
    assert by_name.stdout.splitlines()[1] == str(ready.root / ".venv")


def test_a_package_of_that_name_where_the_user_stands_is_not_run(
    ready: Copy, tmp_path: Path
) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("raise SystemExit('the wrong engine')")

    outcome = ready.start(cwd=tmp_path, environ={"PYTHONPATH": str(tmp_path)})

    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.slow
def test_a_moved_copy_heals(own: Copy) -> None:
    moved = own.start()

    assert "making the Python environment" in moved.stderr
    assert moved.stdout.splitlines()[1] == str(own.root / ".venv")
    assert own.start().stderr == ""


@pytest.mark.parametrize(
    "damage",
    ["lock", *(pytest.param(each, marks=pytest.mark.slow) for each in ("interpreter", "stamp"))],
)
def test_what_is_stale_or_broken_is_built_anew(own: Copy, damage: str) -> None:
    own.start()
    leftover = own.root / ".venv" / "leftover"
    leftover.touch()
    if damage == "lock":
        (own.root / "requirements.lock").write_text("# renewed\n")
    elif damage == "interpreter":
        python = own.root / ".venv" / "bin" / "python"
        python.unlink()
        python.symlink_to("/nonexistent/python3.99")
    else:
        (own.root / ".venv" / ".diskwright-run").unlink()

    assert own.start().returncode == 0
    assert not leftover.exists()
    assert own.start().stderr == ""


@pytest.mark.slow
def test_a_killed_set_up_is_taken_up_again(copy: Copy) -> None:
    process = subprocess.Popen(
        [copy.root / "diskwright"],
        env=copy.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 240
    while not (copy.root / ".venv" / "bin").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (copy.root / ".venv" / ".diskwright-run").exists()

    assert copy.start("again").stdout.startswith("['again']")


@pytest.mark.slow
def test_two_first_starts_do_the_work_once(copy: Copy) -> None:
    both = [
        subprocess.Popen(
            [copy.root / "diskwright"],
            env=copy.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = "".join(process.communicate(timeout=240)[1] for process in both)

    assert [process.returncode for process in both] == [0, 0], told
    assert told.count("making the Python environment") == 1


def test_somebody_elses_environment_is_left_alone(copy: Copy) -> None:
    theirs = copy.root / ".venv" / "theirs"
    theirs.parent.mkdir()
    theirs.touch()

    refused = copy.start()

    assert refused.returncode == 2
    assert "DISKWRIGHT_VENV" in refused.stderr
    assert theirs.exists()
    elsewhere = copy.start(environ={"DISKWRIGHT_VENV": str(copy.home / "env")})
    assert elsewhere.stdout.splitlines()[1] == str(copy.home / "env")


@pytest.mark.slow
def test_a_failing_install_is_shown_and_retried(copy: Copy) -> None:
    (copy.root / "requirements.lock").write_text("no such requirement\n")

    failed = copy.start()

    assert failed.returncode == 2
    assert "set-up failed at" in failed.stderr
    assert failed.stdout == ""
    (copy.root / "requirements.lock").write_text("")
    assert copy.start().returncode == 0


@pytest.mark.slow
def test_a_folder_one_may_not_write_gets_its_environment_in_the_cache() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        copy = make_copy(Path(folder))
        os.chown(copy.home, nobody, nobody)
        shared = {"DISKWRIGHT_PYTHON": "/usr/bin/python3"}

        first = copy.start(user=nobody, environ=shared)
        again = copy.start(user=nobody, environ=shared)

        assert first.returncode == 0, first.stderr
        assert Path(first.stdout.splitlines()[1]).is_relative_to(copy.home / ".cache/diskwright")
        assert again.stderr == ""
        assert not (copy.root / ".venv").exists()


def test_without_the_right_to_install_every_command_is_told(copy: Copy, tools: Path) -> None:
    copy.need(
        "run command:dw-absent deb-absent fed-absent arch-absent nix-absent",
        "run command:dw-gone deb-gone fed-gone arch-gone nix-gone",
        "run command:sh sh-is-there sh sh sh",
        "dev command:dw-dev deb-dev fed-dev arch-dev nix-dev",
    )
    fake(tools, "id", "echo 1000")
    fake(tools, "sudo", "exit 1")

    refused = copy.start(path=f"{tools}:{BASE_PATH}")

    assert refused.returncode == 2
    assert refused.stdout == ""
    assert [line.strip() for line in refused.stderr.splitlines()[-4:]] == [
        "Debian, Ubuntu  sudo apt-get install deb-absent deb-gone",
        "Fedora          sudo dnf install fed-absent fed-gone",
        "Arch            sudo pacman -S --needed arch-absent arch-gone",
        "Nix             nix-shell -p nix-absent nix-gone",
    ]
    assert not (copy.root / ".venv").exists()


@pytest.mark.parametrize("user", ["0", pytest.param("1000", marks=pytest.mark.slow)])
def test_missing_packages_are_installed_after_saying_which(
    copy: Copy, tools: Path, user: str
) -> None:
    """The lists are missing at first, as on a new container."""
    copy.need("run command:dw-absent deb-absent fed-absent arch-absent nix-absent")
    calls = tools / "calls"
    fake(tools, "id", f"echo {user}")
    fake(tools, "sudo", f'echo "sudo" >>"{calls}"; [ "$1" = -n ] && shift; exec "$@"')
    fake(tools, "dpkg", "exit 0")
    fake(
        tools,
        "apt-get",
        f'echo "$*" >>"{calls}"\n'
        f'case "$*" in *update) touch "{tools}/lists"; exit ;; esac\n'
        f'[ -e "{tools}/lists" ] || {{ echo "E: Unable to locate package"; exit 100; }}\n'
        f'printf "#!/bin/sh\\n" >"{tools}/dw-absent"; chmod +x "{tools}/dw-absent"',
    )

    outcome = copy.start(path=f"{tools}:{BASE_PATH}")

    assert outcome.returncode == 0, outcome.stderr
    assert "installing system packages: deb-absent" in outcome.stderr
    assert "Unable to locate" not in outcome.stderr
    done = [line.split("Timeout=300 ")[-1] for line in calls.read_text().splitlines()]
    assert [line for line in done if line != "sudo"] == [
        "install deb-absent", "update", "install deb-absent"
    ]  # fmt: skip
    assert ("sudo" in done) == (user != "0")


def test_an_install_that_brings_nothing_ends_with_advice(copy: Copy, tools: Path) -> None:
    copy.need("run command:dw-absent deb-absent fed-absent arch-absent nix-absent")
    fake(tools, "id", "echo 0")
    fake(tools, "dpkg", "exit 0")
    fake(tools, "apt-get", "echo 'E: no network'; exit 100")

    refused = copy.start(path=f"{tools}:{BASE_PATH}")

    assert refused.returncode == 2
    assert "E: no network" in refused.stderr
    assert "sudo apt-get install deb-absent" in refused.stderr


def test_an_extra_brings_the_packages_of_its_own_group_only(copy: Copy, tools: Path) -> None:
    copy.need(
        "efi command:dw-efi deb-efi fed-efi arch-efi nix-efi",
        "web command:dw-web deb-web fed-web arch-web nix-web",
        "dev command:dw-dev deb-dev fed-dev arch-dev nix-dev",
    )
    shutil.copy(PROJECT / "setup" / "extra", copy.root / "setup")
    fake(tools, "id", "echo 1000")
    fake(tools, "sudo", "exit 1")
    path = f"{tools}:{BASE_PATH}"

    def install() -> subprocess.CompletedProcess[str]:
        return copy.start("efi", program=copy.root / "setup" / "extra", path=path)

    refused = install()
    assert refused.returncode == 2
    assert "missing: command:dw-efi" in refused.stderr
    assert "deb-web" not in refused.stderr
    assert "deb-dev" not in refused.stderr

    fake(tools, "dw-efi", "")
    installed = install()
    assert installed.returncode == 0, installed.stderr
    assert f"efi is installed in {copy.root}/.venv" in installed.stderr
    assert (copy.root / ".venv" / ".diskwright-efi").exists()


@pytest.mark.slow
def test_an_old_python_is_passed_over(copy: Copy, tools: Path) -> None:
    for name in ("python3", "python"):
        fake(tools, name, "exit 1")
    environment = copy.environment(f"{tools}:{BASE_PATH}") | {"PYENV_ROOT": "/nonexistent"}
    del environment["DISKWRIGHT_PYTHON"]
    (tools / "python3.12").symlink_to(sys.executable)

    outcome = subprocess.run(
        [copy.root / "diskwright"], env=environment, capture_output=True, text=True, timeout=240
    )

    assert outcome.returncode == 0, outcome.stderr


def test_the_launcher_and_the_engine_name_the_same_packages() -> None:
    rows = [
        line.split()
        for line in (PROJECT / "setup" / "packages.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    listed = {probe.removeprefix("command:"): tuple(packages) for _, probe, *packages in rows}

    assert all(len(row) == 6 for row in rows)
    assert {name: tool.packages for name, tool in TOOLS.items() if name in listed} == {
        name: packages for name, packages in listed.items() if name in TOOLS
    }
    provided = set(listed.values()) | {("bash",) * 4}
    assert {tool.packages for tool in TOOLS.values()} <= provided


def test_locks_pin_and_hash_everything_and_agree() -> None:
    pins = {}
    for name in LOCKS:
        text = (PROJECT / name).read_text().replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert lines
        assert all("==" in line and "--hash=sha256:" in line for line in lines)
        assert "://" not in text
        pins[name] = {line.split()[0] for line in lines}
    for extra in ("requirements-efi.lock", "requirements-fleet.lock", "requirements-web.lock"):
        assert pins["requirements.lock"] < pins[extra] <= pins["requirements-dev.lock"]
    # It has no wheel for some Pythons, so the set-up must do without it.
    assert not any("crypt" in pin or "virt" in pin for pin in pins["requirements.lock"])


def test_help_imports_nothing_heavy() -> None:
    outcome = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "engine.cli", "--help"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    imported = {line.split("|")[-1].strip() for line in outcome.stderr.splitlines()}

    assert outcome.returncode == 0
    assert "engine.cli.main" in imported
    assert not imported & {"textual", "rich", "msgspec", "asyncio", "parted", "tomlkit", "tui"}
    assert "argcomplete" not in imported


def test_a_package_of_another_release_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "apt-cache").write_text('#!/bin/sh\n[ "$2" = older ]\n')
    (tmp_path / "apt-cache").chmod(0o755)
    script = '. "$1/setup/lib.sh"; available "newer|older" plain "one|another"'

    printed = subprocess.run(
        ["sh", "-c", script, "sh", PROJECT],
        env={"PATH": f"{tmp_path}:{BASE_PATH}"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert printed.split() == ["older", "plain", "another"]
