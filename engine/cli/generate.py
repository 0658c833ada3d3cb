"""Writes what is made from the parsers, too: `python -m engine.cli.generate`."""

from __future__ import annotations

from pathlib import Path

from engine.cli import manpage, manual
from engine.cli.completion import INSTALLED, script
from engine.spec import generate
from engine.spec import manpage as spec_page


def files() -> dict[str, str]:
    """Returns the text of each file by its place in the repository."""
    return {
        "docs/options.md": manual.markdown(),
        "man/diskwright.1": manpage.text(),
        "man/diskwright.toml.5": spec_page.text(),
        **{f"completions/{name}": script(shell) for shell, name in INSTALLED.items()},
    }


def main() -> None:
    """Writes manual pages, options, completions and what the tables alone make."""
    generate.main()
    for name, text in files().items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
