"""A fleet as calls of nixpkgs' make-disk-image, which Hydra and remote builders carry out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.fleet.model import Fleet, Gathered, Wrong
from engine.nix.export import export
from engine.nix.values import show, show_key
from engine.problem import Refused, errors
from engine.spec.resolve import resolve

_HEAD = """\
# The images of a fleet with nixpkgs' make-disk-image. One: nix-build {file} -A {example}
# All of them: nix-build {file}; to Hydra each attribute is a job.
{{ nixpkgs ? <nixpkgs>, pkgs ? import nixpkgs {{ }}, ... }}:
let
  make = import (pkgs.path + "/nixos/lib/make-disk-image.nix");
  image = arguments: make ({{ inherit pkgs; inherit (pkgs) lib; }} // arguments);
in
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """The file, and what it does not carry over, each once with its rows."""

    source: str
    notes: tuple[Wrong, ...]


def export_fleet(fleet: Fleet, environment: Mapping[str, str], file: str = "FILE.nix") -> Exported:
    """Returns a Nix file with an attribute for each row.

    Args:
        fleet: From `read_fleet`.
        environment: As for `resolve`.
        file: What it will be called, for its comment.

    Raises:
        Refused: Something is wrong with the fleet or the spec of a row.
    """
    if fleet.errors:
        raise Refused([one.problem for one in fleet.errors])
    notes, lines = Gathered(), []
    for row in fleet.rows:
        settings, problems = resolve(row.spec, row.base, environment)
        if errors(problems):
            raise Refused(row.locate(errors(problems)))
        exported = export(row.spec, settings)
        for note in exported.notes:
            notes.add(note, row.name)
        call = show({**exported.arguments}, "  ")
        lines.append(f"  {show_key(row.name)} = image {call};\n")
    told = "".join(f"# not carried over: {note.line()}\n" for note in notes.all)
    example = show_key(fleet.rows[0].name)
    head = _HEAD.format(file=file, example=example)
    return Exported(f"{told}{head}{{\n{''.join(lines)}}}\n", notes.all)
