"""Links of finished HTML pages: each leads to a file of the site, and to a place in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_ADDRESSES = {"a": "href", "img": "src", "link": "href", "script": "src", "source": "src"}
_ELSEWHERE = ("http", "https", "mailto", "data")


@dataclass
class Page(HTMLParser):
    """What a page links to, and the anchors it has."""

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes a tag's address, id and name."""
        given = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := given.get(key))}
        address = given.get(_ADDRESSES.get(tag, ""))
        if address:
            self.links.append(address)


def broken(site: Path) -> list[str]:
    """Returns a line for each link of a site's pages that leads nowhere within it."""
    pages: dict[Path, Page] = {}
    for path in sorted(site.rglob("*.html")):
        page = pages[path.resolve()] = Page()
        page.feed(path.read_text(encoding="utf-8"))
    found = []
    for path, page in pages.items():
        if path.name == "404.html":  # is shown at any address, so its links are absolute
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in _ELSEWHERE or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            there = pages.get(target)
            if not target.exists():
                found.append(f"{path.relative_to(site.resolve())}: {link}: no such file")
            elif parts.fragment and there and unquote(parts.fragment) not in there.anchors:
                found.append(f"{path.relative_to(site.resolve())}: {link}: no such place")
    return found
