"""`diskwright doctor`: what this machine has, what it lacks, and what each gap costs."""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from engine.boot.firmware import find_firmware, find_grub, find_systemd_boot
from engine.tools.distribution import distribution
from engine.tools.extras import EXTRAS, Extra, extra_hint, find_program, python_hint
from engine.tools.installed import Installed, installed
from engine.tools.known import dotted, known_range, newer_than_known
from engine.tools.table import DISTRIBUTIONS, TOOLS, Distribution, Tool, install_hint

Status = Literal["ok", "new", "old", "missing"]
_MARKS: dict[Status, str] = {
    "ok": "ok",
    "new": "newer than known",
    "old": "too old",
    "missing": "missing",
}
_USABLE: frozenset[Status] = frozenset({"ok", "new"})
_PYTHON_PACKAGES = {
    "pyparted": "write partition tables",
    "textual": "open the wizard",
    "zstandard": "read qcow2 images compressed with zstd",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        kind: "tool", "library", "file" or "python".
        name: Of the executable, library, file or package.
        status: "old" where the version is below `minimum`, "new" where it is beyond `known`.
        version: As it tells itself; "" where it does not.
        minimum: Oldest version that works; "" where any does.
        known: The versions that Diskwright is proved with; "" where any does.
        path: Where it lies; "" where it is missing or has no path.
        purpose: What cannot be done without it, in the infinitive.
        packages: What provides it, by distribution.
        install: How to get it here.
    """

    kind: str
    name: str
    status: Status
    version: str = ""
    minimum: str = ""
    known: str = ""
    path: str = ""
    purpose: str
    packages: dict[Distribution, str]
    install: str


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints the findings; a gap is an answer, not a failure, so this returns 0."""
    findings = tuple(examine())
    if args.json:
        print(json.dumps(report(findings), indent=2))
    else:
        print("\n".join(lines(findings)))
    return 0


def examine() -> Iterator[Finding]:
    """Looks for everything that some build may need."""
    here = distribution()
    found = installed()
    for tool in TOOLS.values():
        yield _tool(tool, found.get(tool.name), here)
    yield _library(here)
    for tool, find, told in _FILES:
        path = find()
        finding = _finding(tool, here, kind="file", path=str(path or ""))
        yield finding if path is None else replace(finding, version=told(path))
    for name, purpose in _PYTHON_PACKAGES.items():
        yield _python(name, purpose)
    for extra in EXTRAS:
        yield _extra(extra)


def report(findings: tuple[Finding, ...]) -> dict[str, object]:
    """Returns what `--json` prints."""
    return {
        "schema": 1,
        "ok": all(finding.status in _USABLE for finding in findings),
        "distribution": distribution(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "findings": [asdict(finding) for finding in findings],
    }


def lines(findings: tuple[Finding, ...]) -> Iterator[str]:
    """Yields the report for people: a table, then what each gap costs."""
    width = max(len(finding.name) for finding in findings)
    versions = max(len(finding.version) for finding in findings)
    yield f"{'Python':{width}}  {platform.python_version():{versions}}  ok"
    for finding in findings:
        mark = _MARKS[finding.status]
        yield f"{finding.name:{width}}  {finding.version:{versions}}  {mark}"
    for new in (finding for finding in findings if finding.status == "new"):
        yield (
            f"\n{new.name} {new.version} is newer than the versions Diskwright is proved with "
            f"({new.known}); it is used."
        )
    gaps = [finding for finding in findings if finding.status not in _USABLE]
    if not gaps:
        yield "\nNothing is missing."
        return
    yield ""
    for gap in gaps:
        needed = f" (at least {gap.minimum} is needed)" if gap.status == "old" else ""
        yield f"Without {gap.name}{needed}, Diskwright cannot {gap.purpose}: {gap.install}"


def _tool(tool: Tool, found: Installed | None, here: Distribution | None) -> Finding:
    if found is None:
        return _finding(tool, here, kind="tool")
    return _finding(
        tool,
        here,
        kind="tool",
        path=found.path,
        version=found.version,
    )


def _finding(
    tool: Tool,
    here: Distribution | None,
    *,
    kind: str,
    path: str = "",
    version: tuple[int, ...] = (),
) -> Finding:
    status: Status = "ok"
    if not path:
        status = "missing"
    elif version < tool.minimum:
        status = "old"
    elif newer_than_known(tool.name, version):
        status = "new"
    return Finding(
        kind=kind,
        name=tool.name,
        status=status,
        version=dotted(version),
        minimum=dotted(tool.minimum),
        known=known_range(tool.name),
        path=path,
        purpose=tool.purpose,
        packages={name: tool.package(name) for name in DISTRIBUTIONS},
        install=install_hint(tool, here),
    )


def _library(here: Distribution | None) -> Finding:
    """Asks libext2fs for its version (`ext2fs_get_library_version` of ext2fs/ext2fs.h)."""
    try:
        library = ctypes.CDLL(_LIBRARY.name)
    except OSError:
        return _finding(_LIBRARY, here, kind="library")
    text = ctypes.c_char_p()
    library.ext2fs_get_library_version(ctypes.byref(text), None)
    version = tuple(int(part) for part in (text.value or b"").split(b".") if part.isdigit())
    return _finding(_LIBRARY, here, kind="library", path=_LIBRARY.name, version=version)


def _extra(extra: Extra) -> Finding:
    """Looks for an extra; a program of it may come from elsewhere and not tell its version."""
    version = _python_version(extra.package)
    path = (find_program(extra) or "") if extra.program else ""
    return Finding(
        kind="python",
        name=extra.package,
        status="ok" if path or (version and not extra.program) else "missing",
        version=version,
        path=path,
        purpose=extra.purpose,
        packages={},
        install=extra_hint(extra),
    )


def _python_version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _python(name: str, purpose: str) -> Finding:
    version = _python_version(name)
    return Finding(
        kind="python",
        name=name,
        status="ok" if version else "missing",
        version=version,
        purpose=purpose,
        packages={},
        install=python_hint(name),
    )


def _firmware() -> Path | None:
    firmware = find_firmware()
    return None if firmware is None else firmware.code


def _unversioned(_: Path) -> str:
    """Says nothing: such a file does not tell its version."""
    return ""


def _systemd_version(binary: Path) -> str:
    from engine.inspect.loaders import systemd_version

    try:
        return systemd_version(binary.read_bytes())
    except OSError:
        return ""


def _grub_version(kernel: Path) -> str:
    """Returns the version that GRUB's modinfo.sh beside its modules names, as packaged."""
    try:
        text = kernel.with_name("modinfo.sh").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    found = _GRUB_VERSION.search(text)
    return found[1] if found else ""


_GRUB_VERSION = re.compile(r"""^grub_package_version=["']?([^"'\s]+)""", re.MULTILINE)
_LIBRARY = Tool(
    name="libext2fs.so.2",
    purpose="fill the root file system",
    packages=("libext2fs2", "e2fsprogs-libs", "e2fsprogs", "e2fsprogs"),
)
# Files that a host's packages bring, how each is found, and how it tells its version.
_FILES: tuple[tuple[Tool, Callable[[], Path | None], Callable[[Path], str]], ...] = (
    (
        Tool(
            name="OVMF",
            purpose="boot an image by UEFI",
            packages=("ovmf", "edk2-ovmf", "edk2-ovmf", "OVMF.fd"),
        ),
        _firmware,
        _unversioned,
    ),
    (
        Tool(
            name="systemd-bootx64.efi",
            purpose="install systemd-boot",
            packages=("systemd-boot-efi", "systemd-boot-unsigned", "systemd", "systemd"),
        ),
        lambda: find_systemd_boot("systemd-bootx64.efi"),
        _systemd_version,
    ),
    (
        Tool(
            name="linuxx64.efi.stub",
            purpose="assemble a unified kernel image",
            packages=("systemd-boot-efi", "systemd-boot-unsigned", "systemd", "systemd"),
        ),
        lambda: find_systemd_boot("linuxx64.efi.stub"),
        _systemd_version,
    ),
    (
        Tool(
            name="grub i386-pc",
            purpose="install GRUB for BIOS",
            packages=("grub-pc-bin", "grub2-pc-modules", "grub", "grub2"),
        ),
        lambda: find_grub("i386-pc"),
        _grub_version,
    ),
    (
        Tool(
            name="grub x86_64-efi",
            purpose="install GRUB for UEFI",
            packages=("grub-efi-amd64-bin", "grub2-efi-x64-modules", "grub", "grub2_efi"),
        ),
        lambda: find_grub("x86_64-efi"),
        _grub_version,
    ),
)
