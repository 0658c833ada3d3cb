"""The reference manual of the spec, made from the tables that the program itself reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.disk.presets import PRESETS
from engine.spec.formats import FORMATS
from engine.spec.keys import KEYS, SECTIONS, Key
from engine.spec.loaders import LOADERS, presets_for
from engine.spec.modes import EXAMPLES

_INTRODUCTION = """\
# The spec, key by key

A spec is a TOML file. Only a content's `source` and `target` and a volume's `id` are required.
A key that does not exist, or a value of the wrong type, is rejected, with its location and the
closest valid key. `--set section.key=value` overrides any key on the command line, entries of
lists too: `--set 'contents[0].target=/srv'`. The value is read as TOML, or else as text.

An editor with taplo or tombi (VS Code's "Even Better TOML" has taplo) completes and checks keys: a
spec that Diskwright writes begins with a `#:schema` line. Until the schema is at that address, or
without network, name the file in its place: `#:schema schema/diskwright.schema.json`, which an
installation has as `share/diskwright/diskwright.schema.json`.

## Sizes

| written | means |
|---|---|
| an integer | MiB for `size.disk`, bytes elsewhere |
| `K M G T`, `KiB MiB GiB TiB` | powers of 1024 |
| `KB MB GB TB` | powers of 1000 |
| `B` | bytes |

Decimals are exact (`"1.5GiB"`, `"0.5G"`), rounded up to a byte. With `compat =
"make-disk-image"`, `size.boot` is read as parted reads it, whose `M` is decimal, and a text that
the reference's numfmt would refuse is warned of.
"""


def markdown() -> str:
    """Returns the manual as the text that is committed as docs/spec.md."""
    parts = [_INTRODUCTION]
    for section, title in SECTIONS.items():
        keys = [key for key in KEYS.values() if _section(key.path) == section]
        heading = f"`[{section}]`: {title}" if section else f"Top level: {title}"
        parts.append(f"## {heading.replace('[contents[]]', '[[contents]]')}\n")
        parts.extend(_key(key) for key in keys)
    parts.append(_layouts())
    parts.append(_loaders())
    parts.append(_formats())
    parts.append(_arguments())
    return "\n".join(parts)


def _section(path: str) -> str:
    return path.rpartition(".")[0]


def _key(key: Key) -> str:
    name = key.path.rpartition(".")[2]
    lines = [f"### `{name}`\n", f"{key.summary}\n", f"- takes: {key.kind}"]
    if key.choices:
        lines.append("- one of: " + ", ".join(f"`{choice}`" for choice in key.choices))
    if key.path == "contents[].mode":
        lines.append("- examples: " + ", ".join(f"`{example}`" for example in EXAMPLES))
    lines.append(f"- default: {_code(key.default)}")
    if key.compat:
        lines.append(f"- default under make-disk-image: {_code(key.compat)}")
    if key.argument:
        lines.append(f"- make-disk-image calls it: `{key.argument}`")
    return "\n".join(lines) + "\n"


def _code(default: str) -> str:
    """Returns a default as Markdown: a TOML value as code, words as words."""
    literal = default.startswith(('"', "[")) and default.endswith(('"', "]"))
    plain = literal and default.count('"') <= 2
    return f"`{default}`" if plain or default.isdigit() or default in {"true", "false"} else default


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines.extend(f"| {' | '.join(row)} |" for row in rows)
    return "\n".join(lines) + "\n"


def _layouts() -> str:
    rows = (
        (
            f"`{layout.key}`",
            layout.summary,
            ", ".join(part.role for part in layout.partitions) or "none",
            ", ".join(layout.boots) or "nothing",
            f"{layout.why} {layout.beware}".strip(),
        )
        for layout in PRESETS.values()
    )
    head = ("`layout.table`", "what it is", "partitions in disk order", "boots under", "why")
    return "## Layouts\n\n" + _table(head, rows)


def _loaders() -> str:
    rows = (
        (
            f"`{loader.key}`",
            loader.summary,
            ", ".join(f"`{preset.key}`" for preset in presets_for(loader)),
            ", ".join(loader.firmware) or "-",
            ", ".join(package for _, package in loader.packages) or "-",
        )
        for loader in LOADERS.values()
    )
    head = ("`boot.loader`", "what it is", "fits", "firmware", "Debian packages")
    return "## Boot loaders\n\n" + _table(head, rows)


def _formats() -> str:
    rows = (
        (
            f"`{format_.key}`",
            f"`.{format_.extension}`",
            format_.summary,
            f"`{' '.join(format_.qemu_img)}`" if format_.qemu_img else "-",
            f"{format_.sizes} {format_.note}".strip() or "-",
        )
        for format_ in FORMATS.values()
    )
    head = ("`output.format`", "file", "who reads it", "qemu-img convert", "note")
    return "## Formats\n\n" + _table(head, rows)


def _arguments() -> str:
    rows = (
        (f"`{key.argument}`", f"`{key.path}`")
        for key in sorted(KEYS.values(), key=lambda key: key.argument.lower())
        if key.argument
    )
    return "## make-disk-image's arguments\n\n" + _table(("argument", "key"), rows)
