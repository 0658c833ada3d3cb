"""`diskwright completion`: shell completion, by argcomplete.

The script that a shell reads once asks `diskwright` itself at each press of Tab (`answer`), so what
is offered follows from the parsers and the table of keys of the version that is installed.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable

from engine.cli.verbs import VERBS, parser_for

SHELLS = ("bash", "zsh", "fish")

INSTALLED = {"bash": "diskwright", "zsh": "_diskwright", "fish": "diskwright.fish"}
"""The file that each shell looks for where a package has put its script."""

_PROGRAM_WORDS = "_ARGCOMPLETE"
"""Is in the environment when a shell asks: how many words name the program."""

_INDEX = re.compile(r"\[\d+\]")

Completer = Callable[..., Iterable[str] | dict[str, str]]


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("shell", choices=SHELLS, help="shell to write the script for")


def run(args: argparse.Namespace) -> int:
    """Prints the script for a shell."""
    print(script(args.shell))
    return 0


def script(shell: str) -> str:
    """Returns the script that a shell reads once."""
    from argcomplete.shell_integration import shellcode

    text: str = shellcode(["diskwright"], shell=shell)
    return text


def answer() -> None:
    """Writes what could follow on the command line in COMP_LINE for the shell, and exits."""
    from argcomplete import autocomplete
    from argcomplete.lexers import split_line

    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    words: list[str] = split_line(line, point)[3]
    verb = VERBS.get(words[1]) if len(words) > 1 else None
    if verb is None:
        parser = _first_word()
    else:
        parser = parser_for(verb)
        os.environ[_PROGRAM_WORDS] = "2"  # the verb is a program of its own
    completers = _completers()
    for action in parser._actions:
        if action.choices is None and not hasattr(action, "completer"):
            completer = completers.get(str(action.metavar), _nothing)
            action.completer = completer  # type: ignore[attr-defined]  # argcomplete's own way
    autocomplete(parser, always_complete_options=False)


def _first_word() -> argparse.ArgumentParser:
    """Returns a parser for the first word: a verb, a spec or an option of the wizard."""
    parser = argparse.ArgumentParser(prog="diskwright")
    for option in ("--plain", "--ascii", "--version"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("word", metavar="VERB")
    return parser


def _completers() -> dict[str, Completer]:
    """Returns what completes an argument, by the name that its usage line gives it."""
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    file, folder, spec = FilesCompleter(), DirectoriesCompleter(), FilesCompleter(["toml"])

    def verb(prefix: str, **_others: object) -> dict[str, str]:
        summaries = {name: verb.summary for name, verb in VERBS.items()}
        return summaries | dict.fromkeys(spec(prefix=prefix), "a spec, opened in the wizard")

    return {
        "VERB": verb,
        "SECTION.KEY=VALUE": overrides,
        "CODE": _codes,
        **dict.fromkeys(("SPEC", "SPEC.toml"), spec),
        **dict.fromkeys(("DIR", "OUTDIR"), folder),
        **dict.fromkeys(("FILE", "DEST", "IMAGE", "IMAGE_A", "IMAGE_B"), file),
    }


def _codes(**_others: object) -> dict[str, str]:
    """Returns the codes of problems with what each means."""
    from engine.explain.table import explanations

    return {code: one.means for code, one in explanations().items()}


def _nothing(**_others: object) -> tuple[str, ...]:
    return ()


def overrides(prefix: str, **_others: object) -> dict[str, str]:
    """Returns the keys of a spec with what they are; behind a key and "=", the values it takes."""
    from engine.spec.keys import KEYS

    path, equals, _ = prefix.partition("=")
    if not equals:
        return {f"{name.replace('[]', '[0]')}=": key.summary for name, key in KEYS.items()}
    key = KEYS.get(_INDEX.sub("[]", path))
    if key is None:
        return {}
    values = key.choices or (("true", "false") if key.kind.startswith("true") else ())
    return {f"{path}={value}": key.kind for value in values}
