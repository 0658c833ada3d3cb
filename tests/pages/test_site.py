"""The documentation site: complete, made from what the program has, and no link leads nowhere.

`setup/site --check`, a step of `./check --all`, renders it as well.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages.build import CONFIGURATION, PROJECT, stage
from pages.links import broken

_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_TO_PLACE = re.compile(r"\]\((?!https?:)([^)#]*)#([^)]+)\)")
SOURCES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])


def _pages(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        for value in entry.values():
            yield from _pages(value)
    elif isinstance(entry, list):
        for value in entry:
            yield from _pages(value)


def test_every_page_is_in_the_navigation() -> None:
    project = tomllib.loads(CONFIGURATION.read_text(encoding="utf-8"))["project"]

    listed = list(_pages(project["nav"]))

    assert len(listed) == len(set(listed))
    assert set(listed) == {str(path.relative_to(PROJECT)) for path in SOURCES}


def test_what_pages_link_to_is_staged(tmp_path: Path) -> None:
    stage(tmp_path)

    for page in SOURCES:
        staged = tmp_path / "source" / page.relative_to(PROJECT)
        text = _FENCE.sub("", staged.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text):
            assert (staged.parent / target).exists(), f"{page.name}: {target}"


def _anchor(heading: str) -> str:
    """Returns the anchor of a heading, as GitHub and the site both make it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", SOURCES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_link_to_a_place_finds_it(page: Path) -> None:
    for target, place in _TO_PLACE.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        other = (page.parent / target) if target else page
        headings = _HEADING.findall(_FENCE.sub("", other.read_text(encoding="utf-8")))
        assert place in {_anchor(heading) for heading in headings}, f"{target}#{place}"


def test_links_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="below/">in</a><a href="below/#here">in</a><a href="https://example.org/x">out</a>'
        '<a href="gone.html">no</a><a href="below/index.html#gone">no</a><a href="#top">no</a>'
        '<img src="gone.svg"><a id="there" href="#there">in</a>'
    )
    (tmp_path / "below" / "index.html").write_text('<h2 id="here">x</h2><a href="../">up</a>')

    assert broken(tmp_path) == [
        "index.html: gone.html: no such file",
        "index.html: below/index.html#gone: no such place",
        "index.html: #top: no such place",
        "index.html: gone.svg: no such file",
    ]
