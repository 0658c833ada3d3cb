"""A Nix file that calls make-disk-image: a package, a module, a flake, or the arguments alone.

The file is read without Nix (`engine.importers.nix_source`); where nix is installed, it is asked
for what depends on nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from engine.importers.arguments import ARGUMENTS, to_spec
from engine.importers.model import Candidate, Imported, not_carried, refused
from engine.importers.nix_source import Call, NotNix, calls
from engine.nix import ask
from engine.nix.values import Buildable, Opaque, Value, show_text

_BLANK = r"(?:\s+|#[^\n]*(?:\n|\Z)|/\*.*?\*/)*"
_BEGIN = re.compile(
    _BLANK + r"(?:[{(]|(?:let|with|rec|assert|import|if)\b|builtins\.|"
    r"[A-Za-z_][\w'-]*\s*(?:@|:\s*(?:[{(]|(?:let|with|rec|assert|import|if)\b|[\w'-]+[ \t]*[:@])))",
    re.DOTALL,
)
_SHOWN = 60
_OWN_SYSTEM = re.compile(r"self\.(nixosConfigurations\.[\w\"-]+\.config)")
"""How a flake names the configuration of one of its own systems."""


def recognise(candidate: Candidate) -> bool:
    """Whether it begins as a Nix expression does."""
    return candidate.text is not None and _BEGIN.match(candidate.text) is not None


def read(candidate: Candidate, environment: Mapping[str, str]) -> Imported:
    """Makes a spec of the first call in the file; others are listed.

    Raises:
        Refused: It is not Nix, no call is in it, or an argument is not what make-disk-image takes.
    """
    path = candidate.path
    whole = _Evaluation(candidate, environment)
    try:
        found = calls(candidate.text or "", str(path.absolute().parent))
    except NotNix as error:
        # A newer Nix may have grown grammar that ours does not have.
        if whole.value is None:
            hint = 'write the arguments as { diskSize = "auto"; ... }, or the call with them'
            raise refused(f"{path}: {error}", hint) from None
        found = []
    found = [one for one in found if one.found or ARGUMENTS & one.arguments.keys()]
    if not found:
        if whole.value is None:
            raise refused(
                f"{path} has no call of make-disk-image in it",
                "import the file that calls it, or write its arguments as { ... }",
            )
        return to_spec(whole.value)
    first, *others = found
    arguments = _closed(first, whole, environment)
    own = arguments.get("config")
    system = _OWN_SYSTEM.fullmatch(own.text) if isinstance(own, Opaque) else None
    if system and path.name == "flake.nix":
        arguments["config"] = Buildable(f"path:{path.absolute().parent}#{system[1]}")
    imported = to_spec(arguments, first.lines)
    notes = [
        not_carried(f"line {line}: {_short(source)} is not carried over",
                    "only nix can evaluate its arguments")
        for line, source in first.unread
    ]  # fmt: skip
    notes += [
        not_carried(f"line {other.line}: another call of make-disk-image is not carried over",
                    "put it in a file of its own to import it")
        for other in others
    ]  # fmt: skip
    return replace(imported, notes=(*imported.notes, *notes))


def _closed(call: Call, whole: _Evaluation, environment: Mapping[str, str]) -> dict[str, Value]:
    """Returns the arguments with all evaluated that nix can tell."""
    result = {}
    for name, value in call.arguments.items():
        closed = _evaluated_in(value, environment)
        if isinstance(closed, Opaque) and not call.found and whole.value is not None:
            closed = whole.value.get(name, closed)
        result[name] = closed
    return result


class _Evaluation:
    """What nix makes of the whole file, asked only if somebody wants to know."""

    def __init__(self, candidate: Candidate, environment: Mapping[str, str]) -> None:
        self._expression = f"import (/. + {show_text(str(candidate.path.absolute()))})"
        self._environment = environment
        self._asked = False
        self._value: Mapping[str, Value] | None = None

    @property
    def value(self) -> Mapping[str, Value] | None:
        """The arguments, or None where nix is missing or gives none."""
        if not self._asked:
            self._asked = True
            answer = _evaluated(Opaque(self._expression), self._environment)
            if isinstance(answer, dict) and ARGUMENTS & answer.keys():
                self._value = answer
        return self._value


def _evaluated_in(value: Value, environment: Mapping[str, str]) -> Value:
    """Returns a value with every expression in it evaluated that depends on nothing else."""
    if isinstance(value, Opaque):
        return _evaluated(value, environment) if value.closed else value
    if isinstance(value, Mapping):
        return {name: _evaluated_in(item, environment) for name, item in value.items()}
    if isinstance(value, list):
        return [_evaluated_in(item, environment) for item in value]
    return value


def _evaluated(value: Opaque, environment: Mapping[str, str]) -> Value:
    """Returns the value of an expression, or the expression where nix has none for it."""
    try:
        ask.require(environment)
        found: Value = json.loads(ask.literal(f"({value.text}\n)", environment))
    except (ask.NixMissing, ask.NixFailed):
        return value
    return found


def _short(source: str) -> str:
    text = " ".join(source.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
