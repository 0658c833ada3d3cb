"""docs/options.md: every verb and option, as the parser has them."""

from __future__ import annotations

import argparse

from engine.cli.verbs import OVERRIDING, VERBS, parser_for

_INTRODUCTION = """\
# Every option

Made from the parser itself: `diskwright VERB --help` says the same. [The commands](commands.md)
explains what each does, with examples.
"""


def markdown() -> str:
    """Returns the page as the text that is committed as docs/options.md."""
    parts = [_INTRODUCTION]
    for verb in VERBS.values():
        parser = parser_for(verb)
        parts.append(f"## {verb.name}\n\n{verb.summary[0].upper()}{verb.summary[1:]}.\n")
        left_out = {"help"} if verb.name in OVERRIDING else {"help", "set"}
        rows = [_row(action) for action in parser._actions if action.dest not in left_out]
        if rows:
            parts.append("| argument | |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _row(action: argparse.Action) -> str:
    metavar = action.metavar or action.dest.upper()
    names = ", ".join(f"`{one}`" for one in action.option_strings) or f"`{metavar}`"
    if action.option_strings and action.nargs != 0:
        value = "\\|".join(map(str, action.choices)) if action.choices else metavar
        names += f" `{value}`" if not action.choices else f" {value}"
    text = (action.help or "").replace("|", "\\|") % {"default": action.default}
    return f"| {names} | {text} |"
