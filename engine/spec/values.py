"""Rules for one key at a time: what a value of the right type may still be wrong about."""

from __future__ import annotations

import posixpath
import re
import uuid
from collections.abc import Iterator

from engine.problem import Problem
from engine.spec import installable, volume_rules
from engine.spec.choices import SUMS
from engine.spec.filesystems import FILESYSTEMS, ROOT_FILESYSTEMS
from engine.spec.identity import is_uuid
from engine.spec.keys import KEYS
from engine.spec.model import Content, ImageSpec, Section
from engine.spec.modes import EXAMPLES, parse_mode
from engine.spec.paths import parse_path, value_at
from engine.spec.refusals import bad_choice, edit, error
from engine.spec.rules import RULES, Rules
from engine.spec.shape import fields_of, show
from engine.units import GRAMMAR, MIB, format_exact, parse_size

MAX_EPOCH = 15_032_385_535
"""Last second that an ext4 inode of 256 bytes can hold (2446-05-10; kernel docs, ext4 inodes)."""
MAX_ID = (1 << 32) - 2
"""Largest owner: 2^32-1 means "no change" to chown(2)."""
MAX_NAME_BYTES = 200
"""Leaves room below NAME_MAX (255) for extensions and the suffix of a file being written."""
MAX_INODES = (1 << 32) - 1

_CHOICES = (
    "compat",
    "layout.table",
    "layout.sector_size",
    "boot.loader",
    "output.format",
    "output.compress",
)
_UNIT = re.compile(r"[A-Za-z0-9:_.-][A-Za-z0-9:_.@-]{0,199}")
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{8}")
_UUIDS = ("seed", "disk_guid", "root_partition_guid", "root_filesystem_uuid")


def rules_of(spec: ImageSpec) -> Rules:
    """Returns the rules that hold; those of no reference where `compat` is none that we know."""
    return RULES.get(spec.compat or "none", RULES["none"])


