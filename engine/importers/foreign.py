"""What people try to import and nothing here reads: files of other tools, and what to do instead.

A row is known by what its tool's own documentation has at the top of such a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.importers.model import Candidate

_TREE = "Diskwright installs no packages: have it make a tree, and name that in [[contents]]"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A kind of file that is known and not imported.

    Attributes:
        title: What it is, for a sentence.
        text: What is in such a file.
        hint: What to do instead.
        members: Paths in a folder of it, any of which tells; those with text are looked into.
    """

    title: str
    text: re.Pattern[str]
    hint: str
    members: tuple[str, ...] = ()


def _any(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


FOREIGN = (
    Foreign(
        "a configuration of mkosi", _any(r"^\[(Distribution|Content|Output|Build)\]\s*$"),
        f"import its folder of partitions, mkosi.repart. {_TREE} (Format=directory)",
        ("mkosi.conf",),
    ),
    Foreign(
        "a blueprint of image-builder (osbuild)",
        _any(r'^\s*\[\[?(packages|containers|groups|customizations\b.*)\]|"customizations"\s*:'),
        f"{_TREE} (image type tar, with extract = true), or import the image that it builds",
    ),
    Foreign(
        "a description of kiwi", _any(r"<image\b[^>]*\bschemaversion="),
        f"{_TREE} (`kiwi-ng system prepare`), or import the image that it builds",
        ("config.xml", "config.kiwi"),
    ),
    Foreign(
        "a recipe of debos", _any(r"^actions:\s*(#.*)?\n(\s*(#.*)?\n)*\s*- action:"),
        f"{_TREE} (action: pack, with extract = true), or import the image that it builds",
    ),
    Foreign(
        "a specification of vmdb2", _any(r"^\s*- (mkimg|mklabel|mkpart|mkfs|debootstrap):"),
        f"{_TREE} (debootstrap), or import the image that it builds",
    ),
    Foreign(
        "a configuration of live-build", _any(r"^\s*lb config\b|^LB_[A-Z_]+="),
        f"{_TREE} (chroot/), or import the image that it builds",
        ("auto/config", "config/common", "config/bootstrap"),
    ),
    Foreign(
        "a template of Packer", _any(r'^(source|build|packer)\s+("|\{)|"builders"\s*:'),
        "import the image that it builds",
    ),
    Foreign(
        "a disk layout of disko", _any(r"\bdisko\.devices\b"),
        "name the NixOS system in nix.system, and its partitions in [[volume]]",
    ),
    Foreign(
        "a Containerfile", _any(r"\A(\s*(#.*)?\n)*\s*(ARG\b.*\n\s*)*FROM\s+\S"),
        "build it, and name the container image in [[contents]] with extract = true",
    ),
    Foreign(
        "a script for sfdisk", _any(r"^label:\s*(gpt|dos|mbr)\b"),
        "apply it to an empty file (truncate -s 4G FILE; sfdisk FILE < SCRIPT), and import that",
    ),
    Foreign(
        "a file for an installer or a first boot",
        _any(r"\A#cloud-config\b|^d-i\s+\S+/|^variant:\s*\w|\"ignition\"\s*:|^%packages\b"),
        "Diskwright makes the disk itself: its partitions are in [[volume]]. Such a file can go "
        "into the image with [[contents]]",
    ),
)  # fmt: skip


def foreign(candidate: Candidate) -> Foreign | None:
    """Returns what a file or folder is, if it is one of another tool that is not imported.

    Raises:
        Refused: It cannot be read.
    """
    return next((row for row in FOREIGN if _is(row, candidate)), None)


def _is(row: Foreign, candidate: Candidate) -> bool:
    if not candidate.is_folder:
        return row.text.search(candidate.text or "") is not None
    files = [candidate.path / name for name in row.members]
    return any(file.is_file() and _is(row, Candidate(file)) for file in files)
