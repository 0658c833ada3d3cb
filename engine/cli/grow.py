"""`diskwright grow`: makes a finished image larger."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import exits
from engine.cli.planning import named_path
from engine.cli.signals import cancellable
from engine.units import in_bytes

if TYPE_CHECKING:
    from engine.grow.grow import Grown
    from engine.grow.layout import Growth
    from engine.inspect.image import Image
    from engine.problem import Refused


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `grow`."""
    parser.add_argument("image", metavar="IMAGE", type=named_path, help="a raw image")
    parser.add_argument(
        "--to", metavar="SIZE", required=True,
        help="its new size (8GiB), or how much larger it gets (+2GiB)",
    )  # fmt: skip
    parser.add_argument(
        "--volume", metavar="ID",
        help="the volume that grows: id, name, label or number (default: the last on the disk)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print what has changed as JSON")


def run(args: argparse.Namespace) -> int:
    """Grows it; the image stays as it is until the new one is complete and checked."""
    from engine.cli.images import no_texts, refused
    from engine.cli.narration import Painted, Plain
    from engine.grow.grow import grow
    from engine.grow.layout import growth
    from engine.inspect.image import open_image
    from engine.tools.failure import StepFailed

    with refused():
        no_texts(args.image)
        image = open_image(args.image)
    with image.disk:
        _raw_only(image)
        found = growth(image, _size(args.to, image.disk.size), args.volume)
        _announce(found)
        view = Painted(sys.stderr) if sys.stderr.isatty() else Plain(sys.stderr)
        try:
            with view:
                grown = cancellable(grow(image, found, view))
        except StepFailed as failed:
            return _failed(args.image, failed.message, failed.hint)
        except OSError as error:
            return _failed(args.image, f"{error.filename or args.image}: {error.strerror}", "")
    if grown is None:
        print(f"cancelled; {args.image} is as it was", file=sys.stderr)
        return exits.CANCELLED
    for name in grown.wrong:
        print(f"warning: {name} was not right of the image; it was left alone", file=sys.stderr)
    for name in grown.stale:
        print(f"warning: {name} is of the image as it was before", file=sys.stderr)
    if args.json:
        _print_json(args.image, found.part.name, grown)
        return exits.DONE
    if grown.records:
        print(f"rewritten to fit: {', '.join(grown.records)}", file=sys.stderr)
    print(f"{args.image}: {_change(*grown.disk)}; {found.part.name}: {_change(*grown.volume)}")
    return exits.DONE


def _print_json(image: Path, name: str, grown: Grown) -> None:
    import json

    answer = {
        "schema": 1,
        "image": str(image),
        "disk": {"before": grown.disk[0], "after": grown.disk[1]},
        "volume": {"name": name, "before": grown.volume[0], "after": grown.volume[1]},
        "records": list(grown.records),
        "wrong_records": list(grown.wrong),
        "stale": list(grown.stale),
    }
    print(json.dumps(answer, indent=1))


def _change(before: int, after: int) -> str:
    from engine.units import human

    return f"{human(before)} before, {human(after)} now ({in_bytes(after)})"


def _failed(image: Path, message: str, hint: str) -> int:
    print(f"error: {message}; {image} is as it was", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return exits.FAILED


def _announce(found: Growth) -> None:
    from engine.units import human

    what = "and its file system" if found.filesystem else "and no file system that is known"
    if found.part.foreign is not None:
        what = f"{found.part.foreign.what} in it keeps its size"
    print(f"{found.part.name} grows by {human(found.by)}, {what}", file=sys.stderr)
    if found.behind:
        numbers = ", ".join(str(partition.number) for partition in found.behind)
        print(f"partitions behind it move by as much: {numbers}", file=sys.stderr)


def _size(text: str, present: int) -> int:
    """Returns a size in bytes; one with a plus is what comes on top.

    Raises:
        Refused: It is not a size.
    """
    from engine.units import parse_size

    more = text.startswith("+")
    try:
        size = parse_size(text[1:] if more else text)
    except ValueError as error:
        raise _refused("grow-size", f"--to: {error}") from None
    return size + present if more else size


def _raw_only(image: Image) -> None:
    """Raises Refused for what is not a raw image in a file."""
    import shlex

    if not image.path.is_file():
        raise _refused("grow-not-a-file", f"{image.path} is a disk, not an image in a file")
    if image.disk.format != "raw":
        name = shlex.quote(str(image.path))
        raw = shlex.quote(str(image.path.with_suffix(".raw")))
        kind = image.disk.format
        raise _refused(
            "grow-container",
            f"{image.path} is {kind}, and only raw images are grown",
            f"`qemu-img convert -O raw {name} {raw}`, grow that, and "
            f"`qemu-img convert -O {kind} {raw} {name}`",
        )


def _refused(code: str, message: str, hint: str = "") -> Refused:
    from engine.problem import Problem, Refused

    return Refused([Problem(code, "error", "", message, hint)])
