"""What pyproject.toml cannot say: `engine` and `tui` are installed inside of `diskwright`.

Here the folders `engine/` and `tui/` are packages at the top, beside the module diskwright.py,
which is the library's surface. In a site-packages, where many projects meet, only `diskwright` is:

    diskwright/__init__.py     diskwright.py
    diskwright/__main__.py     engine/cli/__main__.py
    diskwright/engine, tui     the folders

so that a wheel's modules name each other as `diskwright.engine...` (see `rehomed`). Wheel and
source archive are the same bytes for the same tree and SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import ast
import gzip
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
HOME = "diskwright"
ROOMS = ("engine", "tui")
_NAMES_MODULE = re.compile(rf"(?<![\w./-])(?:{'|'.join(ROOMS)})(?:\.[A-Za-z_]\w*)+")

DATA = {
    "share/diskwright": ["schema/diskwright.schema.json"],
    "share/man/man1": ["man/diskwright.1"],
    "share/man/man5": ["man/diskwright.toml.5"],
    "share/bash-completion/completions": ["completions/diskwright"],
    "share/zsh/site-functions": ["completions/_diskwright"],
    "share/fish/vendor_completions.d": ["completions/diskwright.fish"],
}
"""Files below an installation's prefix: their folder there, and their places here."""

_MADE = re.compile(
    r"(^|/)(__pycache__|\.git|\.venv[^/]*|\.[a-z_]+_cache|\.hypothesis|[^/]+\.egg-info|[^/]+\.pyc)(/|$)"
    r"|^(build|dist|out)/|^PKG-INFO$"
)
"""Paths that a source archive never has: a clone has none of them, a folder in use may."""


def rehomed(source: str, modules: Iterable[str]) -> str:
    """Returns a module's source with `engine` and `tui` as parts of `diskwright`.

    Imports, and strings that are the name of a module, get the longer name; nothing else changes,
    and every line stays where it is.

    Args:
        source: Python source.
        modules: Dotted names of all modules of this tree.

    Raises:
        ValueError: A module is named in a way that cannot be rewritten safely.
    """
    known = frozenset(modules)
    lines = source.encode().splitlines(keepends=True)
    for line, column, name, behind in sorted(_mentions(ast.parse(source), known), reverse=True):
        text = lines[line - 1]
        begin = text.find(name.encode(), column)
        assert begin >= 0, f"line {line} does not show {name}"
        end = begin + len(name.encode())
        lines[line - 1] = text[:begin] + f"{HOME}.{name}{behind}".encode() + text[end:]
    return b"".join(lines).decode()


def _mentions(tree: ast.Module, known: frozenset[str]) -> Iterator[tuple[int, int, str, str]]:
    """Yields each mention of a module: line, least column in bytes, name, what goes behind it."""
    passed_over: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed_over.add(node.value)  # a docstring is for people
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if (node.module or "").partition(".")[0] in ROOMS:
                yield node.lineno, node.col_offset, node.module or "", ""
        elif isinstance(node, ast.Import):
            for alias in node.names:
                room, dot, _ = alias.name.partition(".")
                if room not in ROOMS:
                    continue
                if dot and not alias.asname and len(node.names) > 1:
                    raise ValueError(f"line {node.lineno}: import one module a line")
                bound = f"; import {HOME}.{room} as {room}" if dot else f" as {room}"
                yield alias.lineno, alias.col_offset, alias.name, "" if alias.asname else bound
        elif isinstance(node, ast.JoinedStr):
            passed_over.update(node.values)
            texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            if any(_NAMES_MODULE.search(str(text)) for text in texts):
                raise ValueError(f"line {node.lineno}: a name is put together; use __package__")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node in passed_over:
                continue
            if node.value in known and "." in node.value:
                yield node.lineno, node.col_offset, node.value, ""
            elif known.intersection(_NAMES_MODULE.findall(node.value)):
                raise ValueError(f"line {node.lineno}: a text names a module")


@cache
def modules() -> frozenset[str]:
    """Returns the dotted names of all modules of `engine` and `tui`."""
    paths = [path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return frozenset(
        ".".join((path.parent if path.stem == "__init__" else path.with_suffix("")).parts)
        for path in paths
    )


def sources(root: Path) -> list[str]:
    """Returns the sorted paths of a source archive: what git tracks, or all there is."""
    if (root / ".git").exists():
        listed = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-z"],
            cwd=root, capture_output=True, check=True,
        ).stdout.decode().split("\0")  # fmt: skip
    else:
        listed = [
            str(Path(folder, name).relative_to(root))
            for folder, _folders, names in os.walk(root)
            for name in names
        ]
    return sorted(
        path for path in listed if path and not _MADE.search(path) and os.path.lexists(root / path)
    )


