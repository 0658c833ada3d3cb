"""Rules for one key at a time: what a value of the right type may still be wrong about."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.problem import Problem
from engine.spec import content_values, identity_values, installable, size_values, volume_rules
from engine.spec.choices import SUMS
from engine.spec.filesystems import FILESYSTEMS, ROOT_FILESYSTEMS
from engine.spec.keys import KEYS
from engine.spec.model import ImageSpec, Section
from engine.spec.paths import parse_path, value_at
from engine.spec.refusals import bad_choice, edit, error
from engine.spec.shape import fields_of, show
from engine.spec.texts import control_character, shorten
from engine.units import in_bytes

MAX_NAME_BYTES = 200
"""Leaves room below NAME_MAX (255) for extensions and the suffix of a file being written."""
_CHOICES = (
    "compat",
    "layout.table",
    "layout.sector_size",
    "boot.loader",
    "output.format",
    "output.compress",
)


def check(spec: ImageSpec) -> tuple[Problem, ...]:
    """Returns the problems of every value that is wrong whatever the other keys say."""
    return (
        *_nul(spec, ""),
        *_choices(spec),
        *_name("name", spec.name),
        *_name("output.name", spec.output.name),
        *_layout(spec),
        *size_values.check(spec),
        *volume_rules.check_values(spec),
        *_boot(spec),
        *content_values.check(spec),
        *_nix(spec),
        *_sums(spec),
        *_signer(spec),
        *identity_values.check(spec),
        *_machine(spec),
    )


def _nul(value: object, path: str) -> Iterator[Problem]:
    if isinstance(value, str):
        if "\0" in value:
            yield error(
                "nul-character", path, f"{show(value)} holds a NUL character",
                "no path, name or command line can hold one",
            )  # fmt: skip
    elif isinstance(value, Section):
        for name in fields_of(type(value)):
            yield from _nul(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _nul(item, f"{path}[{index}]")


def _choices(spec: ImageSpec) -> Iterator[Problem]:
    for path in _CHOICES:
        value = value_at(spec, parse_path(path) or ())
        choices = KEYS[path].choices
        if isinstance(value, str | int) and value not in choices:
            yield bad_choice(path, value, choices)


def _sums(spec: ImageSpec) -> Iterator[Problem]:
    sums = spec.output.sums
    wanted = (sums,) if isinstance(sums, str) else sums or ()
    for kind in wanted:
        if kind not in SUMS:
            yield bad_choice("output.sums", kind, SUMS)
    alone = {"auto", "none"} & set(wanted)
    if alone and len(wanted) > 1:
        yield error(
            "sums-not-alone", "output.sums",
            f"{show(min(alone))} must stand alone, and here it is one of {len(wanted)} values",
            'take "sha256", "fsverity" or both',
            edit("Take SHA-256", ("output.sums", "sha256")),
        )  # fmt: skip
    if spec.output.sign and wanted and not {"auto", "sha256"} & set(wanted):
        yield error(
            "signs-nothing", "output.sign",
            f"signs SHA256SUMS, and output.sums = {show(', '.join(wanted))} writes none",
            'set output.sums = "sha256", or remove output.sign',
            edit("Take SHA-256", ("output.sums", "sha256")),
        )  # fmt: skip


def _name(path: str, name: str | None) -> Iterator[Problem]:
    if name is None:
        return
    size = len(name.encode(errors="replace"))
    if not name.strip():
        reason = "is empty; it names the outputs"
    elif name in {".", ".."}:
        reason = f"is {show(name)}, which names a folder"
    elif "/" in name:
        reason = f"is {show(name)}: a file name cannot contain a slash"
    elif control := control_character(name):
        reason = f"is {show(name)}, which contains the control character {control}"
    elif size > MAX_NAME_BYTES:
        reason = f"has {in_bytes(size)}; at most {MAX_NAME_BYTES:,} leave room for extensions"
    else:
        return
    clean = re.sub(r"[/\x00-\x1f\x7f-\x9f\u2028\u2029]+", "-", name).strip(" -.")
    clean = shorten(clean, MAX_NAME_BYTES) or "disk"
    yield error("bad-name", path, reason, "", edit(f"Name it {clean}", (path, clean)))


def _layout(spec: ImageSpec) -> Iterator[Problem]:
    filesystem, label = spec.layout.filesystem, spec.layout.label
    if filesystem is not None and filesystem not in ROOT_FILESYSTEMS:
        yield _bad_filesystem(filesystem)
    if label is None:
        return
    if not label:
        yield error(
            "empty-label", "layout.label", "is empty; the label is how a booting system finds it",
            "remove the key for the default", edit("Take the default", ("layout.label", None)),
        )  # fmt: skip
    elif control := control_character(label):
        yield error(
            "bad-label",
            "layout.label",
            f"is {show(label)}, which contains the control character {control}",
        )


def _bad_filesystem(filesystem: str) -> Problem:
    known = FILESYSTEMS.get(filesystem)
    if known is None:
        return bad_choice("layout.filesystem", filesystem, ROOT_FILESYSTEMS)
    return error(
        "no-writer",
        "layout.filesystem",
        f"is {show(filesystem)}, which Diskwright cannot write as a root file system",
        "it writes " + ", ".join(ROOT_FILESYSTEMS),
        edit("Take ext4", ("layout.filesystem", "ext4")),
    )


def _boot(spec: ImageSpec) -> Iterator[Problem]:
    boot = spec.boot
    if boot.cmdline is not None and (control := control_character(boot.cmdline)):
        yield error(
            "bad-cmdline",
            "boot.cmdline",
            f"holds the control character {control}; a kernel command line is one line of text",
        )
    if boot.expect is not None:
        try:
            re.compile(boot.expect)
        except (re.error, OverflowError, RecursionError) as problem:
            yield error(
                "bad-expect",
                "boot.expect",
                f"{show(boot.expect)} is not a regular expression: {problem}",
                "put a backslash before ( [ * + ? where they are meant literally",
            )
    if boot.timeout is not None and boot.timeout <= 0:
        yield error("bad-timeout", "boot.timeout", f"is {boot.timeout}; a boot takes seconds")


def _nix(spec: ImageSpec) -> Iterator[Problem]:
    if spec.nix.system:
        try:
            installable.parse(spec.nix.system)
        except ValueError as problem:
            yield error("bad-system", "nix.system", str(problem), "or name a store path or flake")


def _signer(spec: ImageSpec) -> Iterator[Problem]:
    command = spec.output.sign
    if command and not command[0].strip():
        yield error(
            "bad-command", "output.sign[0]", "is empty; it is the name of the program that signs"
        )


def _machine(spec: ImageSpec) -> Iterator[Problem]:
    memory = spec.vm.memory
    if memory is not None and memory <= 0:
        yield error(
            "bad-memory", "vm.memory", f"is {memory} MiB; a virtual machine needs memory",
            "1024 is the default", edit("Give it 1024 MiB", ("vm.memory", 1024)),
        )  # fmt: skip
