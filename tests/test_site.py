"""The documentation site: what it makes of the Markdown, and what `make docs` refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from paths import DOCS
from site_check import problems
from site_source import to_site

HOME = "https://example.com/"
PAGES = sorted(page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md"))


def as_site(text: str, page: str = "how-to/celery") -> str:
    return to_site(page, text, HOME)


def test_alternatives_become_tabs_that_change_together() -> None:
    text = "<!-- tabs -->\n**Sync**\n\n```python\na\n```\n\n**Async**\n\nOr so.\n<!-- end tabs -->\n"

    assert as_site(text) == (
        "::::{tab-set}\n"
        ":::{tab-item} Sync\n:sync: sync\n\n\n```python\na\n```\n:::\n"
        ":::{tab-item} Async\n:sync: async\n\n\nOr so.\n:::\n"
        "::::\n"
    )


@pytest.mark.parametrize("inside", ["", "No label.\n", "No label.\n\n**Sync**\n\nSo.\n"])
def test_tabs_begin_with_a_label(inside: str) -> None:
    with pytest.raises(ValueError, match=r"\*\*Label\*\*"):
        as_site(f"<!-- tabs -->\n{inside}<!-- end tabs -->\n")


def test_a_link_that_leaves_the_documentation_leads_to_the_repository() -> None:
    text = "[a shop](../../examples/quickstart/README.md#start)"

    assert as_site(text) == f"[a shop]({HOME}examples/quickstart/README.md#start)"


@pytest.mark.parametrize("link", ["../index.md", "../reference/fields.md#outcomes", "sentry.md", "https://python.org"])
def test_every_other_link_stays(link: str) -> None:
    assert as_site(f"[text]({link})") == f"[text]({link})"


def test_a_block_of_code_stays() -> None:
    text = "```text\n[a](../../README.md)\n```\n[a](../../README.md)\n"

    assert as_site(text) == f"```text\n[a](../../README.md)\n```\n[a]({HOME}README.md)\n"


def test_every_page_has_one_place_in_the_navigation_of_the_site() -> None:
    site = as_site((DOCS / "index.md").read_text(), "index")

    lists = re.findall(r"^```\{toctree\}\n(?::[^\n]*\n)+\n(.*?)^```$", site, re.MULTILINE | re.DOTALL)
    assert sorted(page for pages in lists for page in pages.split()) == [page for page in PAGES if page != "index"]


def test_a_list_of_the_navigation_has_the_nearest_heading() -> None:
    site = as_site("## How to\n\n### Ship\n\n- [ELK](how-to/elk.md): a store.\n- [Other](how-to/other.md)\n", "index")

    assert site.endswith("```{toctree}\n:hidden:\n:caption: Ship\n\nhow-to/elk\nhow-to/other\n```\n")


# The built site


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Path:
    """Return a built site of two pages without a fault."""
    (tmp_path / "how-to").mkdir()
    (tmp_path / "searchindex.js").write_text('Search.setIndex({"docnames":["index","how-to/elk"]})')
    (tmp_path / "logo.svg").touch()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">A</h1><a href="how-to/elk.html#b%20c">b</a><a href="#top">a</a><img src="logo.svg">'
        '<a href="https://example.com/">c</a><img src="data:image/png;base64,AA">'
    )
    (tmp_path / "how-to" / "elk.html").write_text('<h1 id="b c">B</h1><a href="../index.html">a</a>')
    return tmp_path


def test_a_site_without_faults_has_no_problems(site: Path) -> None:
    assert list(problems(site)) == []


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ('<a href="gone.html">', "links to gone.html, which does not exist"),
        ('<img src="gone.png">', "links to gone.png, which does not exist"),
        ('<a href="../index.html#gone">', "links to ../index.html#gone, a heading that does not exist"),
        ('<a href="#gone">', "links to #gone, a heading that does not exist"),
        ('<script src="https://cdn.example/a.js">', "loads https://cdn.example/a.js"),
        ('<link href="//cdn.example/a.css">', "loads //cdn.example/a.css"),
    ],
)
def test_a_fault_of_a_page_is_a_problem(site: Path, fault: str, problem: str) -> None:
    page = site / "how-to" / "elk.html"
    page.write_text(page.read_text() + fault)

    assert list(problems(site)) == [f"elk.html {problem}"]


def test_a_page_that_the_search_does_not_know_is_a_problem(site: Path) -> None:
    (site / "how-to" / "new.html").write_text("<h1>C</h1>")

    assert list(problems(site)) == ["the search does not know how-to/new"]


def test_a_site_without_pages_is_a_problem(tmp_path: Path) -> None:
    assert list(problems(tmp_path)) == [f"{tmp_path} has no pages"]
