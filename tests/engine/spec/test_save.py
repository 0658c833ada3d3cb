"""Saving: the round trip is the identity, and the author's comments stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spec import edit
from engine.spec.load import loads
from engine.spec.model import (
    Boot,
    Content,
    Hooks,
    Identity,
    ImageSpec,
    Layout,
    Nix,
    Output,
    Size,
    Vm,
)
from engine.spec.save import dumps
from engine.spec.schema import DIRECTIVE

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.integers(-(2**40), 2**40)
FLAG = st.none() | st.booleans()
WORD = st.none() | TEXT
SIZE = st.none() | TEXT | NUMBER

CONTENTS = st.lists(
    st.builds(
        Content,
        source=TEXT,
        target=TEXT,
        mode=WORD,
        user=SIZE,
        group=SIZE,
        extract=FLAG,
        exclude=st.lists(TEXT, max_size=2).map(tuple),
        partition=WORD,
    ),
    max_size=4,
).map(tuple)

SPECS = st.builds(
    ImageSpec,
    name=WORD,
    compat=WORD,
    layout=st.builds(Layout, table=WORD, label=WORD, sector_size=st.none() | NUMBER),
    size=st.builds(Size, disk=SIZE, additional=SIZE, boot=SIZE, inodes=st.none() | NUMBER),
    boot=st.builds(Boot, loader=WORD, cmdline=WORD, prove=FLAG, timeout=st.none() | NUMBER),
    contents=CONTENTS,
    nix=st.builds(
        Nix, system=WORD, additional_paths=st.lists(TEXT, max_size=3).map(tuple), only_store=FLAG
    ),
    output=st.builds(Output, format=WORD),
    identity=st.builds(Identity, deterministic=FLAG, seed=WORD),
    hooks=st.builds(Hooks, after_build=WORD),
    vm=st.builds(Vm, memory=st.none() | NUMBER),
)

ORIGINALS = [
    "",
    "# only a comment\n",
    "schema = 1\nname = 'x' # here\n",
    "layout.table = 'efi'\nsize = { disk = 4, boot = '1M' } # inline\n",
    "contents = [{ source = 'a', target = '/' }]\n[boot]\nloader = 'none'\n",
    "[layout] # l\ntable = 'efi' # t\n\n[[contents]]\nsource = 'a'\ntarget = '/a' # one\n"
    "# two\n[[contents]]\ntarget = '/b'\nsource = 'b'\nexclude = [\n  'x', # why\n]\n\n[vm]\n",
]


@given(SPECS)
def test_new_specs_read_back(spec: ImageSpec) -> None:
    assert loads(dumps(spec)) == spec


@given(SPECS, st.sampled_from(ORIGINALS))
def test_specs_saved_over_others_read_back(spec: ImageSpec, original: str) -> None:
    assert loads(dumps(spec, original)) == spec


@given(SPECS, SPECS)
def test_any_edit_of_a_saved_spec_reads_back(before: ImageSpec, after: ImageSpec) -> None:
    assert loads(dumps(after, dumps(before))) == after


@pytest.mark.parametrize("original", ORIGINALS)
def test_an_unchanged_spec_keeps_every_byte(original: str) -> None:
    assert dumps(loads(original), original) == original


def test_new_specs_are_minimal() -> None:
    assert dumps(ImageSpec()) == f"{DIRECTIVE}\nschema = 1\n"
    assert dumps(ImageSpec(size=Size(disk=64))) == (
        f"{DIRECTIVE}\nschema = 1\n\n[size]\ndisk = 64\n"
    )


COMMENTED = """\
# A web server.
name = "web"  # its host name

[layout]
# BIOS machines only.
table = 'legacy'

[size]
disk = 0x1000  # MiB

# The site
[[contents]]
source = "site"
target = "/srv"  # served
mode = "D755,F644"

[[contents]]
source = "etc"  # configuration
target = "/etc"
"""


def test_an_edit_touches_its_own_line_only() -> None:
    spec = edit.apply(loads(COMMENTED), "size.disk", "8GiB")
    assert dumps(spec, COMMENTED) == COMMENTED.replace("0x1000", '"8GiB"')


def test_removing_and_adding_entries_keeps_the_others() -> None:
    spec = edit.remove_content(loads(COMMENTED), 0)
    spec = edit.append_content(spec, Content(source="new", target="/new"))
    text = dumps(spec, COMMENTED)
    assert loads(text) == spec
    for kept in ("# A web server.", "# its host name", "# BIOS machines only.", "0x1000  # MiB",
                 'source = "etc"  # configuration'):  # fmt: skip
        assert kept in text
    assert "# served" not in text


def test_removing_a_key_leaves_its_section() -> None:
    spec = edit.apply(loads(COMMENTED), "layout.table", None)
    text = dumps(spec, COMMENTED)
    assert "[layout]\n# BIOS machines only.\n" in text
    assert "legacy" not in text
