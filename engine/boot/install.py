"""The contents of an image with its loader in them: what sizes, plan and writers then read."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.boot import fstab, references, repart
from engine.boot.assemble import BootAssets, assemble
from engine.boot.overlay import overlay
from engine.boot.wanted import is_own
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.manifest.memory import copy
from engine.manifest.mounted import mounted
from engine.problem import Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.settings import Settings

# The one file of ours on the ESP that contents may bring themselves: it is configuration.
_CONFIGURABLE = b"LOADER/LOADER.CONF"
_NOTHING = Manifest(())


Contents = Mapping[str, Manifest]
"""What goes into each volume, by its id."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The entries of an image, its loader's included.

    Attributes:
        volumes: By id of the volume.
        boot: What the loader brought.
    """

    volumes: Contents
    boot: BootAssets


class LoaderCache:
    """The last answer of `install`, so that planning again costs nothing while it holds."""

    def __init__(self) -> None:
        self._known: tuple[Hashable, Contents, Installed] | None = None
        self.mounted: tuple[Installed, Hashable, Installed] | None = None
        """What /etc/fstab and its kind were added to last, which they were, and the answer."""
        self._overlaid: dict[tuple[str, str], tuple[Manifest, Hashable, Manifest]] = {}

    def get(self, key: Hashable, contents: Contents) -> Installed | None:
        """Returns the answer for this key and these very manifests, if it was the last."""
        if self._known is None:
            return None
        known, before, answer = self._known
        same = known == key and before.keys() == contents.keys()
        same = same and all(before[name] is contents[name] for name in before)
        return answer if same else None

    def overlaid(
        self,
        name: tuple[str, str],
        manifest: Manifest,
        added: Sequence[Entry],
        removed: Iterable[bytes] = (),
    ) -> Manifest:
        """Returns what `overlay` does; the last answer where nothing differs.

        Args:
            name: The volume, and which files of it these are.
            manifest: What they go to.
            added: Files.
            removed: Paths left out.
        """
        said = tuple(map(_described, added)), tuple(removed)
        known = self._overlaid.get(name)
        if known is None or known[0] is not manifest or known[1] != said:
            known = manifest, said, overlay(manifest, added, removed)
            self._overlaid[name] = known
        return known[2]

    def put(self, key: Hashable, contents: Contents, answer: Installed) -> None:
        """Keeps an answer."""
        self._known = key, contents, answer


def install(settings: Settings, contents: Contents, cache: LoaderCache | None = None) -> Installed:
    """Adds the loader to what was scanned. Writes nothing; see `engine.boot.assemble`.

    Args:
        settings: The spec, resolved.
        contents: What was scanned, by id of the volume.
        cache: Kept from one call to the next of a session.
    """
    key, cache = _relevant(settings), cache or LoaderCache()
    known = cache.get(key, contents)
    if known is None:
        known = _install(settings, contents, cache)
        # What is missing on this machine may be installed by the time it is asked again.
        lacks = known.boot.missing or (known.boot.filler is not None and known.boot.filler.lacks)
        if not lacks:
            cache.put(key, contents, known)
    return _mounted(settings, contents, known, cache)


def _mounted(
    settings: Settings, contents: Contents, known: Installed, cache: LoaderCache
) -> Installed:
    """Adds what mounts and grows the volumes, and what the contents name that is not there."""
    tree = mounted(settings.volumes, contents)
    if settings.root is None or not tree.place(b"etc").volume:  # no volume is mounted at /
        return known
    there = references.devices(settings, tree)
    text, problems = fstab.text(settings, tree, there)
    menu = is_own(settings)
    problems = (*problems, *references.problems(settings, tree, contents, there, menu=menu))
    if problems:
        known = replace(known, boot=replace(known.boot, problems=(*known.boot.problems, *problems)))
    made = [] if text is None else [fstab.entry(settings, tree, text)]
    made += repart.files(settings, tree, known.boot.architecture)
    if not made:
        return known
    said = tuple((volume, entry.path, entry.stamp) for volume, entry in made)
    if cache.mounted is not None and not problems:
        before, earlier, answer = cache.mounted
        if before is known and earlier == said:
            return answer
    changed = dict(known.volumes)
    for volume in {volume for volume, _ in made}:
        files = [entry for home, entry in made if home == volume]
        changed[volume] = cache.overlaid((volume, "mounts"), changed[volume], files)
    answer = replace(known, volumes=changed)
    cache.mounted = known, said, answer
    return answer


def _relevant(settings: Settings) -> Hashable:
    """Returns what the loader depends on."""
    return (
        settings.compat,
        replace(settings.layout, label="", fstab=""),
        replace(
            settings.boot, firmware="", firmware_variables="", prove=False, expect="", timeout=0
        ),
        settings.volume_entries,
        settings.contents,
        settings.nix,
        replace(
            settings.identity, seed="", disk_guid="", disk_signature="", root_partition_guid=""
        ),
        tuple((volume.uuid, settings.partuuid(volume)) for volume in settings.volumes),
    )


def _described(entry: Entry) -> Hashable:
    """Returns all that an entry is; one with data of another origin is never the same."""
    return (
        entry.path, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.target,
        entry.rdev, entry.xattrs, entry.extents, entry.link_to, entry.source, entry.stamp,
    )  # fmt: skip


def _install(settings: Settings, contents: Contents, cache: LoaderCache) -> Installed:
    assets = assemble(settings, contents)
    changed = dict(contents)
    problems = [*assets.problems]
    for volume in settings.volumes:
        if not FILESYSTEMS[volume.format].files:
            continue
        manifest = contents.get(volume.id, _NOTHING)
        own, system = assets.loader_files.get(volume.id, ()), assets.system_files.get(volume.id, ())
        if volume.format == "vfat":
            files, taken = _onto_fat(manifest, own, system)
            problems += taken
        else:
            files = [*own, *system]
        if volume.id in contents or files:
            removed = assets.removed.get(volume.id, ())
            changed[volume.id] = cache.overlaid((volume.id, "loader"), manifest, files, removed)
    return Installed(changed, replace(assets, problems=tuple(problems)))


def _onto_fat(
    volume: Manifest, own: Iterable[Entry], system: Iterable[Entry]
) -> tuple[list[Entry], list[Problem]]:
    """Returns files under the spelling that the volume's contents use, as FAT would.

    Args:
        volume: What the contents put there.
        own: The loader's files, which nothing else may be in the place of.
        system: Files that replace what is there.
    """
    there = {entry.path.upper(): entry for entry in volume}
    placed, problems = [], []
    for file in own:
        taken = there.get(file.path.upper())
        if taken is None:
            placed.append(_spelled(file, there))
        elif file.path.upper() != _CONFIGURABLE:
            problems.append(_taken(taken))
    return [*placed, *(_spelled(file, there) for file in system)], problems


def _spelled(file: Entry, there: dict[bytes, Entry]) -> Entry:
    parts = file.path.split(b"/")
    for depth in range(len(parts), 0, -1):
        folder = there.get(b"/".join(parts[:depth]).upper())
        if folder is not None:
            renamed = copy(file)
            renamed.path = b"/".join((folder.path, *parts[depth:]))
            return renamed
    return file


def _taken(entry: Entry) -> Problem:
    origin = f" ({entry.source.describe(entry)})" if entry.source is not None else ""
    return Problem(
        code="loader-file-taken",
        severity="error",
        path="boot.loader",
        message=f"the contents put /{entry.path.decode(errors='backslashreplace')}{origin} on the "
        "ESP, where the loader has a file of its own",
        hint='exclude it from the contents, or set boot.loader = "none"',
    )
