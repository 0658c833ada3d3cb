"""Asks nix: one process each, its answer or a reason in words.

The only module of this package that starts a process, and it starts none that builds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from engine.nix.closure import BadClosure, Closure, StorePath, parse
from engine.nix.store import Store
from engine.spec.installable import Attribute, Flake
from engine.tools.answer import answer
from engine.tools.environment import nix_environment
from engine.tools.installed import find, version_of
from engine.tools.table import TOOLS

EXPERIMENTAL = ("--extra-experimental-features", "nix-command flakes")
_INVALID = re.compile(r"path '(/nix/store/[^']+)' is not valid")
# Lines of nix that are not part of the reason.
_NOISE = ("warning:", "don't know how to build", "copying ", "evaluating ")


class NixMissing(Exception):
    """There is no nix, or one that is too old; the message says which."""


class NixFailed(Exception):
    """Nix refused; the message is its own reason."""


class NotValid(NixFailed):
    """A path is not a valid one of the store.

    Attributes:
        path: The path.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is not in the store")
        self.path = path


def require(environment: Mapping[str, str]) -> None:
    """Makes sure that there is a nix that can be asked.

    Raises:
        NixMissing: There is none.
    """
    path = find("nix", environment)
    if path is None:
        raise NixMissing("nix is not installed")
    tool = TOOLS["nix"]
    version = _version(path, tool.version)
    if version and version < tool.minimum:
        raise NixMissing(
            f"{path} is version {_dotted(version)}, and {_dotted(tool.minimum)} or newer is needed"
        )


_version = cache(version_of)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def closure(roots: Sequence[str], store: Store, environment: Mapping[str, str]) -> Closure:
    """Returns the closure of store paths.

    Raises:
        NotValid: One is not a valid path of the store.
        NixFailed: Nix does not answer.
        BadClosure: What it answers is not a closure.
    """
    said = _nix(("path-info", *store.arguments, "--json", "--recursive", *roots), environment)
    return Closure(parse(said), tuple(roots))


def path_info(path: str, store: Store, environment: Mapping[str, str]) -> StorePath:
    """Returns what the store knows of one path.

    Raises:
        NotValid: It is not a valid path of the store.
        NixFailed: Nix does not answer.
    """
    known = parse(_nix(("path-info", *store.arguments, "--json", path), environment))
    if not known:
        raise NotValid(path)
    return known[0]


def evaluate(installable: Flake | Attribute, store: Store, environment: Mapping[str, str]) -> str:
    """Returns the store path that something would have once it is built; builds nothing.

    Raises:
        NixFailed: It cannot be evaluated.
    """
    if isinstance(installable, Attribute):
        what: tuple[str, ...] = ("-f", installable.file, f"{installable.name}.outPath")
    else:
        reference, mark, attribute = installable.reference.partition("#")
        what = (f"{reference}#{attribute if mark else 'default'}.outPath",)
    argv = ("eval", *store.arguments, "--read-only", "--raw", *what)
    return _nix(argv, environment).decode()


def literal(text: str, environment: Mapping[str, str]) -> bytes:
    """Returns a Nix expression's value as JSON.

    Raises:
        NixFailed: It cannot be evaluated, or has no JSON form.
    """
    # A store of no account: evaluation alone needs one to exist, and must not touch the real one.
    return _nix(("eval", "--store", "dummy://", "--json", "--impure", "--expr", text), environment)


def _nix(arguments: Sequence[str], environment: Mapping[str, str]) -> bytes:
    command = ("nix", *EXPERIMENTAL, *arguments)
    done = answer(command, env=nix_environment(environment))
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace")
    if found := _INVALID.search(said):
        raise NotValid(found[1])
    raise NixFailed(reason(said) or f"nix exited with status {done.returncode}")


def reason(said: str) -> str:
    """Returns the part of nix's standard error that says why, on one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    at = next((i for i, line in enumerate(lines) if line.startswith("error:")), None)
    kept = lines[at:] if at is not None else lines[-3:]
    kept = [line for line in kept if not line.startswith(_NOISE)]
    return " ".join(kept[:12]).removeprefix("error:").strip()


__all__ = [
    "BadClosure", "NixFailed", "NixMissing", "NotValid", "closure", "evaluate", "literal",
    "path_info", "reason", "require",
]  # fmt: skip
