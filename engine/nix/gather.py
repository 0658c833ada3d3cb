"""What the `[nix]` section of a spec brings to an image: a closure, registered and installed."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace

from engine.manifest.entry import Entry, SourceChanged, order
from engine.manifest.findings import Finding
from engine.manifest.memory import directory
from engine.manifest.part import Part
from engine.manifest.quiet import without_collection
from engine.nix import install
from engine.nix.cache import NixCache
from engine.nix.channel import channel
from engine.nix.closure import Closure, StorePath
from engine.nix.roots import REPAIR_HINT, NixRefused, Roots
from engine.nix.store import Store
from engine.problem import Problem
from engine.spec.settings import Settings

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class NixContents:
    """What the section brings.

    Attributes:
        part: Its entries in the root file system, or None where it asks for nothing.
        system: Store path of the system, or "".
        folder: Where the store's files lie on this machine, or "".
        closure: All that is in the image's store, or None.
        problems: Why something cannot be brought.
    """

    part: Part | None = None
    system: str = ""
    folder: str = ""
    closure: Closure | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The part, as a scan takes it."""
        return (self.part,) if self.part is not None else ()


def gather(
    settings: Settings, environment: Mapping[str, str], cache: NixCache | None = None
) -> NixContents:
    """Asks nix what the section stands for, and reads the store. Builds nothing, never raises.

    Args:
        settings: The resolved spec.
        environment: The environment; nix's own variables in it count.
        cache: What earlier calls read; where nothing changed, the very same Part comes again.
    """
    cache = cache if cache is not None else NixCache()
    roots = Roots(settings, environment)
    try:
        closure = roots.closure() if roots.asked else None
        if closure is None and not settings.nix.config_file:
            return NixContents()
        key = _key(settings, roots, closure)
        known = cache.known(key)
        if isinstance(known, NixContents):
            return known
        with without_collection():
            brought = _bring(settings, roots, closure, cache)
    except NixRefused as refused:
        return NixContents(problems=(refused.problem,))
    cache.keep(key, brought)
    return brought


def _key(settings: Settings, roots: Roots, closure: Closure | None) -> Hashable:
    """Returns all that what is brought depends on; a store path is its own content."""
    paths = closure.paths if closure is not None else ()
    tree = settings.nix.copy_channel
    return (
        roots.system, tuple(paths), settings.nix.only_store, settings.identity.source_date_epoch,
        settings.nix.config_file, tree, _changed(settings.nix.config_file), _changed(tree),
    )  # fmt: skip


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_ctime_ns if path else 0
    except OSError:
        return 0


def _bring(
    settings: Settings, roots: Roots, closure: Closure | None, cache: NixCache
) -> NixContents:
    """Reads what is in the store and makes the image's part of it."""
    mtime_ns = settings.identity.source_date_epoch * _SECOND_NS
    findings: list[Finding] = []
    entries = [directory(b"", mtime_ns=mtime_ns)]
    prefix = b"" if settings.nix.only_store else b"nix/store"
    if closure is not None:
        entries += _store_files(closure, roots.store, prefix, cache, findings)
    channel_path, channel_entries = _channel(settings, roots, prefix)
    entries += channel_entries
    if channel_path is not None and closure is not None:
        closure = closure.plus(channel_path)
    if not settings.nix.only_store:
        entries += _installed(settings, roots, closure, channel_path, mtime_ns, findings)
    by_path = {entry.path: entry for entry in entries}
    part = Part(
        where="nix", origin="the NixOS installation",
        entries=sorted(by_path.values(), key=lambda entry: order(entry.path)),
        findings=tuple(findings),
    )  # fmt: skip
    folder = os.fsdecode(roots.store.folder) if closure is not None else ""
    return NixContents(part, roots.system, folder, closure)


def _store_files(
    closure: Closure, store: Store, prefix: bytes, cache: NixCache, findings: list[Finding]
) -> Iterator[Entry]:
    for path in closure.paths:
        try:
            yield from cache.entries(store, path.base.encode(), prefix)
        except OSError as error:
            chain = " -> ".join(closure[step].name for step in closure.why(path.path))
            gone = isinstance(error, FileNotFoundError)
            findings.append(
                Finding(
                    "store-path-missing" if gone else "store-path-unreadable",
                    "error",
                    "system",
                    f"{path.path} is valid for nix, but {os.fsdecode(error.filename or b'')} "
                    f"{'is not there' if gone else f'cannot be read ({error.strerror})'}; "
                    f"it is needed by {chain}",
                    REPAIR_HINT,
                )
            )


def _installed(
    settings: Settings, roots: Roots, closure: Closure | None, channel_path: StorePath | None,
    mtime_ns: int, findings: list[Finding],
) -> Iterator[Entry]:  # fmt: skip
    if closure is not None:
        yield from install.store_folder(mtime_ns)
        yield from install.registration(closure, mtime_ns)
    if roots.system:
        yield from install.system_profile(roots.system, mtime_ns)
    channel_path_text = channel_path.path if channel_path is not None else roots.channel_in_store
    if channel_path_text:
        yield from install.channel_profile(channel_path_text, mtime_ns)
    if settings.nix.config_file:
        try:
            yield from install.configuration(settings.nix.config_file, mtime_ns)
        except OSError as error:
            message = f"{settings.nix.config_file} cannot be read ({error.strerror or error})"
            hint = "a relative path is taken from the folder of the spec"
            findings.append(Finding("config-unreadable", "error", "config_file", message, hint))


def _channel(
    settings: Settings, roots: Roots, store: bytes
) -> tuple[StorePath | None, list[Entry]]:
    """Returns the channel, where it is a tree that is not a store path yet."""
    tree = settings.nix.copy_channel
    if not tree or roots.channel_in_store or not roots.system:
        return None, []
    try:
        return channel(tree, store)
    except (OSError, SourceChanged) as error:
        raise NixRefused(
            "channel-unreadable", "copy_channel", f"{tree} cannot be read: {error}",
            "name a folder with a nixpkgs tree",
        ) from None  # fmt: skip


def settled(settings: Settings, brought: NixContents) -> Settings:
    """Returns the settings with the system as the store path it stands for."""
    if not brought.system:
        return settings
    nix = replace(settings.nix, system=brought.system, folder=brought.folder)
    return replace(settings, nix=nix)
