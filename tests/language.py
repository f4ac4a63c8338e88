"""
Phrases that make prose hard to read, counted per 1,000 words.

``python tests/language.py`` prints each place, and the totals of each kind of text. With files as arguments it counts
only those.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from paths import DOCS, ROOT

STATEMENT: Final = r"(?:(?:\A|\n\s*\n)\s*(?:[-*] |\d+\. )?|\n\s*(?:[-*]|\d+\.) |[.:;|] )"
"""Where a statement begins: a paragraph, an item, a cell, or after a full stop, colon or semicolon."""

PHRASES: Final = [
    r"\bstands?\b",
    r"\bis (?:told|said|(?-i:none)|no one|nobody's)\b",
    r"\b(?:are|were) (?:told|said)\b",
    r"\bwhoever\b",
    r"\bof (?:ours|theirs|its own kind)\b",
    STATEMENT + r"(?P<phrase>(?:What|Whatever|Whose|Which) [a-z' ]+? (?:is|are|has|was)\b)(?![^.;|]*\?)",
    r"\bis to be\b",
    r"\bnot yet what\b",
    r"\bsuch as [0-9]",
    r"\bthe one\b[^.;]*? the other\b",
    r"\bwith (?:its|their) own\b",
    r"\bholds? (?:it|them|the two) to\b",
    r"\bin (?:its|their) stead\b",
    r"\bsees? to (?:it|that)\b",
    r"\bmakes? of (?:it|them)\b",
]
"""Regular expressions. A space in one matches any white space, because prose is wrapped."""

PATTERNS: Final = [
    re.compile(re.sub(r"(?<!\[a-z') ", r"\\s+", phrase).replace("[a-z' ]", r"[a-z'\s]"), re.IGNORECASE)
    for phrase in PHRASES
]
WORD: Final = re.compile(r"[A-Za-z][\w'-]*")
READER: Final = re.compile(r"\byour?s?\b", re.IGNORECASE)

FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INLINE_CODE: Final = re.compile(r"``.+?``|`[^`]+`", re.DOTALL)
LINK_TARGET: Final = re.compile(r"(?<=\])\([^)\s]+\)|<!--.*?-->")
SENTENCE: Final = re.compile(r"[A-Za-z]+,?(?: [a-z]+,?){2}")
"""Three words in a row: a string that a person reads, unlike a key, a format or SQL."""


class Text(NamedTuple):
    """
    A piece of prose.

    Attributes:
        file: Where it is written.
        line: The number of its first line.
        words: The prose, with code replaced by spaces and line breaks kept.
    """

    file: Path
    line: int
    words: str


class Place(NamedTuple):
    """
    A phrase found in a text.

    Attributes:
        file: Where it is written.
        line: The number of its line.
        phrase: The words, on one line.
    """

    file: Path
    line: int
    phrase: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}: {self.phrase}"


class Count(NamedTuple):
    """
    The result of one kind of text.

    Attributes:
        words: How many words it has.
        places: Where the phrases are.
        readers: How often it says "you" or "your".
    """

    words: int
    places: list[Place]
    readers: int

    def per_thousand(self) -> float:
        """Return the phrases per 1,000 words."""
        return 1000 * len(self.places) / max(self.words, 1)

    def readers_per_thousand(self) -> float:
        """Return how often "you" or "your" occurs per 1,000 words."""
        return 1000 * self.readers / max(self.words, 1)


def count(texts: Iterable[Text]) -> Count:
    """Count words, phrases and "you" in *texts*."""
    words = readers = 0
    places: list[Place] = []
    for text in texts:
        words += len(WORD.findall(text.words))
        readers += len(READER.findall(text.words))
        places += found(text)
    return Count(words, sorted(places), readers)


def found(text: Text) -> Iterator[Place]:
    """Yield the place of each phrase in *text*."""
    for pattern in PATTERNS:
        for match in pattern.finditer(text.words):
            group = "phrase" if "phrase" in pattern.groupindex else 0
            line = text.line + text.words.count("\n", 0, match.start(group))
            yield Place(text.file, line, " ".join(match[group].split()))


# Prose


def pages() -> list[Path]:
    """Return the documentation for users."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def markdown() -> list[Path]:
    """Return every page in the repository."""
    patterns = ("*.md", ".github/*.md", "examples/*/README.md", "tests/*/README.md")
    others = {file for pattern in patterns for file in ROOT.glob(pattern)}
    return pages() + sorted(others - {*pages()})