def sbom(version: str, lock: str) -> str:
    """Returns the bill of materials: the versions that Diskwright is tested with.

    The wheel has none of these packages in it; pip may choose others that fit its metadata.

    Args:
        version: Diskwright's own.
        lock: The text of requirements.lock.

    Returns:
        CycloneDX 1.6 as JSON (ECMA-424), without time and serial number, which would differ.
    """
    own = f"pkg:pypi/{HOME}@{version}"
    pins = sorted(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE))
    purls = {name: f"pkg:pypi/{name.lower().replace('_', '-')}@{pin}" for name, pin in pins}
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": HOME,
                "version": version,
                "licenses": [{"license": {"id": "GPL-3.0-or-later"}}],
                "purl": own,
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": purls[name],
                "name": name,
                "version": pin,
                "scope": "required",
                "purl": purls[name],
            }
            for name, pin in pins
        ],
        "dependencies": [{"ref": own, "dependsOn": sorted(purls.values())}],
    }
    return json.dumps(bill, indent=2) + "\n"


class BuildPy(build_py):
    """Puts the modules below `diskwright`."""

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        """Copies a module, rewritten."""
        target, copied = super().build_module(module, module_file, package)  # type: ignore[no-untyped-call]
        self._write(Path(target), Path(module_file))
        return target, copied

    def run(self) -> None:
        """Builds all modules and those of `diskwright` itself."""
        super().run()
        home = Path(self.build_lib) / HOME
        self._write(home / "__init__.py", ROOT / "diskwright.py")
        self._write(home / "__main__.py", ROOT / "engine/cli/__main__.py")
        (home / "py.typed").touch()

    def _write(self, target: Path, source: Path) -> None:
        try:
            target.write_text(rehomed(source.read_text("utf-8"), modules()), "utf-8")
        except ValueError as error:
            sys.exit(f"{source}, {error}")


class BdistWheel(bdist_wheel):
    """Adds the bill of materials, and leaves the umask of whoever builds out of the wheel."""

    def write_wheelfile(self, wheelfile_base: str, *others: str) -> None:
        """Writes the last files, then settles the modes of all."""
        super().write_wheelfile(wheelfile_base, *others)
        bill = Path(wheelfile_base) / "sboms" / f"{HOME}.cdx.json"  # where PEP 770 has it
        bill.parent.mkdir()
        metadata = self.distribution.metadata
        text = sbom(str(metadata.version), (ROOT / "requirements.lock").read_text("utf-8"))
        bill.write_text(text, "utf-8")
        for path in Path(str(self.bdist_dir)).rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)


class Sdist(sdist):
    """Archives what git tracks, or an unpacked archive as it is."""

    def make_distribution(self) -> None:
        """Writes the archive."""
        base = self.distribution.get_fullname()
        archive = Path(str(self.dist_dir)) / f"{base}.tar.gz"
        archive.parent.mkdir(parents=True, exist_ok=True)
        epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
        made = Path(str(vars(self.get_finalized_command("egg_info"))["egg_info"])) / "PKG-INFO"
        with (
            archive.open("wb") as file,
            gzip.GzipFile("", "wb", mtime=epoch, fileobj=file) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name, path in [("PKG-INFO", made), *((n, ROOT / n) for n in sources(ROOT))]:
                entry = tar.gettarinfo(path, f"{base}/{name}")
                entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = epoch, 0, 0, "", ""
                if entry.islnk():
                    entry.type, entry.linkname = tarfile.REGTYPE, ""
                    entry.size = path.stat().st_size
                entry.mode = 0o755 if entry.mode & 0o100 else 0o644
                if entry.isreg():
                    with path.open("rb") as data:
                        tar.addfile(entry, data)
                else:
                    tar.addfile(entry)
        self.archive_files = [str(archive)]


class EditableWheel(editable_wheel):
    """Refuses: modules cannot be rewritten and stay where they are."""

    def run(self) -> None:
        """Names what development uses instead."""
        sys.exit("Diskwright has no editable install: ./diskwright and ./check run this folder")


def main() -> None:
    """Builds what pip asks for."""
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as scratch:  # what an earlier build left must not get in
        setup(
            packages=[
                f"{HOME}.{name}" for room in ROOMS for name in find_packages(include=[f"{room}*"])
            ],
            package_dir={f"{HOME}.{room}": room for room in ROOMS},
            package_data={f"{HOME}.engine": ["**/*.toml"], f"{HOME}.tui": ["**/*.tcss"]},
            data_files=list(DATA.items()),
            options={"build": {"build_base": scratch}},
            cmdclass={
                "build_py": BuildPy,
                "bdist_wheel": BdistWheel,
                "sdist": Sdist,
                "editable_wheel": EditableWheel,
            },
        )


if __name__ == "__main__":
    main()
