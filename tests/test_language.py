"""The prose of the repository: few of the listed phrases, and documentation that addresses its reader."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from language import Count, Text, comments, count, for_users, kinds, messages, page_prose
from paths import TESTS

MOST = 1.0
"""Phrases per 1,000 words."""
LEAST = 15
"""How often the documentation for users says "you" or "your", per 1,000 words."""

KINDS = kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_the_prose_has_few_of_the_phrases(kind: str) -> None:
    result = count(KINDS[kind])

    assert result.words > 1000
    assert result.per_thousand() <= MOST, "\n".join(map(str, result.places))


def test_the_documentation_addresses_the_reader() -> None:
    assert count(for_users()).readers_per_thousand() >= LEAST


# The counting itself


def counted(words: str) -> Count:
    """Count one text, as if it were a page."""
    return count([Text(TESTS / "page.md", 1, words)])


@pytest.mark.parametrize(
    "words",
    [
        "The handler stands first.",
        "The application is told of it.",
        "A value that is none.",
        "They were said to be slow.",
        "It waits for whoever reads.",
        "A function of ours.",
        "A word of its own kind.",
        "What the view returns is sent.",
        "It is sent.\n\nWhatever a client sends is escaped.",
        "It ends. Whose line it is has been decided.",
        "- Which of the fields are absent",
        "The line that is to be written.",
        "It is not yet what you want.",
        "A number such as 5.",
        "One thread takes the one lock and then the other lock.",
        "Fields with their own names.",
        "A test holds them to it.",
        "Others are used in their stead.",
        "The caller sees to it.",
        "A shipper makes of it an event.",
        "A line\nis\ntold.",
        "IS TOLD",
    ],
)
def test_a_phrase_is_found(words: str) -> None:
    assert len(counted(words).places) == 1


@pytest.mark.parametrize(
    "words",
    [
        "Understand the standard library.",
        "It returns None if the header is None.",
        "It reports what the view did.",
        "The formatter, which is shared, escapes it.",
        "What is slow?",
        "A request such as GET.",
        "The one handler. There is no other.",
    ],
)
def test_other_words_are_no_phrase(words: str) -> None:
    assert counted(words).places == []


def test_a_place_has_the_line_and_the_words() -> None:
    (place,) = counted("First.\n\nIt is\ntold.").places

    assert str(place) == "tests/page.md:3: is told"


def test_words_and_readers_are_counted() -> None:
    result = counted("You can't see your own: 12 of yours.")

    assert (result.words, result.readers) == (7, 3)


def test_code_on_a_page_is_not_counted(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("One `it stands` two [three](is-told).\n\n```text\nIt stands.\n```\n\nFour.\n")

    result = count(page_prose(page))

    assert (result.words, result.places) == (4, [])


SOURCE = '''
"""Docstring of a ``stands`` module."""

NUMBER = 1  # of a comment
"""Docstring of a number."""


def function(name):
    """Docstring of a function."""
    # Two lines, of which
    # the second goes on.
    raise ValueError(f"cannot find the file {name!r}" " anywhere else")


KEY = "stands.key"
SQL = "SELECT stands FROM t"
'''


def test_docstrings_and_comments_are_read(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(textwrap.dedent(SOURCE))

    assert [(text.line, " ".join(text.words.split())) for text in comments(module)] == [
        (2, "Docstring of a module."),
        (5, "Docstring of a number."),
        (9, "Docstring of a function."),
        (4, "of a comment"),
        (10, "Two lines, of which the second goes on."),
    ]


def test_the_strings_that_people_read_are_messages(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(textwrap.dedent(SOURCE))

    assert [" ".join(text.words.split()) for text in messages(module)] == ["cannot find the file anywhere else"]
