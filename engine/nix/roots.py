"""From what the `[nix]` section names to valid store paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from engine.nix import ask
from engine.nix.closure import BadClosure, Closure
from engine.nix.store import NoFolder, Store, locate
from engine.problem import Problem, errors
from engine.spec.installable import STORE_PREFIX, Attribute, Flake, InStore, parse
from engine.spec.settings import Settings
from engine.tools.distribution import distribution
from engine.tools.table import TOOLS, install_hint

# What cannot be evaluated without building (import from derivation) is nix's to judge, too.
_UNBUILT = ({"system-not-built"}, {"system-unknown"})
REPAIR_HINT = "`nix-store --verify --check-contents --repair` mends a store"


def is_unbuilt(problems: Iterable[Problem]) -> bool:
    """Whether all that keeps a plan from being built is that nix must build its system first."""
    return {problem.code for problem in errors(problems)} in _UNBUILT


class NixRefused(Exception):
    """The section cannot be carried out.

    Attributes:
        problem: The reason.
    """

    def __init__(self, code: str, key: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, "error", f"nix.{key}", message, hint)


class Roots:
    """The store paths that a spec names, and the store that they are in.

    Attributes:
        system: Store path of the system, once `closure` has found it.
        store: The store, likewise.
    """

    store: Store

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self.environment = environment
        self.system = ""
        self._keys: dict[str, str] = {}

    @property
    def asked(self) -> bool:
        """Whether the section names any store path."""
        settings = self.settings
        return bool(settings.nix.system or settings.nix.additional_paths or self.channel_in_store)

    @property
    def channel_in_store(self) -> str:
        """The channel, where it is a store path already."""
        path = self.settings.nix.copy_channel
        return top(path) if path.startswith(STORE_PREFIX) else ""

    def closure(self) -> Closure:
        """Returns the closure of all that is named.

        Raises:
            NixRefused: It is not to be had.
        """
        self.store = self._store()
        self._require()
        if self.settings.nix.system:
            self.system = self._system(self.store)
            self._keys[self.system] = "system"
        for index, path in enumerate(self.settings.nix.additional_paths):
            key = f"additional_paths[{index}]"
            if not path.startswith(STORE_PREFIX):
                raise NixRefused(
                    "not-a-store-path", key, f'"{path}" is not a store path',
                    f"a store path starts with {STORE_PREFIX}; contents takes any other file",
                )  # fmt: skip
            self._keys.setdefault(top(path), key)
        if self.channel_in_store:
            self._keys.setdefault(self.channel_in_store, "copy_channel")
        return self._ask(self.store)

    def _ask(self, store: Store) -> Closure:
        if not os.path.isdir(store.folder):  # nix would make one, and find it empty
            root = next(iter(self._keys))
            raise self._not_valid(root, self._keys[root], store)
        try:
            return ask.closure(tuple(self._keys), store, self.environment)
        except ask.NotValid as error:
            key = self._keys.get(error.path, "system")
            raise self._not_valid(error.path, key, store) from None
        except (BadClosure, ask.NixFailed) as error:
            raise NixRefused("nix-failed", "system", f"nix says: {error}", REPAIR_HINT) from None

    def _not_valid(self, path: str, key: str, store: Store) -> NixRefused:
        where = f"the store {store.name}" if store.name else "this machine's store"
        if key == "system" and not isinstance(parse(self.settings.nix.system), InStore):
            return NixRefused(
                "system-not-built", "system",
                f"{self.settings.nix.system} is not built yet: {path} is not in {where}",
                "`diskwright build` has nix build it first, or build it yourself with `nix build`",
            )  # fmt: skip
        return NixRefused(
            "not-in-store", key, f"{path} is not a valid path of {where}",
            "build it or `nix copy` it there, or name the store that has it in nix.store",
        )  # fmt: skip

    def _store(self) -> Store:
        try:
            return locate(self.settings.nix.store, self.environment)
        except NoFolder as error:
            raise NixRefused(
                "store-elsewhere", "store", str(error),
                "`nix copy --to /some/folder` makes a local copy, and nix.store names it",
            ) from None  # fmt: skip

    def _require(self) -> None:
        try:
            ask.require(self.environment)
        except ask.NixMissing as error:
            raise NixRefused(
                "nix-missing", "system" if self.settings.nix.system else "additional_paths",
                f"{error}; it alone knows what a store path needs to run",
                install_hint(TOOLS["nix"], distribution()),
            ) from None  # fmt: skip

    def _system(self, store: Store) -> str:
        installable = parse(self.settings.nix.system)
        if isinstance(installable, InStore):
            return top(installable.path)
        if isinstance(installable, Flake) and os.path.islink(installable.reference):
            target = os.path.realpath(installable.reference)
            if target.startswith(STORE_PREFIX):
                return top(target)
        return self._evaluated(installable, store)

    def _evaluated(self, installable: Flake | Attribute, store: Store) -> str:
        try:
            return ask.evaluate(installable, store, self.environment)
        except ask.NixFailed as error:
            raise NixRefused(
                "system-unknown", "system",
                f"{self.settings.nix.system} cannot be evaluated: {error}",
                "try `nix eval` on it; a NixOS flake's system is "
                "#nixosConfigurations.NAME.config.system.build.toplevel",
            ) from None  # fmt: skip


def top(path: str) -> str:
    """Returns the store path that a path lies in."""
    return STORE_PREFIX + path.removeprefix(STORE_PREFIX).partition("/")[0]
