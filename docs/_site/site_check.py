"""Check a built site: each link has a target, nothing is loaded from elsewhere, and the search knows every page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["problems"]

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src")}
"""The attributes whose files a browser loads with the page."""


class Page(HTMLParser):
    """
    The anchors and links of a page.

    Attributes:
        anchors: The ids of the page, to which links can lead.
        links: The targets of its links, and of the files that it loads.
        loaded: The files that it loads.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the ids and the targets of *attrs*."""
        for name, value in attrs:
            if value and name == "id":
                self.anchors.add(value)
            elif value and name in {"href", "src"}:
                self.links.append(value)
                if (tag, name) in LOADED:
                    self.loaded.append(value)


def problems(site: Path) -> Iterator[str]:
    """Yield what is wrong with the built *site*, one sentence each."""
    pages = {file.resolve(): Page(file.read_text(encoding="utf-8")) for file in site.rglob("*.html")}
    if not pages:
        yield f"{site} has no pages"
        return
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    yield f"{file.name} loads {link}"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                yield f"{file.name} links to {link}, which does not exist"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{file.name} links to {link}, a heading that does not exist"
    yield from unsearchable(site, {file.relative_to(site.resolve()).with_suffix("").as_posix() for file in pages})


def unsearchable(site: Path, pages: set[str]) -> Iterator[str]:
    """Yield a sentence for each of *pages* that the index of the search does not contain."""
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    known = set(json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))["docnames"])
    for page in sorted(pages - known - {"genindex", "search"}):
        yield f"the search does not know {page}"


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1])))
    sys.exit("\n".join(found) or 0)
