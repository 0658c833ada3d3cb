"""The examples of the NixOS page are specs that resolve; building them takes the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.problem import errors
from engine.spec.keys import KEYS
from engine.spec.load import load
from engine.spec.resolve import resolve

PROJECT = Path(__file__).parents[3]
EXAMPLES = sorted((PROJECT / "examples" / "nixos").glob("*.toml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_every_example_resolves(example: Path) -> None:
    loaded = load(example)
    settings, problems = resolve(loaded.spec, loaded.base, {})

    assert example.read_text().splitlines()[1].startswith("# Shows ")
    assert errors(problems) == ()
    flake, _, attribute = settings.nix.system.partition("#")
    assert (Path(flake) / "flake.nix").is_file()
    assert attribute.endswith(".config.system.build.toplevel")


def test_the_page_names_every_argument_and_its_key() -> None:
    page = (PROJECT / "docs" / "nixos.md").read_text()

    for key in KEYS.values():
        if key.argument and not key.argument.startswith("contents."):
            row = next(line for line in page.splitlines() if f"| `{key.argument}`" in line
                       or f", `{key.argument}`" in line)  # fmt: skip
            assert key.path.rpartition(".")[2] in row
