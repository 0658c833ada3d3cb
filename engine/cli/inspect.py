"""`diskwright inspect`: table, file systems, boot loaders and files of an image; mounts nothing."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from typing import TYPE_CHECKING, Any

from engine.cli import exits
from engine.cli.planning import named_path
from engine.disk.roles import ROOT_TYPES
from engine.spec.filesystems import FILESYSTEMS

if TYPE_CHECKING:
    from engine.image.reading import Filesystem, Node
    from engine.inspect.image import Image, Part


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `inspect`."""
    parser.add_argument("image", metavar="IMAGE", type=named_path, help="raw, qcow2, VDI or VHD")
    parser.add_argument(
        "path",
        metavar="PATH",
        nargs="?",
        help="list this directory of the root file system, or show this file's metadata; "
        "N:/PATH looks into partition N",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--json", action="store_true", help="print JSON")
    way.add_argument(
        "--cat", action="store_true", help="write the file at PATH to standard output, as it is"
    )
    way.add_argument(
        "--extract",
        metavar="DEST",
        type=named_path,
        help="copy what is at PATH (default: the whole root file system) to the new folder or file "
        "DEST; DEST.tar becomes an archive that keeps owners, devices and all permissions",
    )


def run(args: argparse.Namespace) -> int:
    """Prints what the image holds."""
    from engine.cli.extracting import cat, extract_to
    from engine.cli.images import refused
    from engine.inspect.image import open_image

    if args.cat and args.path is None:
        raise _refusal("no-path", "--cat needs the path of a file in the image")
    with refused():
        image = open_image(args.image)
        with image.disk:
            _not_a_text(image)
            if args.extract is not None:
                found = _found(image, args.path or "/")
                return extract_to(*found, args.extract) or _told_stale(found[0])
            if args.cat:
                found = _found(image, args.path)
                return cat(*found) or _told_stale(found[0])
            if args.path is None:
                _show_image(image, as_json=args.json)
            else:
                return _show_path(image, args.path, as_json=args.json)
    return exits.DONE


def _told_stale(filesystem: Filesystem) -> int:
    """Says where what was read may be older than what a mount shows; 1 then."""
    from engine.inspect.report import stale_because

    why = stale_because(filesystem)
    if not why:
        return exits.DONE
    _warn(f"{why}; what was read may be older than what a mount shows")
    return exits.FAILED


def _not_a_text(image: Image) -> None:
    """Refuses a text that was given for an image."""
    from engine.importers.image import is_unknown
    from engine.importers.table import text_instead
    from engine.problem import Refused

    problem = text_instead(image.path) if is_unknown(image) else None
    if problem is not None:
        raise Refused([problem])


def _show_image(image: Image, *, as_json: bool) -> None:
    from engine.inspect.describe import image_lines
    from engine.inspect.report import image_report

    report = image_report(image)
    if as_json:
        _print_json(report)
        return
    print("\n".join(image_lines(report)))


def _show_path(image: Image, where: str, *, as_json: bool) -> int:
    """Prints a directory's entries or a file's metadata; 1 if not all could be read."""
    from engine.inspect import rescue
    from engine.inspect.report import node_report
    from engine.problem import text

    damaged: list[bytes] = []

    def tell(path: bytes, why: object) -> None:
        damaged.append(path)
        _warn(f"/{text(path)} cannot be read: {why}")

    filesystem, node = _found(image, where, follow=False)
    children: list[Node] = []
    if stat.S_ISDIR(node.mode):
        children = list(rescue.children(filesystem, node, tell))
    if as_json:
        report = node_report(node)
        if stat.S_ISDIR(node.mode):
            report["entries"] = [node_report(child) for child in children]
        _print_json(report)
    elif stat.S_ISDIR(node.mode):
        print("\n".join(_listing(children)))
    else:
        print("\n".join(_details(node)))
    return exits.FAILED if damaged else _told_stale(filesystem)


def _found(image: Image, where: str, *, follow: bool = True) -> tuple[Filesystem, Node]:
    """Returns what a path leads to; without `follow` a link itself, where the path ends in one."""
    from engine.inspect.files import Files
    from engine.problem import text

    part, path = _locate(image, where)
    filesystem = part.filesystem
    assert filesystem is not None
    node = None if follow else filesystem.lookup(path)
    if node is None:
        node = Files(part, filesystem, _warn).follow(path)
    if node is None:
        raise _refusal("no-such-path", f"{part.name} has no /{text(path)}")
    return filesystem, node


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _locate(image: Image, where: str) -> tuple[Part, bytes]:
    """Returns the part that a path leads into, and the path in there."""
    number, colon, rest = where.partition(":")
    readable = [part for part in image.parts if part.filesystem is not None]
    if colon and number.isdigit():
        wanted = [p for p in readable if p.partition and str(p.partition.number) == number]
        if not wanted:
            part = next((p for p in image.parts if p.name == f"partition {number}"), None)
            why = f": {part.unread}" if part else ""
            what = f"no file system is known in partition {number}{why}"
            raise _refusal("no-such-partition", what)
        return wanted[0], _normal(rest)
    if not readable:
        unread = [f"{part.name}: {part.unread}" for part in image.parts if part.recognised]
        raise _refusal(
            "no-file-system", "; ".join(unread) or "the image has no file system known here"
        )
    likeliest = sorted(readable, key=_rank)
    path = _normal(where)
    there = (part for part in likeliest if part.filesystem and part.filesystem.lookup(path))
    return next(there, likeliest[0]), path


def _rank(part: Part) -> int:
    """Returns where a path is looked for first: in a root by its type, last on a FAT."""
    if part.partition is not None and part.partition.type in ROOT_TYPES.values():
        return 0
    return 2 if part.filesystem and FILESYSTEMS[part.filesystem.type].firmware else 1


def _normal(path: str) -> bytes:
    return b"/".join(part for part in os.fsencode(path).split(b"/") if part not in (b"", b"."))


def _listing(nodes: list[Node]) -> list[str]:
    from engine.inspect.report import when
    from engine.problem import text

    rows = [
        (
            stat.filemode(node.mode), str(node.links), str(node.uid), str(node.gid),
            str(node.size), when(node.mtime_ns), text(node.name) + _arrow(node),
        )
        for node in nodes
    ]  # fmt: skip
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(6)]
    return [
        "  ".join(
            (
                row[0],
                *(row[column].rjust(widths[column]) for column in range(1, 5)),
                *row[5:],
            )
        )
        for row in rows
    ]


def _details(node: Node) -> list[str]:
    from engine.inspect.report import node_report

    report = node_report(node)
    attributes = report.pop("xattrs")
    lines = [f"{key}: {value}" for key, value in report.items()]
    return lines + [f"xattr {name}: {value}" for name, value in attributes.items()]


def _arrow(node: Node) -> str:
    from engine.problem import text

    return f" -> {text(node.target)}" if stat.S_ISLNK(node.mode) else ""


def _refusal(code: str, message: str) -> Exception:
    from engine.problem import Problem, Refused

    return Refused([Problem(code, "error", "", message)])


def _print_json(report: dict[str, Any]) -> None:
    import json

    print(json.dumps(report, indent=1, ensure_ascii=False))
