"""Which Nix store is asked, and where its files lie on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from engine.nix.closure import STORE

# Names by which nix means the store of this machine, reached one way or another.
_HERE = ("", "auto", "daemon", "local")


class NoFolder(ValueError):
    """A store whose files cannot be read from this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Store:
    """A Nix store.

    Attributes:
        name: As `--store` takes it; "" for nix's own default.
        folder: Where the files of /nix/store lie on this machine.
    """

    name: str
    folder: bytes

    @property
    def arguments(self) -> tuple[str, ...]:
        """What selects it on nix's command line."""
        return ("--store", self.name) if self.name else ()

    def place(self, path: str) -> bytes:
        """Returns where a store path lies on this machine."""
        return os.path.join(self.folder, os.fsencode(path.removeprefix(f"{STORE}/")))


def locate(name: str, environment: Mapping[str, str]) -> Store:
    """Finds a store (nix.conf(5), "store"; the Nix manual, "Store types").

    Args:
        name: Value of `nix.store`, or "" for the environment's NIX_REMOTE.
        environment: The environment that nix would run in.

    Raises:
        NoFolder: It is another machine's, or its paths are not in /nix/store.
    """
    logical = environment.get("NIX_STORE_DIR", STORE)
    if logical.rstrip("/") != STORE:
        raise NoFolder(
            f"NIX_STORE_DIR is {logical}: its paths would not be found in an image, "
            f"whose store is {STORE}"
        )
    name = name or environment.get("NIX_REMOTE", "")
    where, _, query = name.partition("?")
    options = {key: values[-1] for key, values in parse_qs(query).items()}
    scheme, separator, path = where.partition("://")
    if not separator:
        scheme, path = ("local", where) if where.startswith("/") else (where, "")
    if scheme not in {*_HERE, "unix"}:
        raise NoFolder(f'"{name}" is a store on another machine')
    chroot = options.get("root") or (unquote(path) if scheme == "local" else "")
    folder = options.get("real") or chroot.rstrip("/") + STORE
    return Store(name, os.fsencode(folder))
