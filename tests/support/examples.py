"""The worked examples of docs/extending.md, for the tests that try them."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(section: str) -> list[str]:
    """Returns the Python of a section, block by block.

    Args:
        section: Title of the section.
    """
    _, found, rest = _PAGE.read_text().partition(f"\n## {section}\n")
    assert found, f"docs/extending.md has no section {section!r}"
    return _BLOCK.findall(rest.partition("\n## ")[0])
