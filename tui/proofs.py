"""What is proved of an image: the manifest of its build says which boots were seen.

A proof counts only while the image is as it was recorded: of that size, and not written since.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MANIFEST = "manifest.json"
_MOST = 64 << 20
"""Bytes of a manifest that are looked at: it has the consoles of its proofs."""
_NAMES = {"bios": "BIOS", "uefi": "UEFI"}


@dataclass(frozen=True, slots=True)
class Proof:
    """A boot that was seen.

    Attributes:
        firmware: "BIOS" or "UEFI".
        expected: The regular expression that the console showed.
        seconds: After which it did.
    """

    firmware: str
    expected: str
    seconds: float


def proofs_of(image: Path) -> tuple[Proof, ...]:
    """Returns the boots that the manifest beside an image records of it, if all were seen."""
    # The manifest may be anybody's.
    with suppress(
        OSError, ValueError, KeyError, TypeError, AttributeError, re.error, RecursionError
    ):
        file = image.with_name(_MANIFEST)
        status = image.stat()
        if file.stat().st_size > _MOST or status.st_mtime > file.stat().st_mtime:
            return ()
        manifest: dict[str, Any] = json.loads(file.read_bytes())
        sizes = {output["path"]: output["bytes"] for output in manifest["outputs"]}
        if sizes.get(image.name) != status.st_size:
            return ()
        expected = str(manifest["plan"]["boot"]["expect"])
        re.compile(expected)
        proofs = manifest["proofs"]
        if all(proof["seen"] is True for proof in proofs):
            return tuple(
                Proof(_NAMES[proof["firmware"]], expected, float(proof["seconds"]))
                for proof in proofs
            )
    return ()


def badge(proofs: tuple[Proof, ...]) -> str:
    """Returns proofs in words: "boots: BIOS, login: in 4.1 s; UEFI, login: in 7.3 s"."""
    if not proofs:
        return ""
    parts = (f"{one.firmware}, {one.expected} in {one.seconds:.1f} s" for one in proofs)
    return f"boots: {'; '.join(parts)}"
