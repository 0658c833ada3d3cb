"""make-disk-image's arguments as a spec: what each becomes, and what has no place in one.

After nixpkgs, nixos/lib/make-disk-image.nix, of January 2025 and what it has got since.
`engine.spec.keys` names the key of every argument; how its value is read stands here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.importers.model import Imported
from engine.nix.values import TOPLEVEL, Buildable, Import, Opaque, Path, Value, show
from engine.problem import Problem, Refused
from engine.spec.choices import COMPATS
from engine.spec.edit import append_content, apply
from engine.spec.keys import KEYS
from engine.spec.model import Content, ImageSpec
from engine.spec.shape import nearest

OVMF_CODE, OVMF_VARIABLES = "/FV/OVMF_CODE.fd", "/FV/OVMF_VARS.fd"
"""Firmware and variable store in nixpkgs' OVMF.fd."""
SURROUNDINGS = ("pkgs", "lib")
"""What make-disk-image is called with besides its arguments; no part of an image."""

_SHOWN = 60


class _Wrong(ValueError):
    """make-disk-image would not take the value; the message is what it wants."""


class _NotCarried(Exception):
    """The value has no place in a spec; the message is what to do about it."""


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise _Wrong("text")
    return value


def _boolean(value: Value) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("true or false")
    return value


def _path(value: Value) -> str | None:
    if value is None:
        return None
    if isinstance(value, Path | Buildable):
        return value.text
    if isinstance(value, str) and value.startswith("/"):
        return value
    raise _Wrong("a path")


def _uuid(value: Value) -> str | None:
    if value is None:
        raise _NotCarried("a file system always has a UUID here: it stays the default")
    return _text(value)


def _whole(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong("an integer")
    return value


def _disk_size(value: Value) -> int | str:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)  # the reference appends its unit to whatever it is given
    if isinstance(value, str) and value:
        return value
    return _whole(value)


def _store_path(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Buildable | Path):
        return value.text
    raise _Wrong("a store path")


def _store_paths(value: Value) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _Wrong("a list of store paths")
    return tuple(_store_path(item) for item in value)


def _system(value: Value) -> str:
    """Returns `nix.system` for a NixOS configuration, as far as one can be told from outside."""
    if isinstance(value, Buildable):
        chosen, dot, last = value.text.rpartition(".")
        return f"{chosen}.{TOPLEVEL}" if dot and last == "config" else value.text
    if isinstance(value, str) and value:
        return value
    for name in ("system", "build", "toplevel"):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, str | Buildable | Path):
        return _store_path(value)
    raise _NotCarried(f"name the system in nix.system: a store path or FLAKE#...{TOPLEVEL}")


_READERS: dict[str, Callable[[Value], object]] = {
    "name": _text,
    "partitionTableType": _text,
    "fsType": _text,
    "label": _text,
    "diskSize": _disk_size,
    "additionalSpace": _text,
    "bootSize": _text,
    "touchEFIVars": _boolean,
    "efiFirmware": _path,
    "efiVariables": _path,
    "config": _system,
    "additionalPaths": _store_paths,
    "onlyNixStore": _boolean,
    "configFile": _path,
    "installBootLoader": _boolean,
    "format": _text,
    "deterministic": _boolean,
    "rootGPUID": _uuid,
    "rootFSUID": _uuid,
    "postVM": _text,
    "memSize": _whole,
}
"""How the value of an argument becomes that of its key, for all that have just one."""

_YOUNGER_READERS: dict[str, Callable[[Value], object]] = {
    "baseName": _text, "rootFSHashSeed": _uuid, "reproducible": _boolean, "populateRootWith": _text,
}  # fmt: skip
"""Arguments that nixpkgs has got since January 2025."""
_YOUNGER_TABLES = frozenset({"efixbootldr", "legacy+boot"})
"""Values of `partitionTableType` that it has got since."""
_WITHOUT_A_KEY = {
    "baseName": "the outputs are called nixos.*; rename them after the build",
    "rootFSHashSeed": "the seed of directory hashes follows from the file system's UUID",
    "reproducible": "every build is reproducible here",
    "populateRootWith": "the files are written into the file system directly, whatever it says",
}
"""What becomes of a younger argument for which a spec has no key."""