def check(spec: ImageSpec) -> tuple[Problem, ...]:
    """Returns the problems of every value that is wrong whatever the other keys say."""
    return (
        *_nul(spec, ""),
        *_choices(spec),
        *_name("name", spec.name),
        *_name("output.name", spec.output.name),
        *_layout(spec),
        *_sizes(spec),
        *volume_rules.check_values(spec),
        *_boot(spec),
        *(
            found
            for index, entry in enumerate(spec.contents)
            for found in _content(
                f"contents[{index}]", entry, relative=rules_of(spec).relative_targets
            )
        ),
        *_nix(spec),
        *_sums(spec),
        *_signer(spec),
        *_identity(spec),
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
            f"{show(min(alone))} stands alone, and here it is one of {len(wanted)} values",
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


def _control(text: str) -> str:
    """Returns the first control character of a text as a message shows it, or ""."""
    found = re.search(r"[\x01-\x1f\x7f-\x9f\u2028\u2029]", text)
    return f"U+{ord(found[0]):04X}" if found else ""


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
    elif control := _control(name):
        reason = f"is {show(name)}, which contains the control character {control}"
    elif size > MAX_NAME_BYTES:
        reason = f"has {size} bytes; at most {MAX_NAME_BYTES} leave room for extensions"
    else:
        return
    clean = re.sub(r"[/\x00-\x1f\x7f-\x9f\u2028\u2029]+", "-", name).strip(" -.")
    clean = shorten(clean, MAX_NAME_BYTES) or "disk"
    yield error("bad-name", path, reason, "", edit(f"Name it {clean}", (path, clean)))


def shorten(text: str, limit: int) -> str:
    """Returns the longest beginning of a text whose UTF-8 has at most `limit` bytes."""
    return text.encode(errors="replace")[:limit].decode(errors="ignore")


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
    elif control := _control(label):
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


def size_problem(path: str, value: int | str, reason: str) -> Problem:
    """Returns the problem of a size that cannot be read."""
    return error("bad-size", path, reason, "" if GRAMMAR in reason else f"write {GRAMMAR}")


def _sizes(spec: ImageSpec) -> Iterator[Problem]:
    size = spec.size
    if size.disk is not None and size.disk != "auto":
        yield from _disk_size(size.disk)
    numfmt = rules_of(spec).numfmt_sizes
    for name, value in (
        ("additional", size.additional), ("boot", size.boot), ("grow_to", size.grow_to),
    ):  # fmt: skip
        if value is None or (numfmt and isinstance(value, str) and name != "grow_to"):
            continue
        try:
            number = parse_size(value)
        except ValueError as problem:
            yield size_problem(f"size.{name}", value, str(problem))
        else:
            if name == "boot" and number == 0:
                yield error(
                    "boot-size-zero", "size.boot", "is 0; the EFI system partition needs room",
                    "256 MiB hold several kernels",
                    edit("Make it 256 MiB", ("size.boot", "256MiB")),
                )  # fmt: skip
            elif name == "boot" and number < MIB and has_no_unit(value):
                better = format_exact(number * MIB)
                yield error(
                    "boot-size-bytes", "size.boot",
                    f"is {number} bytes: without a unit it counts bytes, and an ESP takes MiB",
                    f'write "{better}"', edit(f"Make it {better}", ("size.boot", better)),
                )  # fmt: skip
    if size.inodes is not None and not 0 <= size.inodes <= MAX_INODES:
        yield error("bad-inodes", "size.inodes", f"is {size.inodes}, but must be 0 to {MAX_INODES}")


def has_no_unit(size: int | str) -> bool:
    """Whether a size is a bare number, whose unit the key decides."""
    return isinstance(size, int) or size.strip().isdecimal()


def _disk_size(disk: int | str) -> Iterator[Problem]:
    try:
        number = parse_size(disk, bare=MIB)
    except ValueError as problem:
        fix = edit("Measure the contents", ("size.disk", "auto"))
        reason = str(problem)
        hint = 'write "auto", an integer (MiB), or a size as in "4GiB"'
        yield error("bad-size", "size.disk", reason, hint, fix)
        return
    if number == 0:
        yield error(
            "disk-size-zero", "size.disk", "is 0; there would be no disk", 'write "auto" or a size',
            edit("Measure the contents", ("size.disk", "auto")),
        )  # fmt: skip


def _boot(spec: ImageSpec) -> Iterator[Problem]:
    boot = spec.boot
    if boot.cmdline is not None and (control := _control(boot.cmdline)):
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


def _content(path: str, entry: Content, *, relative: bool) -> Iterator[Problem]:
    if not entry.source:
        yield error("empty-source", f"{path}.source", "is empty", "name a file or folder")
    yield from _target(f"{path}.target", entry.target, relative=relative)
    if entry.mode:
        try:
            parse_mode(entry.mode)
        except ValueError as problem:
            hint = "examples: " + ", ".join(EXAMPLES)
            yield error("bad-mode", f"{path}.mode", str(problem), hint)
    yield from _owner(f"{path}.user", entry.user)
    yield from _owner(f"{path}.group", entry.group)
    if entry.partition is not None and entry.partition not in KEYS["contents[].partition"].choices:
        yield bad_choice(f"{path}.partition", entry.partition, KEYS["contents[].partition"].choices)
    if isinstance(entry.extract, str) and entry.extract != "oci":
        yield _extract(f"{path}.extract", entry.extract)
    if entry.service is not None and not _UNIT.fullmatch(entry.service):
        yield error(
            "bad-service",
            f"{path}.service",
            f"{show(entry.service)} is not the name of a unit: letters, digits and : - _ . @",
            'such as "web"',
        )
    for position, pattern in enumerate(entry.exclude):
        if not pattern:
            yield error("empty-pattern", f"{path}.exclude[{position}]", "is empty", "remove it")


def _extract(path: str, text: str) -> Problem:
    truth = {"true": True, "false": False}.get(text.lower())
    better = "oci" if truth is None else truth
    return error(
        "bad-choice",
        path,
        f'is {show(text)}, but must be true, false or "oci"',
        f"write {show(better)}" if truth is not None else "",
        edit(f"Take {show(better)}", (path, better)),
    )


def climbs_out(target: str) -> bool:
    """Whether a path in the image leaves it through ".."."""
    depth = 0
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in {"", "."}:
            depth += 1
        if depth < 0:
            return True
    return False


def _target(path: str, target: str, *, relative: bool) -> Iterator[Problem]:
    if not target:
        yield error(
            "empty-target", path, "is empty", 'write "/" for the top of the image',
            edit("Put it at the top of the image", (path, "/")),
        )  # fmt: skip
    elif climbs_out(target):
        yield error(
            "target-climbs-out", path, f'{show(target)} leaves the image through ".."',
            "name a path below /",
        )  # fmt: skip
    elif not target.startswith("/") and not relative:
        better = posixpath.normpath(f"/{target}")
        yield error(
            "relative-target",
            path,
            f"{show(target)} does not start with /",
            "a target is a path in the image",
            edit(f"Make it {better}", (path, better)),
        )


def _owner(path: str, owner: str | int | None) -> Iterator[Problem]:
    if owner is None or owner == "":
        return
    text = str(owner)
    if re.fullmatch(r"-?[0-9]+", text):
        if not 0 <= int(text) <= MAX_ID:
            yield error("bad-owner", path, f"is {text}, but must be 0 to {MAX_ID}")
    elif re.search(r"[\s:/,]", text) or _control(text):
        yield error(
            "bad-owner", path, f"is {show(text)}; a name has no space, colon, comma or slash"
        )


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


def _identity(spec: ImageSpec) -> Iterator[Problem]:
    for name in _UUIDS:
        text: str | None = getattr(spec.identity, name)
        if text:
            yield from _uuid(f"identity.{name}", text)
    signature = spec.identity.disk_signature
    if signature and not _SIGNATURE.fullmatch(signature):
        yield error(
            "bad-signature",
            "identity.disk_signature",
            f"{show(signature)} is not the signature of an MBR",
            "write 0x and eight hexadecimal digits, as in 0x1a2b3c4d",
        )
    epoch = spec.identity.source_date_epoch
    if epoch is not None and not 0 <= epoch <= MAX_EPOCH:
        yield error(
            "bad-epoch",
            "identity.source_date_epoch",
            f"is {epoch}, but must be 0 to {MAX_EPOCH} seconds since 1970",
        )


def _uuid(path: str, text: str) -> Iterator[Problem]:
    if not is_uuid(text):
        digits = re.sub(r"[^0-9A-Fa-f]", "", text)
        fix = None
        if len(digits) == 32 and re.fullmatch(r"\{?[0-9A-Fa-f-]+\}?", text.strip()):
            better = str(uuid.UUID(digits))
            fix = edit(f"Write it as {better}", (path, better))
        yield error(
            "bad-uuid",
            path,
            f"{show(text)} is not a UUID: it has {len(text)} characters, {len(digits)} of them "
            "hexadecimal digits",
            "a UUID has 36 characters: 8-4-4-4-12 hexadecimal digits with hyphens between",
            fix,
        )
    elif uuid.UUID(text).int == 0:
        yield error(
            "nil-uuid", path, "is the nil UUID, which a partition table reads as unused",
            "remove the key to have one derived", edit("Have one derived", (path, None)),
        )  # fmt: skip


def _machine(spec: ImageSpec) -> Iterator[Problem]:
    memory = spec.vm.memory
    if memory is not None and memory <= 0:
        yield error(
            "bad-memory", "vm.memory", f"is {memory} MiB; a virtual machine needs memory",
            "1024 is the default", edit("Give it 1024 MiB", ("vm.memory", 1024)),
        )  # fmt: skip
