"""`diskwright completion`: shell completion, generated from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from engine.cli.verbs import VERBS, Verb, parser_for

Kind = Literal["spec", "folder", "file", "word", "none"]

# What an argument takes, by the name its usage line gives it; other names take plain words.
_KINDS: dict[str, Kind] = {
    "SPEC": "spec",
    "SPEC.toml": "spec",
    "DIR": "folder",
    "OUTDIR": "folder",
    "FILE": "file",
    "DEST": "file",
    "IMAGE": "file",
    "IMAGE_A": "file",
    "IMAGE_B": "file",
}


@dataclass(frozen=True, slots=True)
class Option:
    """An option or a positional argument.

    Attributes:
        flags: "-o", "--outdir"; empty for a positional.
        kind: What its value is; "none" for a switch.
        choices: The only values it takes; empty where any will do.
        help: One line.
    """

    flags: tuple[str, ...]
    kind: Kind
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True)
class Command:
    """A verb as completion sees it."""

    name: str
    help: str
    options: tuple[Option, ...]
    positionals: tuple[Option, ...]


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("shell", choices=tuple(SHELLS), help="shell to write the script for")


def run(args: argparse.Namespace) -> int:
    """Prints the script for a shell."""
    print(SHELLS[args.shell](tree()), end="")
    return 0


def tree() -> tuple[Command, ...]:
    """Returns every verb with its arguments, as `diskwright VERB --help` knows them."""
    return tuple(_command(verb) for verb in VERBS.values())


def _command(verb: Verb) -> Command:
    arguments = [_option(action) for action in parser_for(verb)._actions]
    return Command(
        verb.name,
        verb.summary,
        options=tuple(argument for argument in arguments if argument.flags),
        positionals=tuple(argument for argument in arguments if not argument.flags),
    )


def _option(action: argparse.Action) -> Option:
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    choices = tuple(str(choice) for choice in action.choices or ())
    kind: Kind = "none" if action.nargs == 0 else _KINDS.get(name, "word")
    help_ = (action.help or "").replace("%%", "%")
    return Option(tuple(action.option_strings), kind, choices, help_)


# --- bash -----------------------------------------------------------------------------

_BASH = """\
# Completion of diskwright for bash: source this file, or put it in
# ~/.local/share/bash-completion/completions/diskwright
_diskwright() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(
            compgen -W '{verbs} --help' -- "$current"
            compgen -f -X '!*.toml' -- "$current"
            compgen -d -- "$current"
        )
        return
    fi
    case "${{COMP_WORDS[1]}} $previous" in
{values}    esac
    if [[ $current == -* ]]; then
        case ${{COMP_WORDS[1]}} in
{options}        esac
        return
    fi
    case ${{COMP_WORDS[1]}} in
{positionals}    esac
}}
complete -o filenames -F _diskwright diskwright
"""
_BASH_GENERATORS: dict[Kind, str] = {
    "spec": 'compgen -f -X \'!*.toml\' -- "$current"; compgen -d -- "$current"',
    "folder": 'compgen -d -- "$current"',
    "file": 'compgen -f -- "$current"',
    "word": ":",
}


def bash(commands: tuple[Command, ...]) -> str:
    """Returns the script for bash 4 and later."""
    return _BASH.format(
        verbs=" ".join(verb.name for verb in commands),
        values="".join(_bash_values(commands)),
        options="".join(
            f"            {verb.name}) mapfile -t COMPREPLY < <(compgen -W "
            f"'{' '.join(flag for option in verb.options for flag in option.flags)}'"
            ' -- "$current") ;;\n'
            for verb in commands
        ),
        positionals="".join(
            f"        {verb.name}) mapfile -t COMPREPLY < <("
            f"{_bash_generator(verb.positionals[0])}) ;;\n"
            for verb in commands
            if verb.positionals
        ),
    )


def _bash_values(commands: tuple[Command, ...]) -> Iterator[str]:
    for verb in commands:
        for option in verb.options:
            if option.kind != "none":
                patterns = "|".join(f'"{verb.name} {flag}"' for flag in option.flags)
                yield (
                    f"        {patterns}) mapfile -t COMPREPLY < <({_bash_generator(option)});"
                    " return ;;\n"
                )


def _bash_generator(option: Option) -> str:
    if option.choices:
        return f"compgen -W '{' '.join(option.choices)}' -- \"$current\""
    return _BASH_GENERATORS[option.kind]


# --- zsh ------------------------------------------------------------------------------

_ZSH = """\
#compdef diskwright
# Completion of diskwright for zsh: put this file as _diskwright in a folder of $fpath.
_diskwright() {{
    local -a verbs=(
{verbs}    )
    if ((CURRENT == 2)); then
        _describe -t commands 'diskwright command' verbs
        _files -g '*.toml'
        return
    fi
    local verb=$words[2]
    shift words
    ((CURRENT--))
    case $verb in
{cases}    esac
}}
compdef _diskwright diskwright
"""
_ZSH_ACTIONS: dict[Kind, str] = {
    "spec": '_files -g "*.toml"',
    "folder": "_files -/",
    "file": "_files",
    "word": " ",
}


def zsh(commands: tuple[Command, ...]) -> str:
    """Returns the script for zsh 5 and later."""
    return _ZSH.format(
        verbs="".join(f"        '{verb.name}:{_zsh_text(verb.help)}'\n" for verb in commands),
        cases="".join(
            f"        {verb.name}) _arguments {' '.join(_zsh_arguments(verb))} ;;\n"
            for verb in commands
        ),
    )


def _zsh_arguments(verb: Command) -> Iterator[str]:
    for option in verb.options:
        for flag in option.flags:
            value = "" if option.kind == "none" else f":value:{_zsh_action(option)}"
            yield f"'*{flag}[{_zsh_text(option.help)}]{value}'"
    for positional in verb.positionals:
        yield f"':{_zsh_text(positional.help)}:{_zsh_action(positional)}'"


def _zsh_action(option: Option) -> str:
    return f"({' '.join(option.choices)})" if option.choices else _ZSH_ACTIONS[option.kind]


def _zsh_text(text: str) -> str:
    """Escapes what `_arguments` and single quotes would take for their own."""
    escaped = "".join(f"\\{char}" if char in ":[]\\" else char for char in text)
    return escaped.replace("'", "'\\''")


# --- fish -----------------------------------------------------------------------------

_FISH_FILES: dict[Kind, str] = {
    "spec": "-k -xa '(__fish_complete_suffix .toml)'",
    "folder": "-xa '(__fish_complete_directories)'",
    "file": "-rF",
    "word": "-x",
    "none": "",
}


def fish(commands: tuple[Command, ...]) -> str:
    """Returns the script for fish 3.1 and later."""
    return "\n".join(_fish_lines(commands)) + "\n"


def _fish_lines(commands: tuple[Command, ...]) -> Iterator[str]:
    yield "# Completion of diskwright for fish: put this file in"
    yield "# ~/.config/fish/completions/diskwright.fish"
    yield "complete -c diskwright -f"
    first = "-n __fish_use_subcommand"
    yield f"complete -c diskwright {first} {_FISH_FILES['spec']}"
    for verb in commands:
        yield f"complete -c diskwright {first} -a {verb.name} -d {_fish_text(verb.help)}"
    for verb in commands:
        within = f"-n '__fish_seen_subcommand_from {verb.name}'"
        for option in verb.options:
            yield f"complete -c diskwright {within} {_fish_option(option)}"
        for positional in verb.positionals[:1]:
            yield f"complete -c diskwright {within} {_fish_value(positional)}"


def _fish_option(option: Option) -> str:
    flags = " ".join(
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
    )
    return f"{flags} {_fish_value(option)} -d {_fish_text(option.help)}".replace("  ", " ")


def _fish_value(option: Option) -> str:
    return f"-xa '{' '.join(option.choices)}'" if option.choices else _FISH_FILES[option.kind]


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[tuple[Command, ...]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