_KEY_OF = {
    key.argument: path
    for path, key in KEYS.items()
    if key.argument in {**_READERS, **_YOUNGER_READERS}
}
_CONTENT_READERS: dict[str, Callable[[Value], object]] = {
    "source": _path, "target": _text, "mode": _text, "user": _text, "group": _text,
}  # fmt: skip
NAMES = frozenset((*_READERS, "contents", "copyChannel", "OVMF"))
"""Its 24 arguments of January 2025."""
ARGUMENTS = NAMES | _YOUNGER_READERS.keys()
"""All 28 that it has had."""
OLDER, YOUNGER = "make-disk-image", "make-disk-image-25.11"
"""The rules of January 2025, and those of 25.05 and later."""


def to_spec(arguments: Mapping[str, Value], lines: Mapping[str, int] | None = None) -> Imported:
    """Returns the spec that stands for a call with these arguments.

    Args:
        arguments: By name; those that are not make-disk-image's are listed, like all else that
            a spec does not have.
        lines: Where each stands, by name ("diskSize", "contents[0].source").

    Raises:
        Refused: With every argument whose value make-disk-image, or a spec, would not take, or
            because there is no argument of make-disk-image at all.
    """
    if arguments and not ARGUMENTS & arguments.keys() - set(SURROUNDINGS):
        message = "none of these is an argument of make-disk-image: " + ", ".join(arguments)[:200]
        hint = "arguments: " + ", ".join(sorted(ARGUMENTS))
        if not arguments.keys() <= set(SURROUNDINGS):
            raise Refused([Problem("import-failed", "error", "", message, hint)])
    younger = _is_younger(arguments)
    reading = _Reading(
        ImageSpec(compat=YOUNGER if younger and YOUNGER in COMPATS else OLDER), lines or {}
    )
    if younger and YOUNGER not in COMPATS:
        reading.notes.append(_figures_of_january())
    for name, value in arguments.items():
        if name not in SURROUNDINGS:
            reading.take(name, value)
    reading.channel(arguments)
    if reading.errors:
        raise Refused(reading.errors)
    return Imported(reading.spec, tuple(reading.notes))


