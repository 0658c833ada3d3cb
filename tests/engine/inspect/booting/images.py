"""Small images with real loaders, and what inspect says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.inspect.image import open_image
from engine.inspect.report import image_report
from tests.engine.boot.trees import X86_KERNEL
from tests.support.booting import Built, build_spec, esp_drive
from tests.support.tools import run_tool

CONTENTS: Mapping[str, bytes | str] = {
    "boot/vmlinuz-6.1": X86_KERNEL, "boot/initrd.img-6.1": b"new",
    "boot/vmlinuz-5.10": X86_KERNEL, "boot/initrd.img-5.10": b"old",
    "usr/lib/os-release": b'ID=some\nVERSION_ID=7\nPRETTY_NAME="Some System 7"\n',
    "etc/os-release": "../usr/lib/os-release",
}  # fmt: skip
"""Bytes are a file's contents, text is a symlink's target."""

_SPEC = """\
schema = 1
name = "some"
[layout]
table = "{table}"
[size]
additional = "2MiB"
boot = "33MiB"
[boot]
loader = "{loader}"
cmdline = "quiet"
[[contents]]
source = "root"
target = "/"
"""


def built(
    folder: Path, table: str, loader: str, contents: Mapping[str, bytes | str] = CONTENTS
) -> Built:
    """Builds an image of the contents with a loader."""
    for name, content in contents.items():
        path = folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.symlink_to(content)
    spec = folder / "some.toml"
    spec.write_text(_SPEC.format(table=table, loader=loader))
    return build_spec(spec, folder / "out")


def report(image: Path) -> dict[str, Any]:
    """Returns what inspect says of an image."""
    opened = open_image(image)
    with opened.disk:
        return image_report(opened)


def mtools(image: Built, command: str, *arguments: str) -> str:
    """Runs one of the mtools on an image's ESP and returns what it prints."""
    done = run_tool(
        [command, "-i", esp_drive(image), *arguments], capture_output=True, text=True, check=True
    )
    return str(done.stdout)


def put(image: Built, path: str, data: bytes, folder: Path) -> None:
    """Writes a file to an image's ESP."""
    source = folder / "put"
    source.write_bytes(data)
    mtools(image, "mcopy", "-o", str(source), f"::{path}")


def debugfs(image: Built, *commands: str) -> None:
    """Changes an image's root file system."""
    where = f"{image.image}?offset={image.plan.offset('root')}"
    for command in commands:
        run_tool(["debugfs", "-w", "-R", command, where], check=True, capture_output=True)
