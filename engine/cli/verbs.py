"""The verbs of the command line, as data: help and completion read this without importing any.

A verb's module has `add(parser)`, which declares its arguments and imports nothing heavy, and
`run(args) -> int`, which returns the exit code.
"""

from __future__ import annotations

import argparse
import importlib
from dataclasses import dataclass
from typing import Protocol, cast


class VerbModule(Protocol):
    """What the module of a verb offers."""

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Declares the verb's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Does the work and returns the exit code."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb.

    Attributes:
        summary: One line for `diskwright --help`.
        module: Where it lives.
    """

    name: str
    summary: str
    module: str

    def load(self) -> VerbModule:
        """Imports the verb's module."""
        return cast("VerbModule", importlib.import_module(self.module))


_TABLE = (
    Verb("new", "write a commented starter spec", "engine.cli.new"),
    Verb("plan", "show the partition map and the size breakdown; write nothing", "engine.cli.plan"),
    Verb("build", "build the image", "engine.cli.build"),
    Verb("fleet", "build many images of one description", "engine.cli.fleet"),
    Verb("boot", "boot an image in QEMU, on the serial console", "engine.cli.boot"),
    Verb("inspect", "show what an image holds: table, file systems, files", "engine.cli.inspect"),
    Verb("diff", "show what differs between two images", "engine.cli.diff"),
    Verb("verify", "check the sums, manifest and image of an output folder", "engine.cli.verify"),
    Verb("check", "build twice under perturbed conditions and compare", "engine.cli.check"),
    Verb("flash", "write an image to a disk or a file, and read it back", "engine.cli.flash"),
    Verb("grow", "make a raw image larger, with one volume of it", "engine.cli.grow"),
    Verb("import", "make a spec from a Nix file, JSON or a disk image", "engine.cli.import_"),
    Verb("export", "write a spec as make-disk-image or repart.d have it", "engine.cli.export"),
    Verb("doctor", "show which tools are there and what a missing one costs", "engine.cli.doctor"),
    Verb("explain", "say what a problem's code means and how to mend it", "engine.cli.explain"),
    Verb("replay", "show a recorded build again", "engine.cli.replay"),
    Verb("serve", "serve the wizard to a browser on this machine", "engine.cli.serve"),
    Verb("completion", "print the completion script of a shell", "engine.cli.completion"),
)

VERBS = {verb.name: verb for verb in _TABLE}

OVERRIDING = frozenset({"plan", "build", "fleet", "check", "import", "export"})
"""The verbs with a spec that `--set` can change; the others take it too, and say so."""

_OVERRIDES = "override a key of the spec; may be given again"
_NO_OVERRIDES = "taken by every verb; changes nothing here, where no spec is planned"


def parser_for(verb: Verb) -> argparse.ArgumentParser:
    """Returns the argument parser of one verb; no other verb's module is imported."""
    parser = argparse.ArgumentParser(prog=f"diskwright {verb.name}", description=verb.summary)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help=_OVERRIDES if verb.name in OVERRIDING else _NO_OVERRIDES,
    )
    verb.load().add(parser)
    return parser
