"""The report of an image, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.units import human, sized

KINDS = {
    "type1": "type 1 entry",
    "uki": "unified kernel image",
    "grub": "GRUB menu",
    "extlinux": "extlinux menu",
    "kernel": "kernel with EFI stub",
}
"""What each kind of boot entry is called."""


_INTACT = {
    True: "every block is as it was hashed",
    False: "NOT as it was hashed: see the findings",
    None: "not compared: more than 1 GiB; `veritysetup verify` does",
}


def image_lines(report: dict[str, Any]) -> list[str]:
    """Returns the lines that `inspect` prints of an image's report."""
    disk = report["disk"]
    identifier = disk["guid"] or disk["signature"] or ""
    lines = [
        f"{report['image']}: {report['format']}, disk of {sized(disk['bytes'])}, "
        f"table {disk['table']} {identifier}".rstrip()
        + (", its protective MBR active" if disk["pmbr_boot"] else "")
    ]
    for partition in report["partitions"]:
        name = f' "{partition["name"]}"' if partition["name"] else ""
        flags = f" [{', '.join(partition['flags'])}]" if partition["flags"] else ""
        lines.append("")
        lines.append(
            f"{partition['number']}  {partition['role']}{name}{flags}: sectors "
            f"{partition['start']} to {partition['start'] + partition['sectors'] - 1}, "
            f"{sized(partition['bytes'])}"
        )
        lines.append(f"   type {partition['type']}")
        if partition["guid"]:
            lines.append(f"   GUID {partition['guid']}")
        lines += _filesystem_lines(partition)
    if "filesystem" in report:
        lines += ["", *_filesystem_lines(report)]
    lines += _section("boot loaders", [f"{x['where']}: {x['name']}" for x in report["loaders"]])
    lines += _section("system", [_system_line(system) for system in report["system"]])
    lines += _section("kernels", [line for x in report["kernels"] for line in _kernel_lines(x)])
    entries = report["boot_entries"]
    lines += _section("boot entries", [line for x in entries for line in _entry_lines(x)])
    boots = report["boots"].items()
    lines += _section("would boot", [line for name, x in boots for line in _boot_lines(name, x)])
    lines += _section("verity", [line for x in report["verity"] for line in _verity_lines(x)])
    lines += _section("findings", report["findings"])
    return lines


def _system_line(system: dict[str, Any]) -> str:
    return f"{system['where']}: {system['pretty_name']}"


def _kernel_lines(kernel: dict[str, Any]) -> Iterator[str]:
    yield f"{kernel['where']}: {kernel['path']}"
    known = (kernel["version"], kernel["architecture"], human(kernel["bytes"]))
    yield f"  {', '.join(filter(None, known))}"
    if kernel["initrd"]:
        yield f"  initrd  {kernel['initrd']}"


def _entry_lines(entry: dict[str, Any]) -> Iterator[str]:
    yield f"{heading(entry)}{' (default)' if entry['default'] else ''}"
    yield f"  {entry['where']}, {KINDS[entry['kind']]}"
    yield from _files_of(entry)
    for path in entry["missing"]:
        yield f"  missing {path}"


def _files_of(entry: dict[str, Any]) -> Iterator[str]:
    # A program that is its own entry is named already, by where it stands.
    if not entry["where"].endswith(f": {entry['linux']}"):
        yield f"  linux   {entry['linux']}"
    for path in entry["initrd"]:
        yield f"  initrd  {path}"
    if entry["options"]:
        yield f"  options {entry['options']}"


def heading(entry: dict[str, Any]) -> str:
    """Returns what a boot entry is called, with its version where that is not part of the title."""
    title, version = entry["title"], entry["version"]
    return title if not version or version in title else f"{title}, {version}"


def _boot_lines(firmware: str, boot: dict[str, Any]) -> Iterator[str]:
    entry = boot["entry"]
    says = {"yes": heading(entry) if entry else "", "no": f"nothing: {boot['why_not']}"}
    yield f"{firmware.upper()}: {says.get(boot['starts'], 'not known')}"
    yield from (f"  {step}" for step in boot["chain"])
    yield from (f"  note: {note}" for note in boot["notes"])


def _filesystem_lines(place: dict[str, Any]) -> list[str]:
    filesystem, foreign = place["filesystem"], place["foreign"]
    if filesystem is None:
        return [f"   {foreign['sentence'] if foreign else 'no file system known here'}"]
    used = filesystem["bytes"] - filesystem["free_bytes"]
    lines = [
        f"   {_named(filesystem)}",
        f"   {filesystem['blocks']} blocks of {filesystem['block_size']} bytes: "
        f"{human(used)} used, {human(filesystem['free_bytes'])} free",
    ]
    if "inodes" in filesystem:
        lines.append(f"   {filesystem['inodes']} inodes, {filesystem['free_inodes']} free")
    if "data_bytes" in filesystem:
        room = (f"{human(filesystem[f'{of}_used'])} of {human(filesystem[f'{of}_bytes'])}"
                for of in ("data", "metadata"))  # fmt: skip
        lines.append("   chunks: data {}, metadata {}".format(*room))
    if filesystem.get("compression"):
        lines.append(f"   compressed with {filesystem['compression']}")
    if filesystem.get("subvolumes"):
        count, shown = filesystem["subvolumes"], filesystem["default_subvolume"]
        subvolumes = "1 subvolume" if count == 1 else f"{count} subvolumes"
        lines.append(f"   {subvolumes}; a mount shows {shown}")
    lines += [f"   not checked: {what}" for what in filesystem["unchecked"]]
    return lines


def _named(filesystem: dict[str, Any]) -> str:
    """Returns a file system's type, with label and UUID where it has one of them."""
    label, uuid = filesystem["label"], filesystem["uuid"]
    return f'{filesystem["type"]} "{label}" {uuid}' if label or uuid else filesystem["type"]


def _verity_lines(seal: dict[str, Any]) -> Iterator[str]:
    yield f"{seal['where']}: hash tree of {seal['data'] or 'a partition that is not here'}"
    if seal["root_hash"]:
        yield f"  root hash {seal['root_hash']}"
    yield f"  {_INTACT[seal['intact']]}"
    if seal["signed"]:
        yield f"  signed in {seal['signed']}"


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []
