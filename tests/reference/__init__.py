"""What was measured of nixpkgs' make-disk-image, as data: cases, the trees in them, arguments.

`sample.json`: 76 cases of the text of January 2025, whose own commands were run with real tools
(sgdisk 1.0.9, mke2fs 1.47.0, partx 2.38.1, qemu-img 7.2, parted 3.5; hybrid's partition 2 as
parted 3.6 makes it, which the reference's environment has): arguments, the tree in the root folder,
the five size figures, the partition table, the root file system's identity, or the last line of
the log where the build failed. `sample-25.11.json`: 80 cases of the younger text's partition
lines, likewise. `arguments.txt`: the names of the arguments of January 2025, in their order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

_FOLDER = Path(__file__).parent


def _cases(name: str, count: int) -> list[dict[str, Any]]:
    """Reads a sample; too few cases fail here, not as tests that silently do not exist."""
    read = json.loads((_FOLDER / name).read_text())
    cases: list[dict[str, Any]] = read["cases"] if isinstance(read, dict) else read
    assert len({case["id"] for case in cases}) == len(cases) == count, name
    return cases


CASES: Final = _cases("sample.json", 76)
YOUNGER_CASES: Final = _cases("sample-25.11.json", 80)
ARGUMENTS: Final = tuple((_FOLDER / "arguments.txt").read_text().split())
assert len(ARGUMENTS) == 26
