"""Builds the documentation site: `setup/site [OUTDIR | --check]`.

The site mirrors the repository: README.md is its first page, docs/ and screenshots/ are where they
are here, so that a link works in both. zensical renders in its strict mode, without network; then
every link and anchor of the finished pages is followed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pages.links import broken

PROJECT = Path(__file__).parents[1]
CONFIGURATION = Path(__file__).with_name("zensical.toml")
SOURCES = (
    "*.md", "LICENSE", "docs/**/*.md", "screenshots/*.svg", "screenshots/*.png",
    "screenshots/*.cast", "examples/**/*.toml", "examples/**/make.*", "schema/*.json",
)  # fmt: skip
"""What pages are made of, and what they link to."""


def stage(folder: Path) -> None:
    """Puts all that the site is made of below a folder, as the configuration expects it."""
    shutil.copyfile(CONFIGURATION, folder / CONFIGURATION.name)
    for pattern in SOURCES:
        for path in PROJECT.glob(pattern):
            target = folder / "source" / path.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def build(outdir: Path | None) -> list[str]:
    """Builds the site in a folder that does not exist yet; returns what is wrong with it.

    Args:
        outdir: Where the site goes; None to check it only.
    """
    with tempfile.TemporaryDirectory(prefix="diskwright-site-") as name:
        folder = Path(name)
        stage(folder)
        ran = subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if ran.returncode:
            return [*ran.stdout.splitlines(), *ran.stderr.splitlines()]
        wrong = broken(folder / "site")
        if not wrong and outdir is not None:
            shutil.copytree(folder / "site", outdir)
        return wrong


def main() -> int:
    """Builds the site; prints what is wrong."""
    parser = argparse.ArgumentParser(prog="pages.build", description="build the documentation")
    parser.add_argument("outdir", nargs="?", type=Path, default=Path("site"))
    parser.add_argument("--check", action="store_true", help="keep nothing")
    args = parser.parse_args()
    outdir: Path | None = None if args.check else args.outdir
    if outdir is not None and outdir.exists():
        print(f"error: {outdir} exists; move it away", file=sys.stderr)
        return 2
    wrong = build(outdir)
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong and outdir is not None:
        print(outdir / "index.html")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