@dataclass(slots=True)
class _Reading:
    """The spec while arguments are taken one by one."""

    spec: ImageSpec
    lines: Mapping[str, int]
    notes: list[Problem] = field(default_factory=list)
    errors: list[Problem] = field(default_factory=list)

    def take(self, name: str, value: Value) -> None:
        """Puts one argument where it belongs."""
        if name not in ARGUMENTS:
            near = nearest(name, ARGUMENTS)
            hint = f"did you mean {near}?" if near else "not an argument that is known here"
            self._note(name, value, hint)
        elif name in _WITHOUT_A_KEY and name not in _KEY_OF:
            self._without_a_key(name, value)
        elif name == "contents":
            self._contents(value)
        elif name == "OVMF":
            self._ovmf(value)
        elif name != "copyChannel":
            readers = _READERS if name in _READERS else _YOUNGER_READERS
            self._one(name, _KEY_OF[name], readers[name], value)

    def channel(self, arguments: Mapping[str, Value]) -> None:
        """Takes `copyChannel`, which copies what `pkgs` came from and is on by default."""
        wanted = arguments.get("copyChannel", True)
        pkgs = arguments.get("pkgs")
        if not isinstance(wanted, bool):
            self._wrong("copyChannel", wanted, "true or false")
        elif wanted and isinstance(pkgs, Import):
            self._put("copyChannel", "nix.copy_channel", pkgs.path)
        elif wanted and self.spec.nix.system:
            hint = "name the nixpkgs tree to copy in nix.copy_channel, or say copyChannel = false"
            self._note("copyChannel", wanted, hint)

    def _one(self, name: str, path: str, reader: Callable[[Value], object], value: Value) -> None:
        if isinstance(value, Opaque) and path != "nix.system":
            self._note(name, value, f"write what it evaluates to under {path}")
            return
        try:
            read = reader(value)
            if self._is_beyond(name, path, read):
                self._lacks(name, path, value)
            else:
                self._put(name, path, read)
        except _Wrong as wrong:
            self._wrong(name, value, str(wrong))
        except _NotCarried as reason:
            self._note(name, value, str(reason))

    def _without_a_key(self, name: str, value: Value) -> None:
        """Takes a younger argument that a spec does not have."""
        try:
            if not isinstance(value, Opaque):
                _YOUNGER_READERS[name](value)
        except _Wrong as wrong:
            self._wrong(name, value, str(wrong))
        except _NotCarried:
            return
        self._note(name, value, _WITHOUT_A_KEY[name])

    def _is_beyond(self, name: str, path: str, value: object) -> bool:
        """Whether the reference takes a value that a spec does not have."""
        known = KEYS[path].choices
        if value in known:
            return False
        # The reference hands any format to qemu-img.
        return name == "format" or (name == "partitionTableType" and value in _YOUNGER_TABLES)

    def _lacks(self, name: str, path: str, value: Value) -> None:
        known = ", ".join(map(str, KEYS[path].choices))
        self._note(name, value, f"make-disk-image has it, {path} does not yet; it takes {known}")

    def _put(self, name: str, path: str, value: object) -> None:
        try:
            self.spec = apply(self.spec, path, value)
        except Refused as refused:
            where = self._where(name).strip()
            self.errors += [
                dataclasses.replace(one, path=f"{name} {where}".strip()) for one in refused.problems
            ]

    def _ovmf(self, value: Value) -> None:
        """Takes the package that the two firmware arguments default to."""
        if isinstance(value, Mapping):
            pair = value.get("firmware"), value.get("variables")
        elif isinstance(value, str | Path | Buildable):
            folder = value if isinstance(value, str) else value.text
            pair = Path(folder + OVMF_CODE), Path(folder + OVMF_VARIABLES)
        else:
            self._note("OVMF", value, "name its files in boot.firmware and firmware_variables")
            return
        for file, path in zip(pair, ("boot.firmware", "boot.firmware_variables"), strict=True):
            self._one("OVMF", path, _path, file)

    def _contents(self, value: Value) -> None:
        if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
            if isinstance(value, Opaque):
                self._note("contents", value, "write its entries as [[contents]]")
            else:
                self._wrong("contents", value, "a list")
            return
        for index, item in enumerate(value):
            name = f"contents[{index}]"
            if isinstance(item, Mapping):
                self._content(name, item)
            else:
                self._note(name, item, "write it as an entry of [[contents]]")

    def _content(self, name: str, item: Mapping[str, Value]) -> None:
        entry: dict[str, object] = {}
        for key, value in item.items():
            reader = _CONTENT_READERS.get(key)
            if reader is None:
                self._note(f"{name}.{key}", value, "an entry has source, target, mode, user, group")
            elif isinstance(value, Opaque):
                self._note(f"{name}.{key}", value, "write the entry as [[contents]]")
            else:
                try:
                    entry[key] = reader(value)
                except _Wrong as wrong:
                    self._wrong(f"{name}.{key}", value, str(wrong))
        missing = [key for key in ("source", "target") if key not in item]
        for key in missing:
            message = f"attribute '{key}' missing"
            self.errors.append(Problem("bad-argument", "error", name, message))
        if not missing and entry.get("source") and "target" in entry:
            self.spec = append_content(self.spec, Content(**entry))  # type: ignore[arg-type]

    def _note(self, name: str, value: Value, hint: str) -> None:
        message = f"{_shown(value)}{self._where(name)} is not carried over"
        self.notes.append(Problem("not-carried-over", "warning", name, message, hint))

    def _wrong(self, name: str, value: Value, wanted: str) -> None:
        message = f"is {_shown(value)}{self._where(name)}, but must be {wanted}"
        self.errors.append(Problem("bad-argument", "error", name, message))

    def _where(self, name: str) -> str:
        line = self.lines.get(name)
        return f" on line {line}" if line is not None else ""


def _is_younger(arguments: Mapping[str, Value]) -> bool:
    """Whether a call can only be of a make-disk-image younger than January 2025."""
    table = arguments.get("partitionTableType")
    return bool(_YOUNGER_READERS.keys() & arguments.keys()) or (
        isinstance(table, str) and table in _YOUNGER_TABLES
    )


def _figures_of_january() -> Problem:
    return Problem(
        "not-carried-over",
        "warning",
        "",
        "the call is one of a make-disk-image younger than January 2025, whose rounding and "
        "partition ends are not carried over",
        'the figures are those of January 2025: compat = "make-disk-image"',
    )


def _shown(value: Value) -> str:
    text = " ".join(show(value).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
