"""
Turn the Markdown of the repository, which a forge shows as it is, into the Markdown of the site.

Three things differ. Alternatives below each other become tabs. A link to a file outside the documentation becomes a
link to the repository. The lists of the table of contents become the navigation.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final

__all__ = ["to_site"]

FENCED: Final = re.compile(r"^(`{3,})[^\n]*\n.*?^\1`*$", re.MULTILINE | re.DOTALL)
TABS: Final = re.compile(r"^<!-- tabs -->\n(?P<tabs>.*?)^<!-- end tabs -->$", re.MULTILINE | re.DOTALL)
LABEL: Final = re.compile(r"^\*\*(?P<label>[^*\n]+)\*\*$", re.MULTILINE)
LINK: Final = re.compile(r"(?P<text>\[[^]]*\])\((?P<target>\.\./[^)\s]+)\)")
HEADING: Final = re.compile(r"^#{2,} (.+)$")
BULLET: Final = re.compile(r"^- \[[^]]*\]\((?P<page>[\w/-]+)\.md\)")


def to_site(page: str, text: str, repository: str) -> str:
    """
    Return the *text* of a page as the site needs it.

    Args:
        page: The name of the page, relative to the documentation and without its suffix: ``how-to/celery``.
        text: The Markdown of the page.
        repository: The address at which the files of the repository can be seen, with a slash at the end.
    """
    text = TABS.sub(lambda match: tab_set(match["tabs"]), text)
    text = "".join(part if is_code else outward(page, part, repository) for part, is_code in parts(text))
    return text + navigation(text) if page == "index" else text


def parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield *text* in pieces, each with whether it is a fenced block."""
    end = 0
    for match in FENCED.finditer(text):
        yield text[end : match.start()], False
        yield match[0], True
        end = match.end()
    yield text[end:], False


def tab_set(tabs: str) -> str:
    """Return the tabs of *tabs*, in which a paragraph of one bold phrase is the label of what follows."""
    before, *labelled = LABEL.split(tabs)
    if before.strip() or not labelled:
        raise ValueError(f"tabs begin with a paragraph **Label**, not with {before.strip()!r}")
    items = (
        f":::{{tab-item}} {label}\n:sync: {label.lower()}\n{body.rstrip()}\n:::\n"
        for label, body in zip(labelled[::2], labelled[1::2], strict=True)
    )
    return f"::::{{tab-set}}\n{''.join(items)}::::"


def outward(page: str, text: str, repository: str) -> str:
    """Let the links of *text* that leave the documentation lead to *repository*."""

    def lead(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), match["target"]))
        return match[0] if target.startswith("docs/") else f"{match['text']}({repository}{target})"

    return LINK.sub(lead, text)


def navigation(text: str) -> str:
    """Return hidden lists of the pages to which the bullets of *text* lead, each below the heading of its bullets."""
    lists: dict[str, list[str]] = {}
    heading = ""
    for line in text.splitlines():
        if match := HEADING.match(line):
            heading = match[1]
        elif match := BULLET.match(line):
            lists.setdefault(heading, []).append(match["page"])
    return "".join(
        "\n".join(["", "```{toctree}", ":hidden:", f":caption: {heading}", "", *pages, "```", ""])
        for heading, pages in lists.items()
    )
