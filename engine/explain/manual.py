"""docs/problems.md, made from the table of explanations."""

from __future__ import annotations

import textwrap

from engine.explain.table import TOPICS, Explanation, explanations

_INTRODUCTION = """\
# Problems, by code

Every problem has a code that stays the same from version to version. `plan --json` has it as
`code`, the command line names it below its errors, and `diskwright explain CODE` prints what is
here:

```console
$ diskwright explain esp-too-small
esp-too-small (layout, sizes and volumes)
…
$ diskwright explain --json esp-too-small wrong-type
…
```

An **error** keeps an image from being built, and nothing is written (exit code 2). A **warning** is
shown, and the image is built. In the wizard F9 applies the fix, where a problem has one.
"""


def markdown() -> str:
    """Returns the page as the text that is committed as docs/problems.md."""
    parts = [_INTRODUCTION]
    known = explanations()
    for topic, title in TOPICS.items():
        parts.append(f"## {title}\n")
        parts += [_paragraph(one) for one in known.values() if one.topic == topic]
    return "\n".join(parts)


def _paragraph(one: Explanation) -> str:
    lines = [f"### {one.code}\n", f"{one.means} {one.why}\n", f"**To mend it:** {one.mend}\n"]
    if one.spec:
        lines.append(f"```ini\n{one.spec.strip()}\n```\n")
    lines.append(f"```text\n{one.says}\n```\n")
    return "\n".join(lines)


def text(one: Explanation) -> str:
    """Returns an explanation as `diskwright explain` prints it."""
    shown = f"\n{_indented(one.spec.strip())}\n" if one.spec else ""
    return (
        f"{one.code} ({TOPICS[one.topic].lower()})\n\n"
        f"{_filled(one.means)}\n{_filled(one.why)}\n\n"
        f"To mend it:\n{_filled(one.mend)}\n\n"
        f"Example:\n{shown}\n{_indented(one.says)}\n"
    )


def _filled(words: str) -> str:
    plain = words.replace("[the spec](spec.md)", "the list of keys (docs/spec.md)")
    return textwrap.fill(plain, 78, initial_indent="  ", subsequent_indent="  ",
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip


def _indented(lines: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in lines.splitlines())
