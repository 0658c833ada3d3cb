"""diskwright.toml(5): the keys of a spec, made from the table that the program reads."""

from __future__ import annotations

from engine import RELEASED, __version__
from engine.spec import roff
from engine.spec.keys import KEYS, SECTIONS, Key

_SIZES = (
    ("an integer", "MiB for `size.disk`, bytes elsewhere"),
    ("K M G T, KiB MiB GiB TiB", "powers of 1024"),
    ("KB MB GB TB", "powers of 1000"),
    ("B", "bytes"),
)

_EXAMPLE = """\
schema = 1
name = "hello"

[size]
additional = "16MiB"

[[contents]]
source = "hello/rootfs/"
target = "/"
"""


def text() -> str:
    """Returns the page."""
    parts = [
        roff.page("DISKWRIGHT.TOML", 5, "File formats", __version__, RELEASED),
        roff.heading("NAME"),
        r"diskwright.toml \- what a disk image is made of, and how" + "\n",
        roff.heading("DESCRIPTION"),
        roff.paragraph(
            "A spec is a TOML file of any name. Only a content's `source` and `target` and a "
            "volume's `id` are required. A key that does not exist, or a value of the wrong type, "
            "is rejected, with its location and the closest valid key. "
            "`--set SECTION.KEY=VALUE` of diskwright(1) overrides any key, entries of lists too."
        ),
        roff.heading("SIZES"),
        roff.paragraph('A size is an integer or a text such as `"1.5GiB"`, exact to the byte.'),
        *(roff.item(roff.bold(written), meaning) for written, meaning in _SIZES),
        roff.heading("KEYS"),
    ]
    for section, title in SECTIONS.items():
        keys = [key for key in KEYS.values() if key.path.rpartition(".")[0] == section]
        parts.append(roff.subheading(_heading(section, title)))
        parts += [_key(key) for key in keys]
    parts += [
        roff.heading("EXAMPLES"),
        roff.example(_EXAMPLE),
        roff.heading("SEE ALSO"),
        roff.paragraph("`diskwright`(1)"),
    ]
    return roff.joined(parts)


def _heading(section: str, title: str) -> str:
    if not section:
        return f"Top level: {title}"
    many = section.endswith("[]")
    return f"[[{section[:-2]}]]: {title}" if many else f"[{section}]: {title}"


def _key(key: Key) -> str:
    facts = [f"Takes: {key.kind}."]
    if key.choices:
        facts.append("One of: " + ", ".join(f"`{choice}`" for choice in key.choices) + ".")
    compat = f"; under make-disk-image {key.compat}" if key.compat else ""
    facts.append(f"Default: {key.default}{compat}.")
    if key.argument:
        facts.append(f"make-disk-image calls it `{key.argument}`.")
    return roff.item(roff.bold(key.path.rpartition(".")[2]), key.summary, " ".join(facts))
