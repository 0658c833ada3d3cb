"""Where volumes come and are mounted: each in its order and at a place of its own."""

from __future__ import annotations

from collections.abc import Iterator

from engine.problem import Fix, Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.model import ImageSpec, VolumeEntry
from engine.spec.refusals import edit, error
from engine.spec.settings import Settings
from engine.spec.shape import nearest, show


def check(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Yields what is wrong with the ids that volumes and contents name, and with mount points."""
    yield from _references(spec, settings)
    yield from _circles(spec)
    yield from _mounts(settings)
    yield from _unmountable(spec, settings)
    yield from _homeless(settings)


def _references(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Ids that a key names and nothing has."""
    there = {volume.id: volume for volume in settings.volumes}
    places = [(f"volume[{i}].after", entry.after) for i, entry in enumerate(spec.volume)]
    places += [(f"volume[{i}].verity", entry.verity) for i, entry in enumerate(spec.volume)]
    places += [(f"contents[{i}].volume", entry.volume) for i, entry in enumerate(spec.contents)]
    for path, name in places:
        if name and name not in there:
            near = nearest(name, there)
            yield error(
                "no-such-volume", path,
                f"is {show(name)}, but the volumes are {', '.join(there) or 'none'}",
                f"did you mean {show(near)}?" if near else "",
                edit(f"Take {near}", (path, near)) if near else None,
            )  # fmt: skip


def _circles(spec: ImageSpec) -> Iterator[Problem]:
    """Volumes that come after themselves, at once or by way of others."""
    after = {entry.id: entry.after for entry in spec.volume if entry.after}
    for index, entry in enumerate(spec.volume):
        way = [entry.id]
        while (name := after.get(way[-1])) is not None and name not in way:
            way.append(name)
        if name == entry.id:
            path = f"volume[{index}].after"
            others = f", by way of {', '.join(way[1:])}" if way[1:] else ""
            yield error(
                "after-itself", path,
                f"is {show(entry.after)}, which puts {entry.id} behind itself{others}",
                "leave it out for the order of the list", Fix("Remove the key", ((path, None),)),
            )  # fmt: skip
            del after[entry.id]


def _unmountable(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Mount points of volumes that hold no files, which nothing can be mounted from."""
    for volume in settings.volumes:
        row, entry = FILESYSTEMS.get(volume.format), _entry(spec, volume.path)
        if row is None or row.files or entry is None or not entry.mount or entry.source:
            continue
        yield Problem(
            "mount-without-files", "warning", f"{volume.path}.mount",
            f"is {show(entry.mount)}, and {row.title} holds no files that could be mounted there",
            'write "" for nowhere', _mounted_nowhere(volume.path),
        )  # fmt: skip


def _entry(spec: ImageSpec, path: str) -> VolumeEntry | None:
    """Returns the entry that a key path names, or None for a volume of the preset."""
    return next((one for i, one in enumerate(spec.volume) if path == f"volume[{i}]"), None)


def _mounted_nowhere(path: str) -> Fix:
    return edit("Mount it nowhere", (f"{path}.mount", ""))


def _mounts(settings: Settings) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for volume in settings.volumes:
        if not volume.mount:
            continue
        place = "/" + volume.mount.strip("/")
        if place in taken and volume.path:
            yield error(
                "mount-taken", f"{volume.path}.mount",
                f"is {show(place)}, where the volume {taken[place]} is mounted",
                'give it another place, or "" for nowhere',
                _mounted_nowhere(volume.path),
            )  # fmt: skip
        taken.setdefault(place, volume.id)
    for volume in settings.volumes:
        if volume.mount and volume.mount != "/" and "/" not in taken and volume.path:
            yield error(
                "mount-without-root", f"{volume.path}.mount",
                f"is {show(volume.mount)}, and no volume is mounted at /",
                'add a root, or write "" for nowhere',
                _mounted_nowhere(volume.path),
            )  # fmt: skip


def _homeless(settings: Settings) -> Iterator[Problem]:
    """Contents that lie in no volume, since nothing is mounted above them."""
    mounts = ["/" + volume.mount.strip("/") for volume in settings.volumes if volume.mount]
    for content in settings.contents:
        target = content.target.decode(errors="replace")
        if content.volume or any(_is_below(target, mount) for mount in mounts):
            continue
        names = [volume.id for volume in settings.volumes if volume.format != "none"]
        yield error(
            "contents-without-volume", f"contents[{content.index}].volume",
            f"is missing: no volume is mounted at or above {show(target)}",
            "name the volume that it goes to",
            edit(f"Put it into {names[0]}", (f"contents[{content.index}].volume", names[0]))
            if names
            else None,
        )  # fmt: skip


def _is_below(path: str, mount: str) -> bool:
    return mount == "/" or path == mount or path.startswith(f"{mount}/")
