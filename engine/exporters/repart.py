"""A spec as a folder of partition definitions for systemd-repart.

Source: repart.d(5) of systemd 257; older versions pass over keys that they do not know.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.disk.discoverable import name_of, role_of_type
from engine.disk.volume import Volume
from engine.problem import Problem, Refused
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.given import general, given
from engine.spec.model import ImageSpec
from engine.spec.settings import ContentSettings, Settings
from engine.spec.shape import show
from engine.units import MIB, format_exact

HEAD = "# Written by diskwright export."
"""First line of every file, by which a later export knows its own."""
_WEIGHT = 1000
_MOST_WEIGHT = 1_000_000
_BITS = {"legacy-boot": 2, "grow-file-system": 59, "read-only": 60, "no-auto": 63}
_SWITCHES = {"grow-file-system": "GrowFileSystem", "read-only": "ReadOnly", "no-auto": "NoAuto"}
_SWITCHED = {"root", "usr", "home", "srv", "var", "tmp", "xbootldr"}
"""Roles of types whose attributes have switches of their own."""

_CARRIED = {
    "schema", "name", "compat", "layout.table", "layout.filesystem", "size.boot",
    "identity.root_partition_guid", "identity.seed", "identity.deterministic",
    "volume[].id", "volume[].role", "volume[].format", "volume[].mount", "volume[].size",
    "volume[].grow", "volume[].min", "volume[].guid", "volume[].name", "volume[].type",
    "volume[].flags", "volume[].compression", "volume[].subvolumes",
    "volume[].default_subvolume", "volume[].source", "volume[].verity",
    "volume[].after", "volume[].free", "volume[].label", "layout.label",
    "contents[].source", "contents[].target", "contents[].volume", "contents[].partition",
    "contents[].exclude", "contents[].extract",
}  # fmt: skip
"""Keys that definitions say, or about which a note says more than that they do not."""
_WHY = {
    "volume[].uuid": "systemd-repart derives it from that of the partition",
    "volume[].offset": "systemd-repart makes partitions only",
    "identity.root_filesystem_uuid": "systemd-repart derives it from that of the partition",
    "identity.disk_guid": "systemd-repart derives it from its --seed=",
    "identity.source_date_epoch": "SOURCE_DATE_EPOCH says it in the environment",
    "layout.sector_size": "systemd-repart has --sector-size= for it",
    "layout.pmbr_boot": "systemd-repart leaves the protective entry inactive",
    "size.disk": "systemd-repart has --size= for it",
    "size.additional": "a partition has a least size, but not room beyond its files",
}
_OTHERWISE = "a definition has no key for it"


@dataclass(slots=True)
class Exported:
    """A folder of definitions.

    Attributes:
        files: Texts by name, in disk order.
        notes: What of the spec they do not say.
    """

    files: dict[str, str] = field(default_factory=dict)
    notes: list[Problem] = field(default_factory=list)

    def note(self, path: str, what: str, why: str) -> None:
        """Adds that something is not carried over, and why."""
        self.notes.append(Problem("not-carried-over", "warning", path, what, why))


def export(spec: ImageSpec, settings: Settings) -> Exported:
    """Returns the definitions that stand for a spec.

    Args:
        spec: As authored.
        settings: The same, resolved.

    Raises:
        Refused: Its table is not a GPT.
    """
    if settings.scheme != "gpt":
        raise Refused([
            Problem(
                "export-needs-gpt", "error", "layout.table",
                f'is "{settings.layout.table}", and systemd-repart makes GPTs only',
                'take a layout with a GPT, such as "efi"',
            )
        ])  # fmt: skip
    exported = Exported()
    volumes = [volume for volume in settings.volumes if volume.partitioned]
    copied = _copied(settings, exported)
    trees = {volume.verity for volume in volumes if volume.verity}
    width = len(str(10 * len(volumes)))
    for number, volume in enumerate(volumes, start=1):
        lines = [HEAD, "[Partition]", *_identity(volume, exported)]
        lines += _sizes(volume, bool(copied[volume.id]), exported)
        lines += _inside(volume, copied[volume.id], trees)
        lines += _attributes(volume)
        name = f"{10 * number:0{width}}-{volume.id}.conf"
        exported.files[name] = "".join(f"{line}\n" for line in lines)
    for path, value in given(spec, ""):
        key = general(path)
        if key not in _CARRIED:
            exported.note(path, f"is {show(value)}", _WHY.get(key, _OTHERWISE))
    return exported


def _identity(volume: Volume, exported: Exported) -> Iterator[str]:
    role = volume.purpose
    type_ = volume.type or role.type("gpt", "x86_64")
    # A role's name follows the machine; a type that is given does not.
    follows = not volume.type and role.gpt_by_architecture
    yield f"Type={role.key if follows else name_of(type_) or type_.lower()}"
    if volume.name:
        yield f"Label={_escaped(volume.name)}"
    if volume.guid:
        yield f"UUID={volume.guid.lower()}"
    row = FILESYSTEMS.get(volume.format)
    labelled = row is not None and row.label_bytes and volume.label
    if labelled and volume.label != volume.name:
        exported.note(
            f"{volume.path}.label" if volume.path else "layout.label",
            f"is {show(volume.label)}", "systemd-repart labels a file system like its partition",
        )  # fmt: skip


def _sizes(volume: Volume, filled: bool, exported: Exported) -> Iterator[str]:
    if volume.size is not None:
        yield f"SizeMinBytes={volume.size}"
        yield f"SizeMaxBytes={volume.size}"
        return
    least = max(volume.least, volume.free or 0)
    if least or not filled:
        yield f"SizeMinBytes={max(least, MIB)}"
    if volume.grow:
        yield f"Weight={min(volume.grow * _WEIGHT, _MOST_WEIGHT)}"
        return
    yield "Weight=0"
    if filled:
        row = FILESYSTEMS.get(volume.format)
        yield f"Minimize={'guess' if row is None or row.writable else 'best'}"
        if volume.free and volume.path:
            exported.note(
                f"{volume.path}.free", f"is {show(format_exact(volume.free))}",
                "it becomes the least size, since a definition has no room beyond the files",
            )  # fmt: skip


def _inside(volume: Volume, copied: list[str], trees: set[str]) -> Iterator[str]:
    if volume.source:
        yield f"CopyBlocks={_escaped(volume.source)}"
    elif volume.format != "none" and not volume.verity:
        yield f"Format={volume.format}"
    if volume.compression:
        yield f"Compression={volume.compression}"
    if volume.subvolumes:
        yield f"Subvolumes={' '.join(f'/{_escaped(one.name)}' for one in volume.subvolumes)}"
    if volume.default_subvolume:
        yield f"DefaultSubvolume=/{_escaped(volume.default_subvolume)}"
    yield from copied
    if volume.verity:
        yield "Verity=hash"
        yield f"VerityMatchKey={volume.verity}"
    elif volume.id in trees:
        yield "Verity=data"
        yield f"VerityMatchKey={volume.id}"
    if volume.subvolumes or volume.mount != volume.purpose.mount:
        for one in volume.mounts:
            option = f":subvol={_escaped(one.name)}" if one.name else ""
            yield f"MountPoint={_escaped(one.mount)}{option}"


def _attributes(volume: Volume) -> Iterator[str]:
    """Yields the attributes, those too that systemd-repart would set by default and we do not."""
    bits = 0
    role = role_of_type(volume.type or volume.purpose.type("gpt", "x86_64"))
    for flag, bit in _BITS.items():
        on = flag in volume.attributes
        switch = _SWITCHES.get(flag)
        if switch and role in _SWITCHED:
            if on or flag == "grow-file-system":
                yield f"{switch}={'yes' if on else 'no'}"
        elif switch == "ReadOnly" and role.endswith("-verity"):
            yield f"ReadOnly={'yes' if on else 'no'}"
        elif on:
            bits |= 1 << bit
    if bits:
        yield f"Flags={bits:#x}"


def _copied(settings: Settings, exported: Exported) -> dict[str, list[str]]:
    """Returns the lines that fill each volume."""
    found: dict[str, list[str]] = {volume.id: [] for volume in settings.volumes}
    for content in settings.contents:
        path = f"contents[{content.index}]"
        if content.extract:
            exported.note(f"{path}.extract", f"is {show(content.extract)}",
                          "systemd-repart copies files and folders; unpack it first")  # fmt: skip
        elif "*" in str(content.source):
            exported.note(f"{path}.source", f"is {show(str(content.source))}",
                          "systemd-repart does not take patterns; name the folder")  # fmt: skip
        else:
            _place(content, settings, found, exported)
    return found


def _place(
    content: ContentSettings, settings: Settings, found: dict[str, list[str]], exported: Exported
) -> None:
    """Adds a source to the volume that it goes to, and its parts to those mounted below."""
    target = content.target.decode(errors="surrogateescape")
    source = str(content.source).rstrip("/") or "/"
    places = _places(content, settings)
    above = [mount for mount in places if _relative(target, mount) is not None]
    mount = max(above, key=len, default="")
    if not mount:
        return
    volume, top = places[mount]
    inside = posixpath.normpath(posixpath.join("/", top, _relative(target, mount) or ""))
    below = {
        rest: where
        for place, where in places.items()
        if place != mount and (rest := _relative(place, target)) and _deepest(rest, source)
    }
    if content.into and not content.source.is_dir():
        inside = posixpath.join(inside, posixpath.basename(source))
    found[volume].append(f"CopyFiles={_colons(source)}:{_colons(inside or '/')}")
    for rest, (other, name) in sorted(below.items()):
        part = posixpath.join(source, rest)
        found[volume].append(f"ExcludeFiles={_escaped(part)}/")
        found[other].append(f"CopyFiles={_colons(part)}:/{_colons(name)}")
    for index, pattern in enumerate(content.exclude):
        plain = pattern.removesuffix("/**")
        if "*" in plain or "/" not in pattern.rstrip("/"):
            exported.note(f"contents[{content.index}].exclude[{index}]", f"is {show(pattern)}",
                          "systemd-repart leaves out paths, not patterns")  # fmt: skip
            continue
        name = posixpath.join(source, plain.strip("/"))
        found[volume].append(f"ExcludeFiles={_escaped(name)}{'/' if plain != pattern else ''}")


def _places(content: ContentSettings, settings: Settings) -> dict[str, tuple[str, str]]:
    """Returns where contents go: volume and subvolume by the target that they begin at."""
    if not content.volume:
        return {
            each.mount: (one.id, each.name)
            for one in settings.volumes if one.takes_below for each in one.mounts
        }  # fmt: skip
    one = next(one for one in settings.volumes if one.id == content.volume)
    found = {f"/{_relative(each.mount, one.top)}": (one.id, each.name) for each in one.mounts}
    return found or {"/": (one.id, "")}


def _relative(path: str, top: str) -> str | None:
    """Returns a path relative to one at or above it, or None."""
    if top == "/":
        return path.strip("/")
    if path == top or path.startswith(f"{top}/"):
        return path[len(top) :].strip("/")
    return None


def _deepest(rest: str, source: str) -> bool:
    return posixpath.isdir(posixpath.join(source, rest))


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _colons(path: str) -> str:
    return _escaped(path).replace("\\", "\\\\").replace(":", "\\:")
