"""diskwright(1): the verbs and their options, made from the parsers that read them."""

from __future__ import annotations

import argparse

from engine import RELEASED, __version__
from engine.cli import exits
from engine.cli.verbs import OVERRIDING, VERBS, Verb, parser_for
from engine.spec import roff

_WIZARD = (
    ("--plain", "the wizard as questions and answers, for a screen reader or a dumb terminal"),
    ("--ascii", "draw with ASCII alone"),
    ("--version", "print the version"),
    ("--help", "print the verbs"),
)

_ENVIRONMENT = (
    ("DISKWRIGHT_TRACEBACK", "shows where a fault of Diskwright itself happened"),
    ("SOURCE_DATE_EPOCH", "the time of an image whose spec has no `identity.source_date_epoch`"),
    ("TERM", "with the value dumb, the wizard asks its questions without drawing"),
)

EXIT_STATUS = {
    exits.DONE: "done",
    exits.FAILED: "the build failed",
    exits.REFUSED: "the spec, the arguments or the preflight were refused; nothing was written",
    exits.DIFFERENT: "a difference was found",
    exits.NOT_SEEN: "the boot did not show what was expected",
    exits.INTERNAL: "a fault of Diskwright itself",
    exits.CANCELLED: "cancelled",
}

_EXAMPLES = (
    ("See what a folder would become, and build it:", "diskwright plan --contents rootfs\n"
     "diskwright build --contents rootfs -o out"),
    ("Build a spec with another size, and prove that it repeats itself:",
     "diskwright build disk.toml -o out --set size.additional=1GiB\ndiskwright check disk.toml"),
    ("Look into any image:", "diskwright inspect out/disk.img /etc"),
)  # fmt: skip


def text() -> str:
    """Returns the page."""
    return roff.joined(
        [
            roff.page("DISKWRIGHT", 1, "User commands", __version__, RELEASED),
            roff.heading("NAME"),
            r"diskwright \- design and build Linux disk images without root" + "\n",
            roff.heading("SYNOPSIS"),
            ".br\n".join(f"{line}\n" for line in _synopsis()),
            roff.heading("DESCRIPTION"),
            roff.paragraph(
                "Diskwright turns a description of a disk into a disk image: no root, exact "
                "sizes, and proof that it boots. Without a verb it opens the wizard, on a spec "
                "(`diskwright.toml`(5)), on what another tool describes, or on an image."
            ),
            roff.paragraph("Data goes to standard output, narration to standard error."),
            roff.heading("OPTIONS OF THE WIZARD"),
            *(roff.item(roff.bold(flag), meaning) for flag, meaning in _WIZARD),
            roff.heading("VERBS"),
            roff.paragraph(
                "Every verb takes `--help`, and `--set` `SECTION.KEY=VALUE`, which "
                f"overrides a key of the spec for {_listed(sorted(OVERRIDING))}."
            ),
            *(_verb(verb) for verb in VERBS.values()),
            roff.heading("EXIT STATUS"),
            *(roff.item(roff.bold(str(code)), meaning) for code, meaning in EXIT_STATUS.items()),
            roff.heading("ENVIRONMENT"),
            *(roff.item(roff.bold(name), meaning) for name, meaning in _ENVIRONMENT),
            roff.heading("EXAMPLES"),
            *(roff.paragraph(what) + roff.example(how) for what, how in _EXAMPLES),
            roff.heading("SEE ALSO"),
            roff.paragraph(
                "`diskwright.toml`(5), `mke2fs`(8), `sfdisk`(8), `qemu-img`(1), `systemd-repart`(8)"
            ),
        ]
    )


def _synopsis() -> list[str]:
    name = roff.bold("diskwright")
    return [
        f"{name} [{roff.bold('--plain')} | {roff.bold('--ascii')}] "
        f"[{roff.italic('SPEC.toml')} | {roff.italic('IMAGE')} | {roff.italic('FILE.nix')}]",
        f"{name} {roff.italic('VERB')} [{roff.italic('argument')} ...]",
        f"{name} {roff.bold('help')} {roff.italic('VERB')}",
    ]


def _verb(verb: Verb) -> str:
    own = [action for action in parser_for(verb)._actions if action.dest not in {"help", "set"}]
    arguments = [action for action in own if not action.option_strings]
    options = [action for action in own if action.option_strings]
    words = [roff.bold(verb.name), *(_argument(action) for action in arguments)]
    if options:
        words.append(f"[{roff.italic('option')} ...]")
    summary = verb.summary[0].upper() + verb.summary[1:] + "."
    return "".join(
        [
            roff.subheading(verb.name),
            ".PP\n" + " ".join(words) + "\n",
            roff.paragraph(summary),
            *(
                roff.item(_term(action), action.help)
                for action in [*arguments, *options]
                if action.help
            ),
        ]
    )


def _value(action: argparse.Action) -> str:
    """Returns what an argument is called in a usage line."""
    if action.metavar is not None:
        return roff.italic(str(action.metavar))
    if action.choices is not None:
        return "|".join(roff.bold(str(choice)) for choice in action.choices)
    return roff.italic(action.dest.upper())


def _argument(action: argparse.Action) -> str:
    value = _value(action)
    shown = {"?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} [{value} ...]"}
    return shown.get(str(action.nargs), value)


def _term(action: argparse.Action) -> str:
    if not action.option_strings:
        return _value(action)
    flags = ", ".join(roff.bold(flag) for flag in action.option_strings)
    return flags if action.nargs == 0 else f"{flags} {_argument(action)}"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"
