"""Plants hostile files in place of the machine's own: `python -m engine.trust.plant FOLDER ...`.

It runs in a mount namespace of its own, which `unshare_command` makes, and becomes the command
that the other words give. Nothing outside of the namespace changes: /etc is covered by an empty
file system, into which every entry of the real one is bound again, and then what is in FOLDER.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from engine.tools.influences import INFLUENCES

# Flags of mount(2).
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_ETC = Path("/etc")
_PLANTED, _COVERED = "planted", "covered"
MODULE = "engine.trust.plant"


def etc_files() -> dict[str, str]:
    """Returns the files to plant below /etc, by name."""
    return {name: text for row in INFLUENCES for name, text in row.etc.items()}


def home_files() -> dict[str, str]:
    """Returns the files to plant in the home folder, by name."""
    return {name: text for row in INFLUENCES for name, text in row.home.items()}


def variables(home: Path) -> dict[str, str]:
    """Returns the hostile variables for a process with this home folder."""
    return {
        name: f"{home}{value[1:]}" if value.startswith("~/") else value
        for row in INFLUENCES
        for name, value in row.variables.items()
    }


def unshare_command() -> tuple[str, ...]:
    """Returns the command that runs another where mounts are nobody else's.

    An ordinary user needs a user namespace for that, and is root in it.
    """
    words = ("unshare", "--mount", "--propagation", "private")
    return (*words, "--") if os.getuid() == 0 else (*words, "--user", "--map-root-user", "--")


def prepare(folder: Path) -> None:
    """Makes in a new folder what `plant` needs."""
    (folder / _COVERED).mkdir(parents=True)
    write_files(folder / _PLANTED, etc_files())


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Writes files into a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)


def plant(folder: Path) -> None:
    """Covers /etc in this process's mount namespace, which must not be the machine's own.

    Raises:
        OSError: The machine does not allow it.
    """
    covered, planted = folder / _COVERED, folder / _PLANTED
    _mount(None, Path("/"), _MS_REC | _MS_PRIVATE)
    _mount(_ETC, covered, _MS_BIND | _MS_REC)
    _mount("tmpfs", _ETC, 0, "tmpfs", "mode=755")
    ours = {path.name for path in planted.iterdir()}
    for path in covered.iterdir():
        if path.name not in ours:
            _bind(path, _ETC / path.name)
    for path in planted.iterdir():
        (_ETC / path.name).write_bytes(path.read_bytes())


def _bind(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()
    _mount(source, target, _MS_BIND | _MS_REC)


def _mount(
    source: Path | str | None, target: Path, flags: int, kind: str = "", options: str = ""
) -> None:
    mount = ctypes.CDLL(None, use_errno=True).mount
    words = (None if source is None else os.fsencode(source), os.fsencode(target), kind.encode())
    if mount(*words, ctypes.c_ulong(flags), options.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def main(words: Sequence[str]) -> NoReturn:
    """Plants and becomes the command, or ends with a reason."""
    try:
        plant(Path(words[0]))
    except OSError as error:
        sys.exit(f"{error.filename} cannot be covered: {error.strerror}")
    os.execvp(words[1], list(words[1:]))  # noqa: S606 - the words are a command


if __name__ == "__main__":
    main(sys.argv[1:])
