"""The wheel, installed beside somebody else's `engine` and `tui`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal
from tests.packaging.archives import PROJECT, build, copy_tree, setup_module

HELLO = PROJECT / "examples/hello.toml"


@dataclass(frozen=True)
class Installed:
    """An environment with nothing but the wheel, and the folder that has what it depends on."""

    python: Path
    packages: Path
    wheel: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.python.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm-256color",
            "TEXTUAL_ANIMATIONS": "none",
        }

    def run(self, *argv: str) -> str:
        done = subprocess.run(
            argv, cwd=self.home, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    home = tmp_path_factory.mktemp("home")
    wheel = build("wheel", copy_tree(tmp_path_factory.mktemp("tree")), home)
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    # Its dependencies: on the path, but without the line that leads to this tree.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for name in ("engine", "tui"):
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text("NAME = 'of another project'\n")
    python = folder / "bin/python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index",
         "--no-deps", "--disable-pip-version-check", "--no-compile", wheel],
        check=True,
    )  # fmt: skip
    return Installed(python, packages, wheel, home)


def test_it_owns_one_name_and_leaves_the_others_theirs(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()

    assert {name.split("/")[0].split("-")[0] for name in names} == {"diskwright"}
    said = installed.run(
        str(installed.python), "-c",
        "import diskwright, engine, tui, sys; diskwright.load\n"
        "print(engine.NAME, tui.NAME, *sorted(n for n in sys.modules if n.startswith('engine')))",
    )  # fmt: skip
    assert said == "of another project of another project engine\n"


@pytest.mark.slow
def test_every_module_can_be_imported(installed: Installed) -> None:
    code = (
        "import pkgutil, diskwright, sys\n"
        "for found in pkgutil.walk_packages(diskwright.__path__, 'diskwright.'):\n"
        "    if not found.name.endswith('__main__'):\n"
        "        __import__(found.name)\n"
        "        print(found.name)\n"
        "assert not any(name.split('.')[0] in ('engine', 'tui') for name in sys.modules)\n"
    )

    found = set(installed.run(str(installed.python), "-c", code).split())

    wanted = {f"diskwright.{name}" for name in setup_module().modules()}
    assert found == {name for name in wanted if not name.endswith("__main__")}


def test_all_that_is_not_python_is_there(installed: Installed) -> None:
    wanted = {
        name
        for name in setup_module().sources(PROJECT)
        if name.split("/")[0] in ("engine", "tui") and not name.endswith(".py")
    }
    home = installed.packages / "diskwright"

    found = {
        str(path.relative_to(home))
        for path in home.rglob("*.*")
        if path.suffix not in {".py", ".pyc"}
    }
    assert found - {"py.typed"} == wanted
    prefix = installed.python.parents[1]
    for folder, paths in setup_module().DATA.items():
        for path in paths:
            found = prefix / folder / Path(path).name
            assert found.read_bytes() == (PROJECT / path).read_bytes()


def test_its_bill_of_materials_has_what_it_is_tested_with(installed: Installed) -> None:
    (name,) = [one for one in zipfile.ZipFile(installed.wheel).namelist() if "/sboms/" in one]
    bill = json.loads(zipfile.ZipFile(installed.wheel).read(name))
    locked = set(
        re.findall(
            r"^([\w.-]+==[^\s;\\]+)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE
        )
    )

    assert re.fullmatch(r"diskwright-[\d.]+\.dist-info/sboms/diskwright\.cdx\.json", name)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert {f"{one['name']}=={one['version']}" for one in bill["components"]} == locked
    refs = {one["bom-ref"] for one in bill["components"]}
    assert bill["dependencies"] == [
        {"ref": bill["metadata"]["component"]["purl"], "dependsOn": sorted(refs)}
    ]
    assert len(refs) == len(locked) > 10


@pytest.mark.parametrize("words", [["diskwright"], ["python", "-m", "diskwright"]])
def test_the_command_is_the_same_by_either_name(installed: Installed, words: list[str]) -> None:
    assert installed.run(*words, "--version").startswith("diskwright ")


def test_it_builds(installed: Installed) -> None:
    installed.run("diskwright", "build", str(HELLO), "-o", "out", "--quiet")


@pytest.mark.slow
def test_it_checks_in_processes_of_its_own(installed: Installed) -> None:
    assert "identical" in installed.run("diskwright", "check", str(HELLO))


def test_without_pyparted_it_names_what_compiles_it(installed: Installed) -> None:
    code = (
        "import sys; sys.modules['parted'] = sys.modules['_ped'] = None\n"
        "from diskwright.engine.cli.main import main\n"
        f"sys.exit(main(['build', {str(HELLO)!r}, '-o', 'without']))"
    )

    done = subprocess.run(
        [installed.python, "-c", code],
        cwd=installed.home, env=installed.environment, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 2, done.stderr
    assert "the Python package pyparted is not installed" in done.stderr
    assert "pip install 'pyparted'" in done.stderr
    assert "apt-get install gcc libc6-dev libparted-dev" in done.stderr
    assert not (installed.home / "without").exists()


@pytest.mark.slow
def test_the_wizard_paints(installed: Installed) -> None:
    command = [str(installed.python.parent / "diskwright")]
    with Terminal(command, cwd=installed.home, env=installed.environment) as terminal:
        terminal.wait_for("Hybrid stick")
        terminal.press("ctrl+q")
        assert terminal.wait() == 0


@pytest.mark.slow
def test_an_editable_install_is_refused_with_what_to_use(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c",
         f"from setuptools import build_meta; build_meta.build_editable({str(tmp_path)!r})"],
        cwd=copy_tree(tmp_path / "tree"), capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 1
    assert "./diskwright and ./check run this folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]
