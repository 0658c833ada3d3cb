"""Text as manual pages have it: the few macros of man(7) that Diskwright's pages use."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HEADED = re.compile(r"^(\.S[HS] .*\n)\.PP\n", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


def page(name: str, section: int, title: str, version: str, date: str) -> str:
    """Returns the first line of a page: name and section, what it is a manual of, and when."""
    return f'.TH {plain(name)} {section} {date} "Diskwright {version}" "{title}"\n'


def joined(parts: Iterable[str]) -> str:
    """Returns the parts as one text; a heading needs no paragraph behind it."""
    return _HEADED.sub(r"\1", "".join(parts))


def heading(text: str) -> str:
    """Returns the heading of a section."""
    return f'.SH "{plain(text)}"\n'


def subheading(text: str) -> str:
    """Returns the heading of a part of a section."""
    return f'.SS "{plain(text)}"\n'


def paragraph(text: str) -> str:
    """Returns a paragraph; what stands between backticks is bold."""
    return f".PP\n{prose(text)}\n"


def item(tag: str, *texts: str) -> str:
    """Returns a term, already formatted, and what is said of it, a paragraph each."""
    return f".TP\n{tag}\n" + ".IP\n".join(f"{prose(text)}\n" for text in texts)


def example(lines: str) -> str:
    """Returns lines as they are typed."""
    body = "\n".join(_guarded(plain(line)) for line in lines.splitlines())
    return f".PP\n.RS 4\n.nf\n{body}\n.fi\n.RE\n"


def bold(text: str) -> str:
    """Returns what is to be typed as it stands."""
    return rf"\fB{plain(text)}\fR"


def italic(text: str) -> str:
    """Returns what stands for something else."""
    return rf"\fI{plain(text)}\fR"


def prose(text: str) -> str:
    """Returns running text on one line, what stands between backticks bold."""
    words = " ".join(text.split())
    parts = _CODE.split(words)
    shown = (bold(part) if index % 2 else plain(part) for index, part in enumerate(parts))
    return _guarded("".join(shown))


def plain(text: str) -> str:
    r"""Returns a text that no macro or escape of roff reads in another way.

    A hyphen-minus is written `\-`, so that what is copied from a page can be typed; a quote as
    `\(dq`, since it ends the argument of a macro.
    """
    quoted = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")
    return (
        quoted.replace("'", r"\(aq")
        .replace("`", r"\(ga")
        .replace("~", r"\(ti")
        .replace("^", r"\(ha")
    )


def _guarded(line: str) -> str:
    """Keeps a line that begins like a request from being one."""
    return rf"\&{line}" if line.startswith((".", "'")) else line
