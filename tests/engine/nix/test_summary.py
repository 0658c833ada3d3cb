"""Where the space of a closure goes, for the wizard."""

from __future__ import annotations

import os

from engine.nix import ask
from engine.nix.closure import Closure
from engine.nix.store import locate
from engine.nix.summary import Summary
from tests.engine.nix.test_closure import made
from tests.support.nixos import Lab


def closure() -> Closure:
    return Closure(
        (
            made("a-top", "b-zlib-1.2", "c-app", size=1),
            made("b-zlib-1.2", size=100),
            made("c-app", "c-app", "d-zlib-1.3", size=10),
            made("d-zlib-1.3", size=1000),
        ),
        ("/nix/store/a-top",),
    )


def test_sizes_of_the_tree() -> None:
    summary = Summary(closure())

    (root,) = summary.roots()
    assert (root.name, root.own, root.closure, root.references) == ("top", 1, 1111, 2)
    assert [(child.name, child.closure) for child in summary.children(root.path)] == [
        ("app", 1010), ("zlib-1.2", 100),
    ]  # fmt: skip
    assert [child.name for child in summary.children("/nix/store/c-app")] == ["zlib-1.3"]
    assert summary.total == 1111
    assert [path.name for path in summary.largest(2)] == ["zlib-1.3", "zlib-1.2"]
    assert [step.name for step in summary.why("/nix/store/d-zlib-1.3")] == [
        "top", "app", "zlib-1.3",
    ]  # fmt: skip


def test_duplicates_cost_what_is_not_the_largest() -> None:
    (found,) = Summary(closure()).duplicates()

    assert found.package == "zlib"
    assert [path.name for path in found.paths] == ["zlib-1.3", "zlib-1.2"]
    assert found.bytes == 100


def test_sizes_are_those_of_nix(lab: Lab, system: str) -> None:
    said = lab.nix("nix", "path-info", "-sS", system).split()

    store = locate("", os.environ)
    (root,) = Summary(ask.closure([system], store, os.environ)).roots()

    assert [str(root.own), str(root.closure)] == said[1:]
