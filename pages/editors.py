"""What editors say of our specs: taplo and tombi hold the examples against the schema.

`setup/editors` runs it, a step of `./check --all`. Both programs look at the `#:schema` line of a
spec, as they do in an editor, and need no network. jsonschema looks at the schema itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from pages.build import PROJECT

SCHEMA = PROJECT / "schema/diskwright.schema.json"
LINTERS = (("taplo", "lint"), ("tombi", "lint", "--offline"))
_MISTAKEN = 'schema = 1\n[layout]\ntable = "no such table"\n'


def examples() -> list[Path]:
    """Returns the specs of the examples: what says that it goes by the schema."""
    every = sorted((PROJECT / "examples").rglob("*.toml"))
    return [path for path in every if path.read_text(encoding="utf-8").startswith("#:schema ")]


def refused(command: tuple[str, ...], paths: list[Path]) -> str:
    """Returns what a linter says against files; "" if nothing."""
    program = Path(sys.executable).with_name(command[0])
    ran = subprocess.run(
        [program, *command[1:], *paths],
        cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return (ran.stdout + ran.stderr) if ran.returncode else ""


def main() -> int:
    """Prints what is wrong."""
    import_module("jsonschema").Draft7Validator.check_schema(json.loads(SCHEMA.read_text()))
    wrong = [said for linter in LINTERS if (said := refused(linter, examples()))]
    with tempfile.TemporaryDirectory(prefix="diskwright-editors-") as name:
        mistaken = Path(name) / "mistaken.toml"
        mistaken.write_text(f"#:schema {SCHEMA.as_uri()}\n{_MISTAKEN}", encoding="utf-8")
        wrong += [
            f"{linter[0]} does not see a mistake: it looks at no schema"
            for linter in LINTERS
            if "no such table" not in refused(linter, [mistaken])
        ]
    print("\n".join(wrong) or f"{len(examples())} specs are as the schema says", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