def package() -> list[Path]:
    """Return the modules of the package."""
    return sorted((ROOT / "obs_middleware").rglob("*.py"))


def others() -> list[Path]:
    """Return the other Python files: tests, benchmarks, examples and the documentation site."""
    folders = ("tests", "benchmarks", "examples", "docs")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def page_prose(file: Path) -> Iterator[Text]:
    """Yield the prose of a Markdown *file*, without blocks of code, inline code and the targets of links."""
    yield Text(file, 1, without(file.read_text(), FENCE, INLINE_CODE, LINK_TARGET))


def without(text: str, *patterns: re.Pattern[str]) -> str:
    """Return *text* with spaces in place of all matches of *patterns*. Line breaks stay."""
    for pattern in patterns:
        text = pattern.sub(lambda match: re.sub(r"\S", " ", match[0]), text)
    return text


def comments(file: Path) -> Iterator[Text]:
    """Yield the docstrings and comments of a Python *file*. Comments on successive lines are one text."""
    source = file.read_text()
    for node in docstrings(ast.parse(source)):
        yield Text(file, node.lineno, without(str(node.value), INLINE_CODE))
    lines = [
        (token.start[0], token.string.lstrip("#: "))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    for _, block in groupby(enumerate(lines), key=lambda item: item[1][0] - item[0]):
        (_, (first, text)), *more = block
        yield Text(file, first, without("\n".join([text, *(text for _, (_, text) in more)]), INLINE_CODE))


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the docstrings in *tree*, including those below an assignment."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def messages(file: Path) -> Iterator[Text]:
    """Yield the strings of a Python *file* that people read: error messages, help texts, headings, notes."""
    tree = ast.parse(file.read_text())
    seen: set[ast.expr] = set(docstrings(tree))
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=parts):
                pass
            case ast.Constant(value=str()) if node not in seen:
                parts = [node]
            case _:
                continue
        seen.update(parts)
        message = "".join(str(part.value) if isinstance(part, ast.Constant) else " " for part in parts)
        if SENTENCE.search(message):
            yield Text(file, node.lineno, without(message, INLINE_CODE))


def kinds() -> dict[str, list[Text]]:
    """Return all prose of the repository, by kind."""
    return {
        "documentation": [text for file in markdown() for text in page_prose(file)],
        "docstrings and comments": [text for file in package() for text in comments(file)],
        "messages and help texts": [text for file in package() for text in messages(file)],
        "docstrings and comments of tests, benchmarks and examples": [
            text for file in others() for text in comments(file)
        ],
    }


def for_users() -> list[Text]:
    """Return the prose of the documentation for users, without the changelog and the examples."""
    return [text for file in pages() for text in page_prose(file)]


def main(files: list[str]) -> None:
    """Print each place, and the totals of each kind of text."""
    chosen = {Path(file).resolve() for file in files}
    for kind, texts in kinds().items():
        result = count(text for text in texts if not chosen or text.file in chosen)
        for place in result.places:
            print(place)
        if result.words:
            print(
                f"{kind}: {len(result.places)} in {result.words} words, {result.per_thousand():.1f} per 1,000 words\n"
            )
    result = count(text for text in for_users() if not chosen or text.file in chosen)
    if result.words:
        print(f'"you" in the documentation for users: {result.readers_per_thousand():.1f} per 1,000 words')


if __name__ == "__main__":
    main(sys.argv[1:])
