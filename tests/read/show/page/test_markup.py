from __future__ import annotations

import html
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import HOSTILE

from obs_middleware.read.show.page.markup import element, join, plain, raw, visible


class Reader(HTMLParser):
    """Collects elements and text as a browser does."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("p", "a < b", raw("<br>"), None, class_='"') == '<p class="&quot;">a &lt; b<br></p>'
    assert join("<", element("b", "&")) == "&lt;<b>&amp;</b>"


def test_attributes_have_html_names_and_short_numbers() -> None:
    assert element("a", data_v="1", for_="x", x=1 / 3, y=2.0, n=3, hidden=True, open=False, title=None) == (
        '<a data-v="1" for="x" x="0.333" y="2" n="3" hidden></a>'
    )
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


@pytest.mark.parametrize(
    ("logged", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\r\nb\x00\x7f", r"a\r\nb\x00\x7f"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028\u2029\u200b\ufeff", r"\u2028\u2029\u200b\ufeff"),
        ("half \udc80", r"half \udc80"),
        ("two words, ünïcode, 漢字 and 🐢", "two words, ünïcode, 漢字 and 🐢"),
    ],
    ids=["terminal", "controls", "direction", "separators", "surrogate", "ordinary"],
)
def test_unprintable_characters_become_escapes(logged: str, shown: str) -> None:
    assert read(visible(logged)).text == shown
    assert plain(logged) == shown


def test_an_escape_differs_from_a_logged_backslash() -> None:
    assert "esc" in visible("\x1b")
    assert "esc" not in visible(r"\x1b")


def test_a_long_value_is_cut_with_a_note() -> None:
    assert read(visible("a" * 1300)).text == "a" * 300 + "… and 1,000 more characters"
    assert read(visible("a" * 300)).text == "a" * 300


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_makes_no_element(text: str) -> None:
    assert set(read(visible(text)).elements) <= {"bdi", "span"}


@given(st.text(st.characters(), max_size=50))
def test_any_text_is_shown_completely_and_as_text(text: str) -> None:
    markup = visible(text)
    reader = read(markup)

    assert set(reader.elements) <= {"bdi", "span"}
    assert reader.text.isprintable()
    assert html.unescape(plain(text)) == html.unescape(reader.text)
    markup.encode()
