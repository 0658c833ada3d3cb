"""Writes the files that are made from the tables: `python -m engine.spec.generate`."""

from __future__ import annotations

import json
from pathlib import Path

from engine.explain import manual as explained
from engine.spec import manual, schema


def main() -> None:
    """Writes docs/spec.md, docs/problems.md and schema/ below the current folder."""
    Path("docs/spec.md").write_text(manual.markdown(), encoding="utf-8")
    Path("docs/problems.md").write_text(explained.markdown(), encoding="utf-8")
    Path("schema/schemastore.json").write_text(
        json.dumps(schema.catalog_entry(), indent=2) + "\n", encoding="utf-8"
    )
    Path("schema/diskwright.schema.json").write_text(schema.dumps(), encoding="utf-8")


if __name__ == "__main__":
    main()
