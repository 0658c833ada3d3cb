"""The report of an image, for people."""

from __future__ import annotations

from typing import Any

from engine.units import human


def image_lines(report: dict[str, Any]) -> list[str]:
    """Returns the lines that `inspect` prints of an image's report."""
    disk = report["disk"]
    identifier = disk["guid"] or disk["signature"] or ""
    lines = [
        f"{report['image']}: {report['format']}, disk of {human(disk['bytes'])} "
        f"({disk['bytes']} bytes), table {disk['table']} {identifier}".rstrip()
    ]
    for partition in report["partitions"]:
        name = f' "{partition["name"]}"' if partition["name"] else ""
        flags = f" [{', '.join(partition['flags'])}]" if partition["flags"] else ""
        lines.append("")
        lines.append(
            f"{partition['number']}  {partition['role']}{name}{flags}: sectors "
            f"{partition['start']} to {partition['start'] + partition['sectors'] - 1}, "
            f"{human(partition['bytes'])} ({partition['bytes']} bytes)"
        )
        lines.append(f"   type {partition['type']}")
        if partition["guid"]:
            lines.append(f"   GUID {partition['guid']}")
        lines += _filesystem_lines(partition["filesystem"])
    if "filesystem" in report:
        lines += ["", *_filesystem_lines(report["filesystem"])]
    lines += _section("boot loaders", [f"{x['where']}: {x['name']}" for x in report["loaders"]])
    lines += _section("findings", report["findings"])
    return lines


def _filesystem_lines(filesystem: dict[str, Any] | None) -> list[str]:
    if filesystem is None:
        return ["   no file system known here"]
    used = filesystem["bytes"] - filesystem["free_bytes"]
    lines = [
        f'   {filesystem["type"]} "{filesystem["label"]}" {filesystem["uuid"]}',
        f"   {filesystem['blocks']} blocks of {filesystem['block_size']} bytes: "
        f"{human(used)} used, {human(filesystem['free_bytes'])} free",
    ]
    if "inodes" in filesystem:
        lines.append(f"   {filesystem['inodes']} inodes, {filesystem['free_inodes']} free")
    return lines


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []
